"""What the report says of technical quality: how it is distributed, what spoils it most often, and the worst items with their reasons."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from avrec_dag.quality.signals import BAD, worst

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger

BINS = 20
_ITEMS, _REASONS, _DEFECTS = 8, 2, 8


@dataclass(frozen=True)
class Worst:
    """One item: its scores in [0, 1] (None without a picture, or without sound), and in words what spoils it most."""

    media_id: str
    score: float
    picture_score: float | None
    sound_score: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Technical:
    """The whole library.

    Attributes:
        n_items: Items that were measured.
        histogram: How many of them have a score in each of `BINS` equal parts of [0, 1].
        defects: Signal -> how many items have it below `signals.BAD`, the most frequent ones.
        items: The worst items, worst first.
    """

    n_items: int = 0
    histogram: tuple[int, ...] = ()
    defects: tuple[tuple[str, int], ...] = ()
    items: tuple[Worst, ...] = ()


def measured(ledger: "Ledger") -> Technical:
    """Read it from technical_quality."""
    rows = ledger.rows("technical_quality", columns=["score", "picture_score", "sound_score", "signals"]).to_pylist()
    bins = Counter(min(int(row["score"] * BINS), BINS - 1) for row in rows)
    defects = Counter(one["name"] for row in rows for one in row["signals"] or () if one["score"] < BAD)
    shown = sorted(rows, key=lambda row: (row["score"], row["media_id"]))[:_ITEMS]
    frequent = sorted(defects.items(), key=lambda pair: (-pair[1], pair[0]))[:_DEFECTS]
    return Technical(len(rows), tuple(bins[i] for i in range(BINS)), tuple(frequent), tuple(_worst(row) for row in shown))


def _worst(row: dict[str, Any]) -> Worst:
    reasons = tuple(one["reason"] for one in worst(row["signals"] or (), _REASONS))
    return Worst(row["media_id"], row["score"], row["picture_score"], row["sound_score"], reasons)
