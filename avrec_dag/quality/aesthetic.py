"""Bringing the aesthetic model up to date: when to fit it, when to use it, and why not."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.quality import looks
from avrec_dag.quality.looks import Seen
from avrec_dag.quality.priors import priors
from avrec_dag.quality.reception import Reception, classes_of, receptions
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.splits import groups_of, near_duplicates

TABLE = "aesthetic_model"
"""Table, and the key of its one row."""
LEAST_ITEMS, LEAST_PEOPLE = 50, 5
"""The model is off below so many items that so many people know."""
MOST_ITEMS = 5_000
"""Of more items, those that most people know are learnt from: it bounds the memory, and the rest adds little."""
CHANGED_SHARE, MOVED_SHARE, MOVED = 0.05, 0.1, 0.05
"""Fitted anew when more than this share of the examples has other vectors or classes; or when more than that share came, went
or is liked differently by more than this."""

Examples = Mapping[str, tuple[str, float]]
"""Hash of the item -> hash of its vector and class, and its liking. Hashed, so that no model names an item that was erased."""


@dataclass(frozen=True)
class _Gathered:
    """Examples in both forms, the encoder that made their vectors, and how many items enough people know."""

    seen: Seen | None
    examples: Examples
    encoder: str
    n_known: int


def update_aesthetic(ledger: Ledger, blobs: Blobs, step: Step, *, seed: int = 0, run_id: str = "") -> Outcome:
    """Fit the head that judges looks when there is reason to, and say whether it may be used.

    It is on when at least 50 items are known to at least 5 people each, and the lower bound of its rank correlation
    with what people did, on sources and creators it never saw, is above 0 (`looks.evaluate`). Otherwise the row says why
    it is off, and no item has an aesthetic score.

    Reasons to fit: the first time; code or seed changed; there came to be enough items, or too few; more than 5 % of the
    examples have other vectors or classes; more than 10 % came, went, or are liked otherwise by more than 0.05.
    """
    found, recipe = _gather(ledger), digest([step.code, str(seed)])
    row: dict[str, Any] | None = ledger.row(TABLE, TABLE)
    reason = _reason(found, row, blobs, recipe) if row else "first time"
    if row is not None and not reason:
        return _outcome(ledger, 0, row, "no")
    made = _few(found, recipe) if found.seen is None else _fitted(found, found.seen, blobs, recipe, seed)
    ledger.append(TABLE, WHOLE, [made], run_id)
    ledger.compact(TABLE, WHOLE)
    return _outcome(ledger, 1, made.values, reason)


def current(ledger: Ledger, blobs: Blobs) -> tuple[str, looks.LooksModel | None]:
    """What judges looks now, and what its judgements depend on; `off` and None where nothing does."""
    row: dict[str, Any] | None = ledger.row(TABLE, TABLE)
    return (row["version"], looks.load(blobs, row["blob"])) if row is not None and row["on"] else ("off", None)


def _gather(ledger: Ledger) -> _Gathered:
    received = receptions(ledger)
    table = ledger.rows("technical_quality", columns=["score"])
    technical = dict(zip(table["media_id"].to_pylist(), table["score"].to_pylist(), strict=True))
    known = [one for one in sorted(received.keys() & technical.keys()) if received[one].n_people >= LEAST_PEOPLE]
    chosen = sorted(sorted(known, key=lambda one: (-received[one].n_people, one))[:MOST_ITEMS])
    vectors = _vectors(ledger, set(chosen))
    encoder = Counter(model for model, *_ in vectors.values()).most_common(1)[0][0] if vectors else ""
    ids = [one for one in chosen if one in vectors and vectors[one][0] == encoder]
    if len(ids) < LEAST_ITEMS:
        return _Gathered(None, {}, encoder, len(ids))
    class_of = classes_of(ledger)
    people = priors({one: received[one] for one in received.keys() & technical.keys()}, class_of).people
    stacked = np.stack([vectors[one][2] for one in ids])
    seen = Seen(
        vectors=stacked,
        technical=np.array([technical[one] for one in ids], np.float64),
        classes=tuple(class_of.get(one, "") for one in ids),
        groups=_groups(ledger, ids, stacked),
        liking=np.array([received[one].mean for one in ids]),
        weights=np.array([received[one].n_people / (received[one].n_people + people) for one in ids]),
    )
    return _Gathered(
        seen, {_anonymous(one): _fingerprint(vectors[one][1], class_of.get(one, ""), received[one]) for one in ids}, encoder, len(ids)
    )


def _vectors(ledger: Ledger, wanted: set[str]) -> dict[str, tuple[str, str, np.ndarray]]:
    """Item -> encoder, hash and vector, for wanted items whose vector is one; the commonest length per encoder holds."""
    found: dict[str, tuple[str, str, np.ndarray]] = {}
    for day in ledger.partitions("frame_embeddings") if wanted else ():
        table = ledger.rows("frame_embeddings", day, columns=["fields", "vector", "model"])
        models = table["model"].to_pylist()
        for place, media_id in enumerate(table["media_id"].to_pylist()):
            if media_id in wanted and models[place] and table["vector"][place].is_valid:
                vector = np.asarray(table["vector"][place].values, np.float32)
                if vector.size and np.isfinite(vector).all():
                    found[media_id] = (models[place], dict(table["fields"][place].as_py()).get("vector", ""), vector)
    sizes = Counter((model, vector.size) for model, _, vector in found.values())
    best = {model: size for (model, size), _ in reversed(sizes.most_common())}
    return {one: (model, hashed, vector) for one, (model, hashed, vector) in found.items() if best[model] == vector.size}


def _groups(ledger: Ledger, ids: Sequence[str], vectors: np.ndarray) -> np.ndarray:
    rows = ledger.rows("raw_media", columns=["source", "creator"]).to_pylist()
    said = {row["media_id"]: (row["source"] or row["media_id"], row["creator"]) for row in rows}
    sources, creators = zip(*(said.get(one, (one, None)) for one in ids), strict=True)
    names, _ = groups_of(np.zeros(len(ids), np.int64), sources, creators, near_duplicates(vectors))
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _anonymous(media_id: str) -> str:
    return hashlib.sha256(media_id.encode()).hexdigest()[:16]


def _fingerprint(vector: str, name: str, reception: Reception) -> tuple[str, float]:
    return digest([vector, name])[:8], round(reception.mean, 3)


def _reason(found: _Gathered, row: Mapping[str, Any], blobs: Blobs, recipe: str) -> str:
    """Why to fit anew; empty when there is no reason."""
    if json.loads(row["details"])["recipe"] != recipe:
        return "code or seed changed"
    if found.seen is None:
        return "" if row["version"] == _few(found, recipe).version else "too few items"
    if not row["blob"]:
        return "enough items"
    before: Examples = json.loads(blobs.get(f"{row['blob']}/examples.json"))
    both = before.keys() & found.examples.keys()
    other = sum(before[one][0] != found.examples[one][0] for one in both)
    moved = sum(abs(before[one][1] - found.examples[one][1]) > MOVED for one in both) + len(before.keys() ^ found.examples.keys())
    if other > CHANGED_SHARE * len(before):
        return f"{other / len(before):.0%} of the examples have other vectors or classes"
    return f"{moved / len(before):.0%} of the examples came, went or are liked otherwise" if moved > MOVED_SHARE * len(before) else ""


def _few(found: _Gathered, recipe: str) -> Row:
    why = f"found {found.n_known} items with a picture that at least {LEAST_PEOPLE} people know, {LEAST_ITEMS} are needed"
    return _row(digest([recipe, why]), None, found.n_known, why, {"recipe": recipe}, {})


def _fitted(found: _Gathered, seen: Seen, blobs: Blobs, recipe: str, seed: int) -> Row:
    version = digest([recipe, *(f"{one}{a}{b}" for one, (a, b) in sorted(found.examples.items()))])
    files, figures, why = {"examples.json": json.dumps(found.examples).encode()}, {}, ""
    try:
        figures = looks.evaluate(seen, seed)
        if figures["low"] > 0:
            files |= looks.fitted(seen, found.encoder, min(1.0, figures["low"])).files()
        else:
            why = f"no proof: {_told(figures)}"
    except ValueError as error:
        why = str(error)
    for name, data in files.items():
        blobs.put(TABLE, TABLE, version, name, data)
    details = {"recipe": recipe, "seed": seed, "encoder": found.encoder, "evaluation": dict(figures),
               "method": "5-fold cross-validation grouped by source and creator; 99 % bootstrap over groups"}  # fmt: skip
    return _row(version, blobs.prefix(TABLE, TABLE, version), found.n_known, why, details, figures)


def _told(figures: Mapping[str, float]) -> str:
    found = f"{figures['spearman']:.2f} ({figures['low']:.2f} to {figures['high']:.2f})"
    return f"on {figures['n']} items of creators it never saw, what looks promise and what people did correlate by {found}"


def _row(version: str, blob: str | None, n: int, why: str, details: Mapping[str, object], figures: Mapping[str, float]) -> Row:
    values = {
        "on": blob is not None and not why,
        "reason": why or _told(figures),
        **{name: figures.get(column) for name, column in (("spearman", "spearman"), ("spearman_low", "low"), ("spearman_high", "high"))},
        "blob": blob, "trained_at": datetime.now(UTC), "n_examples": n, "details": json.dumps(details),
    }  # fmt: skip
    return Row(TABLE, version, {"model": version if values["on"] else "off"}, values)


def _outcome(ledger: Ledger, computed: int, values: Mapping[str, Any], fitted: str) -> Outcome:
    notes: dict[str, float | int | str] = {"fitted": fitted, "on": "yes" if values["on"] else "no", "why": values["reason"]}
    notes |= {name: values[name] for name in ("n_examples", "spearman", "spearman_low", "spearman_high") if values[name] is not None}
    return Outcome(TABLE, WHOLE, computed, 0, 0, ledger.counts(TABLE).ok, ledger.data_version(TABLE, WHOLE), notes)
