"""What the report says of technical quality: how it is distributed, what spoils it most often, and the worst items with their reasons."""

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
    """Read it from technical_quality, column by column: a library has dozens of signals for every item."""
    import numpy as np
    import pyarrow.compute as pc

    rows = ledger.rows("technical_quality", columns=["score", "picture_score", "sound_score", "signals"])
    bins = np.bincount(np.minimum((rows["score"].to_numpy().astype(np.float64) * BINS).astype(np.int64), BINS - 1), minlength=BINS)
    signals = pc.call_function("list_flatten", [rows["signals"]])
    names, scores = (pc.call_function("struct_field", [signals], pc.StructFieldOptions([name])) for name in ("name", "score"))
    bad = names.filter(pc.call_function("less", [scores, BAD]))
    defects = {one["values"]: one["counts"] for one in bad.value_counts().to_pylist()}
    shown = rows.sort_by([("score", "ascending"), ("media_id", "ascending")]).slice(0, _ITEMS).to_pylist()
    frequent = sorted(defects.items(), key=lambda pair: (-pair[1], pair[0]))[:_DEFECTS]
    return Technical(len(rows), tuple(bins.tolist()), tuple(frequent), tuple(_worst(row) for row in shown))


def _worst(row: dict[str, Any]) -> Worst:
    reasons = tuple(one["reason"] for one in worst(row["signals"] or (), _REASONS))
    return Worst(row["media_id"], row["score"], row["picture_score"], row["sound_score"], reasons)
