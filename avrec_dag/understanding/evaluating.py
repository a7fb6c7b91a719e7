"""Bringing classifier_evaluation up to date: figures and pictures of the current classifier's held-out predictions."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding import pictures
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.examples import known_copies, picture_tokens
from avrec_dag.understanding.predictions import Predictions
from avrec_dag.understanding.splits import apart, near_duplicates
from avrec_dag.understanding.stage import MODEL, trained_model

MOST_SHOWN = 12
"""Mistakes shown as pictures."""


def update_evaluation(ledger: Ledger, blobs: Blobs, step: Step, *, run_id: str = "") -> Outcome:
    """Evaluate the current classifier once: one row per model version, older rows stay as history.

    The figures are of the cross-validation stored when the model was trained, so that nothing is trained here: every example is judged
    by a model that saw neither it nor anything of its group. `near_duplicates_apart` counts pairs of items that look the same, or are
    known copies, but were held out in different folds, looked for anew in what is stored now.
    """
    model = trained_model(ledger)
    if model is None or not model.blob:
        return _outcome(ledger, step.name, 0, {"evaluated": "no classifier"}, {})
    version = digest([step.code, model.version])
    known: dict[str, Any] | None = ledger.row(step.name, model.version)
    if known is not None and known["version"] == version:
        return _evaluated(ledger, step.name, 0, known["metrics"], json.loads(known["details"])["pictures"])
    held_out = Predictions.read(blobs.get(f"{model.blob}/held_out.json"))
    result, separated = held_out.evaluated(), _separated(ledger, held_out)
    drawn = {"confusion matrix": pictures.confusion(result), "reliability": pictures.reliability(result)}
    mistakes = held_out.mistakes()
    if shown := _shown(ledger, blobs, held_out, mistakes):
        drawn["surest mistakes"] = pictures.worst(shown)
    paths = {name: blobs.put(step.name, model.version, version, f"{name.replace(' ', '_')}.png", data) for name, data in drawn.items()}
    figures = {**result.metrics, "near_duplicates_apart": float(len(separated))}
    metrics: list[dict[str, Any]] = [{"model": MODEL, "metric": name, "value": value} for name, value in figures.items()]
    details = {
        "per_class": result.per_class,
        "confusion": result.confusion.tolist(),
        "classes": list(result.names),
        "method": f"cross-validation {model.details.get('grouping', 'grouped by source')}",
        "examples_per_fold": np.bincount(held_out.fold).tolist(),
        "seed": model.details["seed"],
        "reliability": [[round(float(value), 4) for value in row] if row[2] else None for row in result.reliability],
        "near_duplicates_apart": [[held_out.media_ids[i], held_out.media_ids[j]] for i, j in separated[:MOST_SHOWN]],
        "surest_mistakes": [asdict(_told(held_out, i)) for i in mistakes[:MOST_SHOWN]],
        "pictures": paths,
    }
    values = {
        "model_version": model.version,
        "evaluated_at": datetime.now(UTC),
        "metrics": metrics,
        "details": json.dumps(details, ensure_ascii=False),
        "picture": paths["confusion matrix"],
    }
    ledger.append(step.name, WHOLE, [Row(model.version, version, {"evaluation": version}, values)], run_id)
    ledger.compact(step.name, WHOLE)
    return _evaluated(ledger, step.name, 1, metrics, paths)


def _separated(ledger: Ledger, held_out: Predictions) -> list[tuple[int, int]]:
    tokens = picture_tokens(ledger, held_out.media_ids)
    pairs = {*near_duplicates(tokens), *known_copies(ledger, held_out.media_ids)}
    return apart(sorted(pairs), held_out.fold)


@dataclass(frozen=True)
class _Mistake:
    media_id: str
    labels: list[str]
    predicted: str
    probability: float


def _told(held_out: Predictions, place: int) -> _Mistake:
    best = int(held_out.probs[place].argmax())
    labels = [held_out.names[i] for i in np.flatnonzero(held_out.targets[place])]
    return _Mistake(held_out.media_ids[place], labels, held_out.names[best], round(float(held_out.probs[place, best]), 4))


def _shown(ledger: Ledger, blobs: Blobs, held_out: Predictions, mistakes: Iterable[int]) -> list[tuple[bytes, str, str]]:
    """Picture, labels and prediction of the surest mistakes that have a picture."""
    shown: list[tuple[bytes, str, str]] = []
    for place in mistakes:
        if len(shown) == MOST_SHOWN:
            break
        told = _told(held_out, place)
        said, taken_for = ", ".join(told.labels), f"{told.predicted} {told.probability:.0%}"
        row = ledger.row("frames", held_out.media_ids[place])
        path = f"{row['blob']}/sheet.jpg" if row else ""
        if path and blobs.exists(path):
            shown.append((blobs.get(path), said, taken_for))
    return shown


def _evaluated(ledger: Ledger, table: str, computed: int, metrics: list[dict[str, Any]], paths: Mapping[str, str]) -> Outcome:
    return _outcome(ledger, table, computed, {one["metric"]: one["value"] for one in metrics}, paths)


def _outcome(ledger: Ledger, table: str, computed: int, notes: Mapping[str, float | int | str], paths: Mapping[str, str]) -> Outcome:
    return Outcome(table, WHOLE, computed, 0, 0, ledger.counts(table).ok, ledger.data_version(table, WHOLE), notes, paths)
