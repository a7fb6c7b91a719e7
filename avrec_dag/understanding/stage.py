"""The trained classifiers as the ledger has them, and the task that classifies with the one that serves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE
from avrec_dag.understanding.classes import AssignClasses
from avrec_dag.understanding.topics import TOPICS, Prompts

Notes = Mapping[str, float | int | str]

MODEL, CANDIDATE, DECISION = "content_classifier", "classifier_candidate", "classifier_decision"
"""Tables: the classifier that serves, its newest challenger, and what was decided. The first two have one row, with their name for key."""


@dataclass(frozen=True)
class TrainedModel:
    """The row of content_classifier or classifier_candidate.

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


def trained_model(ledger: Ledger, table: str = MODEL) -> TrainedModel | None:
    """The classifier that serves now, or with `CANDIDATE` the newest challenger; None before the first."""
    row: dict[str, Any] | None = ledger.row(table, table)
    return None if row is None else TrainedModel(row["version"], row["blob"], row["n_examples"] or 0, json.loads(row["details"]))


def model_row(table: str, version: str, blob: str | None, n_examples: int, details: Mapping[str, object]) -> Row:
    """The one row of a table of classifiers."""
    values = {"blob": blob, "trained_at": datetime.now(UTC), "n_examples": n_examples, "details": json.dumps(details, ensure_ascii=False)}
    return Row(table, version, {"model": version}, values)


def classes_task(ledger: Ledger, store_uri: str, encoders: str = "packaged") -> AssignClasses:
    """The task that fills content_classes now: with the classifier where one is trained, else zero-shot in the preset's joint space."""
    model = trained_model(ledger)
    if model is not None and model.blob:
        return AssignClasses(store_uri, model.blob, encoders=encoders)
    names = model.details["classes"] if model else []
    prompts: Prompts = tuple((name, (name,)) for name in names) if len(names) >= 2 else TOPICS
    return AssignClasses(store_uri, None, prompts, encoders)


def whole_outcome(ledger: Ledger, table: str, computed: int, notes: Notes, shown: Mapping[str, str] | None = None) -> Outcome:
    """What bringing a table of the whole library up to date did; `shown`: label -> path of a picture."""
    rows = ledger.counts(table).ok
    return Outcome(table, WHOLE, computed, 0, 0, rows, ledger.data_version(table, WHOLE), notes, shown or {})
