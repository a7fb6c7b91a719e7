"""Bringing the classifier up to date: when to retrain, what to store, what to say when it cannot be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding.classes import AssignClasses
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.examples import LEAST_SOURCES, Examples, Labelled, gather
from avrec_dag.understanding.predictions import Predictions
from avrec_dag.understanding.settings import Settings
from avrec_dag.understanding.topics import TOPICS, Prompts
from avrec_dag.understanding.training import train

Notes = Mapping[str, float | int | str]

MODEL = "content_classifier"
"""Table, and the key of its one row."""
CHANGED_SHARE = 0.05
"""Share of the training vectors that may change before the classifier is trained anew."""


@dataclass(frozen=True)
class _TrainingRecipe:
    """What besides the data decides the result of a training."""

    code: str
    seed: int
    settings: Settings

    @property
    def digest(self) -> str:
        return digest([self.code, str(self.seed), self.settings.model_dump_json()])


@dataclass(frozen=True)
class TrainedModel:
    """The row of content_classifier.

    Attributes:
        version: Enters the version of every row of content_classes.
        blob: Prefix of its files; None when labels are too few for a classifier.
        n_examples: How many items it learned from.
        details: As stored: recipe, labels, classes, left_out, seed, and why there is no classifier.
    """

    version: str
    blob: str | None
    n_examples: int
    details: Mapping[str, Any]


def trained_model(ledger: Ledger) -> TrainedModel | None:
    """The classifier as it is now; None before the first `update_classifier`."""
    row: dict[str, Any] | None = ledger.row(MODEL, MODEL)
    return None if row is None else TrainedModel(row["version"], row["blob"], row["n_examples"] or 0, json.loads(row["details"]))


def update_classifier(
    ledger: Ledger,
    blobs: Blobs,
    step: Step,
    *,
    seed: int = 0,
    run_id: str = "",
    settings: Settings | None = None,
    encoders: str = "packaged",
) -> Outcome:
    """Train the content classifier when there is reason to.

    Reasons: a label or a source changed, came or went; the step's code, the seed or the settings changed; or more than 5 % of the
    training vectors changed, came or went. The row's version enters the version of every row of content_classes, so
    an edited title must not retrain: it would reclassify the library for the sake of one item.

    With fewer than two classes that at least two sources show, the row says so and names no blob; content_classes is
    then zero-shot against the classes people used, or general topics where nobody used any.
    """
    found, recipe = gather(ledger, encoders), _TrainingRecipe(step.code, seed, settings or Settings())
    last = trained_model(ledger)
    reason = _reason(found, last, blobs, recipe) if last else "first time"
    if last is not None and not reason:
        return _outcome(ledger, MODEL, 0, {"retrained": "no", "examples": last.n_examples})
    row = _trained(found, found.examples, blobs, recipe) if found.examples else _untrained(found, recipe)
    ledger.append(MODEL, WHOLE, [row], run_id)
    ledger.compact(MODEL, WHOLE)
    n_examples = len(found.examples.media_ids) if found.examples else 0
    notes: Notes = {"retrained": reason, "examples": n_examples, "classes": len(found.names)}
    return _outcome(ledger, MODEL, 1, notes)


def _reason(found: Labelled, last: TrainedModel, blobs: Blobs, recipe: _TrainingRecipe) -> str:
    """Why to train anew; empty when there is none."""
    if last.details["recipe"] != recipe.digest:
        return "code, seed or settings changed"
    if last.details["labels"] != found.labels:
        return "labels changed"
    if bool(last.blob) != (found.examples is not None):
        return "enough examples" if found.examples else "too few examples"
    if found.examples is None:
        return ""
    changed = _changed_share(json.loads(blobs.get(f"{last.blob}/vectors.json")), found.vectors)
    return f"{changed:.0%} of the training vectors changed" if changed > CHANGED_SHARE else ""


def _changed_share(before: Mapping[str, str], now: Mapping[str, str]) -> float:
    changed = sum(before.get(media_id) != now.get(media_id) for media_id in before.keys() | now.keys())
    return changed / max(len(before), 1)


def _trained(found: Labelled, examples: Examples, blobs: Blobs, recipe: _TrainingRecipe) -> Row:
    classifier, held_out = train(examples, recipe.settings, recipe.seed)
    version = digest([recipe.digest, found.labels, *(text for pair in sorted(found.vectors.items()) for text in pair)])
    files = {
        **classifier.files(),
        "held_out.json": Predictions.of(examples, held_out).to_json(),
        "vectors.json": json.dumps(dict(found.vectors)).encode(),
    }
    for name, data in files.items():
        blobs.put(MODEL, MODEL, version, name, data)
    details = {
        **_common(found, recipe),
        "classes": list(examples.names),
        "temperature": held_out.temperature,
        "multi_label": examples.multi_label,
        "grouping": examples.grouping,
        "epochs_per_fold": list(held_out.epochs),
        "settings": recipe.settings.model_dump(),
    }
    return _row(version, blobs.prefix(MODEL, MODEL, version), len(examples.media_ids), details)


def _untrained(found: Labelled, recipe: _TrainingRecipe) -> Row:
    """The row that says why there is no classifier; its version changes only with the classes zero-shot will choose from."""
    why = f"a classifier needs 2 classes, each shown by {LEAST_SOURCES} sources; found {len(found.names)} classes in use"
    details = {**_common(found, recipe), "why": why, "classes": list(found.names)}
    return _row(digest([recipe.code, "zero-shot", *found.names]), None, 0, details)


def _common(found: Labelled, recipe: _TrainingRecipe) -> dict[str, object]:
    return {"recipe": recipe.digest, "labels": found.labels, "left_out": dict(found.left_out), "seed": recipe.seed}


def _row(version: str, blob: str | None, n_examples: int, details: Mapping[str, object]) -> Row:
    values = {"blob": blob, "trained_at": datetime.now(UTC), "n_examples": n_examples, "details": json.dumps(details, ensure_ascii=False)}
    return Row(MODEL, version, {"model": version}, values)


def classes_task(ledger: Ledger, store_uri: str, encoders: str = "packaged") -> AssignClasses:
    """The task that fills content_classes now: with the classifier where one is trained, else zero-shot in the preset's joint space."""
    model = trained_model(ledger)
    if model is not None and model.blob:
        return AssignClasses(store_uri, model.blob, encoders=encoders)
    names = model.details["classes"] if model else []
    prompts: Prompts = tuple((name, (name,)) for name in names) if len(names) >= 2 else TOPICS
    return AssignClasses(store_uri, None, prompts, encoders)


def _outcome(ledger: Ledger, table: str, computed: int, notes: Notes) -> Outcome:
    rows = ledger.counts(table).ok
    return Outcome(table, WHOLE, computed, 0, 0, rows, ledger.data_version(table, WHOLE), notes)
