"""What the report says of copies, and of what moderation keeps back."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from avrec_dag.steps import WHOLE

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger

_GROUPS, _MEMBERS, _LISTED = 6, 6, 20


@dataclass(frozen=True)
class Copies:
    """The groups of copies.

    Attributes:
        n_groups: How many there are.
        n_items: Items in them, the canonical ones among them.
        by_kind: How many items are copies of which kind.
        largest: The largest groups, each with its members' media_id, kind, similarity and evidence, the canonical item first.
    """

    n_groups: int
    n_items: int
    by_kind: tuple[tuple[str, int], ...]
    largest: tuple[tuple[dict[str, Any], ...], ...]


@dataclass(frozen=True)
class KeptBack:
    """What moderation decided: how many items by decision, and those that are shown to nobody, the highest scores first."""

    decided: tuple[tuple[str, int], ...]
    by_people: int
    items: tuple[dict[str, Any], ...]


def copies(ledger: "Ledger") -> Copies:
    """Read `duplicates`."""
    columns = ["group_id", "kind", "similarity", "evidence"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in ledger.rows("duplicates", WHOLE, columns).to_pylist():
        if row["group_id"] is not None:
            groups.setdefault(row["group_id"], []).append(row)
    for members in groups.values():
        members.sort(key=lambda row: (row["kind"] != "canonical", -row["similarity"], row["media_id"]))
    kinds = Counter(row["kind"] for members in groups.values() for row in members)
    largest = sorted(groups.values(), key=lambda members: (-len(members), members[0]["media_id"]))[:_GROUPS]
    found = tuple((kind, kinds[kind]) for kind in ("exact", "perceptual", "semantic") if kinds[kind])
    return Copies(len(groups), kinds.total(), found, tuple(tuple(members[:_MEMBERS]) for members in largest))


def kept_back(ledger: "Ledger") -> KeptBack:
    """Read `moderation_decisions`."""
    rows = ledger.rows("moderation_decisions", WHOLE, ["decision", "origin", "score", "reason"]).to_pylist()
    counts = Counter(row["decision"] for row in rows)
    back = sorted((row for row in rows if row["decision"] != "allow"), key=lambda row: (-(row["score"] or 0), row["media_id"]))
    decided = tuple((name, counts[name]) for name in ("allow", "hold", "block"))
    return KeptBack(decided, sum(row["origin"] == "person" for row in rows), tuple(back[:_LISTED]))
