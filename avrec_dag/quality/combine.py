"""One quality score per item: what it measures, moved by what people made of it the more of them there are."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.quality import parts
from avrec_dag.quality.aesthetic import current
from avrec_dag.quality.comments import Written, usual, written
from avrec_dag.quality.looks import LooksModel
from avrec_dag.quality.priors import Priors, priors
from avrec_dag.quality.reception import Reception, classes_of, receptions
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding.digests import digest

_CHUNK = 2_000


@dataclass(frozen=True)
class _Found:
    """Everything the scores follow from.

    Attributes:
        technical: Item -> its technical score and the hash of it.
        class_of: Item -> the class it most likely belongs to.
        received: Item -> what people made of it.
        expected: What to expect of an item of each class.
        written: Item -> what people wrote about it.
        usual: How people usually write here, in [0, 1].
        looks: What judges looks; None while nothing does.
        looks_version: What its judgements depend on.
        pictures: Item -> day and hash of its picture vector; empty while nothing judges them.
    """

    technical: Mapping[str, tuple[float, str]]
    class_of: Mapping[str, str]
    received: Mapping[str, Reception]
    expected: Priors
    written: Mapping[str, Written]
    usual: float
    looks: LooksModel | None
    looks_version: str
    pictures: Mapping[str, tuple[str, str]]


def update_quality(ledger: Ledger, blobs: Blobs, step: Step, *, run_id: str = "") -> Outcome:
    """Bring quality_scores up to date, computing only items of which some part changed.

    `behaviour` is a Bayesian average in [0, 1] over people, each counted once with the mean of their event weights, so that
    nobody votes twice by pressing twice; what stands behind it is the expectation for the item's class (`priors`). The
    expectations enter the versions of items that somebody reacted to, rounded: they move rarely, and scores do not
    depend on the order in which events came. How the parts become one score is in `parts.weights`.
    """
    found = _gather(ledger, blobs)
    plan = ledger.wanted(step.name, WHOLE, {one: _version(step.code, found, one) for one in found.technical})
    aesthetic = _aesthetic(ledger, found, [item.key for item in plan.todo])
    rows = [_row(found, item.key, item.version, aesthetic.get(item.key)) for item in plan.todo]
    if rows or plan.gone:
        ledger.append(step.name, WHOLE, rows, run_id)
        ledger.tombstone(step.name, WHOLE, plan.gone, run_id)
        ledger.compact(step.name, WHOLE)
    held = ledger.counts(step.name).ok
    return Outcome(step.name, WHOLE, len(rows), 0, len(plan.gone), held, ledger.data_version(step.name, WHOLE), _notes(found))


def _gather(ledger: Ledger, blobs: Blobs) -> _Found:
    table = ledger.rows("technical_quality", columns=["fields", "score"])
    ids, hashes = table["media_id"].to_pylist(), [dict(fields)["score"] for fields in table["fields"].to_pylist()]
    technical = dict(zip(ids, zip(table["score"].to_pylist(), hashes, strict=True), strict=True))
    class_of, received = classes_of(ledger), receptions(ledger)
    mine = {one: received[one] for one in received.keys() & technical.keys()}
    comments = {one: about for one, about in written(ledger).items() if one in mine}
    looks_version, looks = current(ledger, blobs)
    return _Found(
        technical,
        class_of,
        mine,
        priors(mine, class_of),
        comments,
        usual(comments),
        looks,
        looks_version,
        _pictures(ledger) if looks else {},
    )


def _pictures(ledger: Ledger) -> dict[str, tuple[str, str]]:
    table = ledger.rows("frame_embeddings", columns=["fields", "partition"])
    hashes = (dict(fields).get("vector", "") for fields in table["fields"].to_pylist())
    return dict(zip(table["media_id"].to_pylist(), zip(table["partition"].to_pylist(), hashes, strict=True), strict=True))


def _aesthetic(ledger: Ledger, found: _Found, keys: Collection[str]) -> dict[str, float]:
    """How the items look, of those that a model can judge; one day's vectors are in memory at a time."""
    if found.looks is None:
        return {}
    todo, judged = set(keys), {}
    for day in sorted({found.pictures[one][0] for one in todo & found.pictures.keys()}):
        for batch in ledger.rows("frame_embeddings", day, ["vector", "model"]).to_batches(max_chunksize=_CHUNK):
            for row in batch.to_pylist():
                one = row["media_id"]
                if one in todo and one in found.technical:
                    technical, name = found.technical[one][0], found.class_of.get(one, "")
                    judged[one] = found.looks.score(row["vector"], row["model"], technical, name)
    return {one: score for one, score in judged.items() if score is not None}


def _version(code: str, found: _Found, media_id: str) -> str:
    technical, reception = found.technical[media_id][1], found.received.get(media_id)
    name = found.class_of.get(media_id, "")
    seen_as = [found.looks_version, found.pictures[media_id][1], name] if media_id in found.pictures else []
    if reception is None:
        return digest([code, technical, "nobody", *seen_as])
    seen = [str(reception.n_events), str(reception.n_people), f"{reception.total:.4f}"]
    about = found.written.get(media_id)
    said = [str(about.n_comments), str(about.n_people), f"{about.total:.4f}", f"{found.usual:.2f}"] if about else []
    return digest([code, technical, *seen, name, f"{found.expected.of(name):.2f}", str(found.expected.people), *said, *seen_as])


def _row(found: _Found, media_id: str, version: str, aesthetic: float | None) -> Row:
    known, reception, about = _known(found, media_id, aesthetic), found.received.get(media_id), found.written.get(media_id)
    score = parts.score(known)
    values = {
        "score": score,
        **{part: known.values.get(part) for part in parts.PARTS},
        "weights": [{"part": part, "weight": weight} for part, weight in parts.weights(known).items()],
        "n_events": reception.n_events if reception else 0,
        "n_people": known.n_people,
        "n_comments": about.n_comments if about else 0,
        "reason": parts.reason(known),
    }
    return Row(media_id, version, {"score": digest([f"{score:.3f}"])}, values)


def _known(found: _Found, media_id: str, aesthetic: float | None) -> parts.Known:
    name, reception, about = found.class_of.get(media_id, ""), found.received.get(media_id), found.written.get(media_id)
    return parts.Known(
        technical=found.technical[media_id][0],
        aesthetic=aesthetic,
        looks_trust=found.looks.head.trust if found.looks else 0.0,
        behaviour=found.expected.liking(name, reception.total, reception.n_people) if reception else None,
        sentiment=about.average(found.usual) if about else None,
        n_people=reception.n_people if reception else 0,
        n_writers=about.n_people if about else 0,
        expected=found.expected.of(name),
        usual=found.usual,
        class_name=name,
    )


def _notes(found: _Found) -> dict[str, float | int | str]:
    expected = found.expected
    ranked = sorted(expected.classes.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ranked if len(ranked) <= 6 else [*ranked[:3], *ranked[-3:]]
    return {
        "items with feedback": len(found.received),
        "expected liking": expected.library,
        "people behind it": expected.people,
        "items with comments": len(found.written),
        "expected by class": ", ".join(f"{name} {value:.2f}" for name, value in shown) or "no class is known to anybody",
    }
