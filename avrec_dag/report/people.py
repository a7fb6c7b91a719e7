"""What the report says of quality's parts: which there are, what they weigh, what people wrote, and whether looks are judged."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avrec_dag.quality.parts import PARTS

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger


@dataclass(frozen=True)
class Part:
    """One part of quality over the library: of how many items it is known, its mean there, and its mean weight over all items."""

    name: str
    n_items: int
    mean: float
    weight: float


@dataclass(frozen=True)
class Parts:
    """The parts, how many comments praise, complain or do neither, and what is known of looks (empty before the first fit)."""

    parts: tuple[Part, ...] = ()
    comments: tuple[tuple[str, int], ...] = ()
    looks: str = ""
    looks_on: bool = False


def gather(ledger: "Ledger") -> Parts:
    """Read it from quality_scores, comment_sentiment and aesthetic_model."""
    rows = ledger.rows("quality_scores", columns=[*PARTS, "weights"]).to_pylist()
    weights: Counter[str] = Counter()
    for row in rows:
        weights.update({one["part"]: one["weight"] for one in row["weights"] or ()})
    parts = []
    for name in PARTS:
        values = [row[name] for row in rows if row[name] is not None]
        if values:
            parts.append(Part(name, len(values), sum(values) / len(values), weights[name] / len(rows)))
    said = Counter(ledger.rows("comment_sentiment", columns=["sentiment"])["sentiment"].to_pylist())
    model = ledger.row("aesthetic_model", "aesthetic_model") or {}
    return Parts(
        tuple(parts), tuple(sorted(said.items(), key=lambda pair: -pair[1])), str(model.get("reason") or ""), bool(model.get("on"))
    )
