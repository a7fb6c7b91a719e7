"""Which models of a library serve and how good they are, and how new everything is; for those who run it. Nothing is changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from avrec_dag.ledger import Ledger
from avrec_dag.recommend.delay import lately
from avrec_dag.report.facts import Evaluation, evaluated
from avrec_dag.schema import TABLES

MODELS = ("fusion_model", "content_classifier", "aesthetic_model", "recommender", "item_index")
_TOLD = {name: [one for one in ("trained_at", "n_examples", "n_items") if one in TABLES[name].columns.names] for name in MODELS}
_DECISIONS = 8


@dataclass(frozen=True)
class Leaderboard:
    """The newest evaluation of one kind of model: model -> metric -> value."""

    name: str
    evaluated_at: str
    models: Mapping[str, Mapping[str, float]]
    about: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """One model that serves."""

    name: str
    version: str
    trained_at: datetime | None
    n_examples: int | None
    run_id: str


@dataclass(frozen=True)
class Decided:
    """One decision between the classifier that served and a challenger."""

    decided_at: str
    adopted: bool
    reason: str


@dataclass(frozen=True)
class Models:
    """Which models serve, how good they are, and which challengers were adopted."""

    serving: tuple[Model, ...]
    leaderboards: tuple[Leaderboard, ...]
    decisions: tuple[Decided, ...]


@dataclass(frozen=True)
class TableState:
    """One table: good and failed rows, and when the newest was written."""

    name: str
    ok: int
    failed: int
    newest_at: datetime | None


@dataclass(frozen=True)
class Health:
    """One promise of the lists and whether it is kept."""

    metric: str
    value: float
    passed: bool
    detail: str


@dataclass(frozen=True)
class Freshness:
    """How new everything is.

    Attributes:
        tables: In the order of the graph.
        delay: From upload to the first lists that know it, of the last week: `lately` items, percentiles in seconds.
        health: What the lists promise.
    """

    tables: tuple[TableState, ...]
    delay: dict[str, float] = field(default_factory=dict)
    health: tuple[Health, ...] = ()


def models_of(ledger: Ledger) -> Models:
    """Read the models, their evaluations and decisions."""
    boards = [(name, evaluated(ledger, name)) for name in ("recommender_evaluation", "classifier_evaluation")]
    decided = ledger.rows("classifier_decision", None, ["decided_at", "adopted", "reason"]).to_pylist()
    decided.sort(key=lambda row: row["decided_at"], reverse=True)
    return Models(
        tuple(one for name in MODELS if (one := _model(ledger, name)) is not None),
        tuple(_board(name, one) for name, one in boards if one is not None),
        tuple(Decided(f"{row['decided_at']:%Y-%m-%d %H:%M UTC}", row["adopted"], row["reason"]) for row in decided[:_DECISIONS]),
    )


def freshness_of(ledger: Ledger) -> Freshness:
    """Read when every table was written last."""
    health = ledger.rows("recommendation_health", None, ["value", "passed", "detail"]).to_pylist()
    return Freshness(
        tuple(_table(ledger, name) for name in TABLES),
        lately(ledger),
        tuple(Health(**row) for row in sorted(health, key=lambda row: (row["passed"], row["metric"]))),
    )


def _table(ledger: Ledger, name: str) -> TableState:
    rows = ledger.rows(name, None, ["status", "written_ns"], status=None)
    states = {one["values"]: one["counts"] for one in rows["status"].value_counts().to_pylist()}
    newest = pc.call_function("max", [rows["written_ns"]]).as_py()
    at = None if newest is None else datetime.fromtimestamp(newest / 1e9, UTC)
    return TableState(name, states.get("ok", 0), states.get("failed", 0), at)


def _model(ledger: Ledger, name: str) -> Model | None:
    row = next(iter(ledger.rows(name, None, ["version", "run_id", *_TOLD[name]]).to_pylist()), None)
    if row is None:
        return None
    return Model(name, row["version"], row.get("trained_at"), row.get("n_examples", row.get("n_items")), row["run_id"])


def _board(name: str, one: Evaluation) -> Leaderboard:
    plain = {key: value for key, value in one.details.items() if isinstance(value, str | int | float)}
    return Leaderboard(name, one.evaluated_at, one.models, plain)
