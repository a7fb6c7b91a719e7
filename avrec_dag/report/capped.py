"""What the report says of people who did more than a person can: bots, floods and stuck clients, whose further events weigh nothing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger

_LISTED = 10


@dataclass(frozen=True)
class Capped:
    """People whose events passed the limits.

    Attributes:
        n_people: How many of them.
        n_all: How many people there are.
        n_events: Events that weigh nothing.
        most: user_id, n_capped and n_items (met) of those with most such events.
    """

    n_people: int = 0
    n_all: int = 0
    n_events: int = 0
    most: tuple[dict[str, Any], ...] = ()


def capped(ledger: "Ledger") -> Capped:
    """Read `interactions`."""
    rows = ledger.rows("interactions", columns=["n_capped", "media_ids"]).to_pylist()
    over = sorted((row for row in rows if row["n_capped"]), key=lambda row: (-row["n_capped"], row["user_id"]))
    most = tuple({"user_id": row["user_id"], "n_capped": row["n_capped"], "n_items": len(row["media_ids"])} for row in over[:_LISTED])
    return Capped(len(over), len(rows), sum(row["n_capped"] for row in over), most)
