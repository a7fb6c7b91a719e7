"""What the report tells of the classifiers that wanted to serve."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger

_SHOWN = 8


@dataclass(frozen=True)
class Decision:
    """One decision between the classifier that served and a challenger."""

    decided_at: str
    adopted: bool
    reason: str
    models: Mapping[str, Mapping[str, float]]
    training: Mapping[str, object]
    picture: str


def decided(ledger: "Ledger") -> tuple[Decision, ...]:
    """The newest decisions, newest first."""
    columns = ["decided_at", "adopted", "reason", "metrics", "details", "picture"]
    rows = sorted(ledger.rows("classifier_decision", None, columns).to_pylist(), key=lambda row: row["decided_at"], reverse=True)
    found = []
    for row in rows[:_SHOWN]:
        models: dict[str, dict[str, float]] = {}
        for metric in row["metrics"] or ():
            models.setdefault(metric["model"], {})[metric["metric"]] = metric["value"]
        training = json.loads(row["details"] or "{}").get("training", {})
        at = row["decided_at"].strftime("%Y-%m-%d %H:%M UTC")
        found.append(Decision(at, row["adopted"], row["reason"], models, training, row["picture"] or ""))
    return tuple(found)
