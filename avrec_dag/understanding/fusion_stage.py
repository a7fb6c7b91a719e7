"""Bringing the trained fusion up to date: when to train, whether to use it, what to say when not."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding import pictures
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.embedded import Embedded
from avrec_dag.understanding.examples import Examples, Labelled, gather
from avrec_dag.understanding.fusion import Fuse
from avrec_dag.understanding.fusion_comparison import Comparison, compare, trained_fusion
from avrec_dag.understanding.settings import FusionSettings

MODEL = "fusion_model"
"""Table, and the key of its one row."""
LEAST_EXAMPLES, LEAST_CLASSES = 100, 4
"""With fewer, what was held out says too little about whether training helps."""
GROWN = 1.2
"""So many times the examples of the last training call for another: it re-fuses and re-indexes everything."""
NOT_USED = ""
"""Version of a row without a fusion to use: that of a table without rows, so that nothing is fused anew for it."""


def update_fusion(
    ledger: Ledger,
    blobs: Blobs,
    step: Step,
    *,
    seed: int = 0,
    run_id: str = "",
    settings: FusionSettings | None = None,
    encoders: str = "packaged",
) -> Outcome:
    """Train the fusion when there is reason to, and use it only where it wins on what it never saw.

    Reasons: none was tried yet; the labelled items grew by a fifth; the classes changed; code, encoders, seed or settings did. It is used
    where its held-out accuracy beats each modality alone, concatenation and score averaging, and similar items are found at least as
    well as by the untrained recipe, among classes it knows and among classes it never saw. The row tells all of these figures.
    """
    sizes, embedded = settings or FusionSettings(), Embedded(ledger)
    recipe = digest([step.code, str(seed), sizes.model_dump_json()])
    found = gather(ledger, encoders, embedded)
    last: dict[str, Any] | None = ledger.row(MODEL, MODEL)
    reason = _reason(found, recipe, json.loads(last["details"]), last["n_examples"] or 0) if last else "first time"
    if last is not None and not reason and last["blob"] and not blobs.exists(f"{last['blob']}/model.safetensors"):
        reason = "its file is gone"
    if last is not None and not reason:
        return _outcome(ledger, 0, {"retrained": "no", "examples": last["n_examples"]}, last["picture"])
    row = _tried(found.examples, embedded, blobs, recipe, sizes, seed)
    ledger.append(MODEL, WHOLE, [row], run_id)
    ledger.compact(MODEL, WHOLE)
    details = json.loads(str(row.values["details"]))
    notes = {"retrained": reason, "used": "yes" if details["adopted"] else f"no: {details['why']}", **details.get("accuracy", {})}
    return _outcome(ledger, 1, notes, row.values["picture"])


def _reason(found: Labelled, recipe: str, details: Mapping[str, Any], n_before: int) -> str:
    """Why to train anew; empty when there is none."""
    names = list(found.examples.names) if found.examples else []
    n = len(found.examples.media_ids) if found.examples else 0
    if details["recipe"] != recipe:
        return "code, encoders, seed or settings changed"
    if not _enough(found.examples):
        return "too few examples" if details["tried"] else ""
    if not details["tried"]:
        return "enough examples"
    if details["classes"] != names:
        return "classes changed"
    return f"{n} examples, {n_before} before" if n >= GROWN * n_before else ""


def _enough(examples: Examples | None) -> bool:
    return examples is not None and len(examples.media_ids) >= LEAST_EXAMPLES and len(examples.names) >= LEAST_CLASSES


def _tried(examples: Examples | None, embedded: Embedded, blobs: Blobs, recipe: str, settings: FusionSettings, seed: int) -> Row:
    """Train and compare; the row of what came of it."""
    n = len(examples.media_ids) if examples else 0
    common = {"recipe": recipe, "seed": seed, "settings": settings.model_dump(), "classes": list(examples.names) if examples else []}
    if examples is None or not _enough(examples):
        why = f"found {n} labelled items of {len(common['classes'])} classes, at least {LEAST_EXAMPLES} of {LEAST_CLASSES} needed"
        return _row(NOT_USED, None, n, {**common, "tried": False, "adopted": False, "why": why}, None)
    vectors = np.stack([embedded.vectors[media_id] for media_id in examples.media_ids])
    result = compare(examples, vectors, settings, seed)
    version = digest([recipe, *examples.media_ids, examples.targets.tobytes(), examples.tokens.tobytes()])
    picture = blobs.put(MODEL, MODEL, version, "comparison.png", _drawn(result))
    details = {
        **common, "tried": True, "adopted": not result.why_not, "why": result.why_not, "grouping": examples.grouping,
        "accuracy": result.accuracy, "similarity": result.similarity, "n_compared": result.n_examples,
    }  # fmt: skip
    if result.why_not:
        return _row(NOT_USED, None, n, details, picture)
    for name, data in trained_fusion(examples, settings, seed).files().items():
        blobs.put(MODEL, MODEL, version, name, data)
    return _row(version, blobs.prefix(MODEL, MODEL, version), n, details, picture)


def _drawn(result: Comparison) -> bytes:
    similarity = {
        f"similar, {classes} classes, {which}": value for classes, one in result.similarity.items() for which, value in one.items()
    }
    title = f"held out: accuracy, and mean average precision of similar items ({result.n_examples} examples)"
    return pictures.side_by_side({**result.accuracy, **similarity}, title, result.accuracy["concatenation"])


def _row(version: str, blob: str | None, n_examples: int, details: Mapping[str, object], picture: str | None) -> Row:
    told = json.dumps(details, ensure_ascii=False)
    values = {"blob": blob, "trained_at": datetime.now(UTC), "n_examples": n_examples, "details": told, "picture": picture}
    return Row(MODEL, version, {"model": version}, values)


def fuse_task(ledger: Ledger, store_uri: str) -> Fuse:
    """The task that fills fused_features now: with the trained fusion where one is used, else by the untrained recipe."""
    row: dict[str, Any] | None = ledger.row(MODEL, MODEL)
    return Fuse(store_uri, row["blob"]) if row and row["blob"] else Fuse()


def _outcome(ledger: Ledger, computed: int, notes: Mapping[str, float | int | str], picture: object) -> Outcome:
    blobs = {"comparison": str(picture)} if picture else {}
    return Outcome(MODEL, WHOLE, computed, 0, 0, ledger.counts(MODEL).ok, ledger.data_version(MODEL, WHOLE), notes, blobs)
