"""Which moments of a film are looked at, and which of those are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

_SEEN_PER_KEPT = 4


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many frames an item is worth.

    Attributes:
        per_second: Frames kept for each second of a short film.
        per_shot: Frames kept of each shot at least, as far as the cap allows.
        cap: Most frames kept of one item.
        long_side_px: Kept frames are scaled down to this, never up.
        jpeg_quality: 1 to 100.
    """

    per_second: float = 1.0
    per_shot: int = 1
    cap: int = 64
    long_side_px: int = 512
    jpeg_quality: int = 85

    def canonical(self) -> str:
        """One text for one setting; it enters the code version of the frames."""
        return f"{self.per_second:g}/s,{self.per_shot}/shot,cap{self.cap},{self.long_side_px}px,q{self.jpeg_quality}"

    def n_kept(self, duration_s: float) -> int:
        """How many frames a film of this length keeps, before its shots ask for more."""
        return max(1, min(self.cap, round(duration_s * self.per_second)))

    def seen_at_s(self, duration_s: float) -> list[float]:
        """The moments looked at, evenly spread: more than are kept in a long film, so that its shots are found."""
        n = max(1, min(_SEEN_PER_KEPT * self.cap, round(duration_s * self.per_second)))
        return [(i + 0.5) * duration_s / n for i in range(n)]

    def choose(self, shots: Sequence[int], duration_s: float) -> list[int]:
        """Which of the frames seen are kept: some of each shot, more of longer shots, evenly spread within each.

        Args:
            shots: The shot of every frame seen, counting up from 0.
            duration_s: Of the film.

        Returns:
            Ascending indices into `shots`, at most `cap`.
        """
        members: dict[int, list[int]] = {}
        for index, shot in enumerate(shots):
            members.setdefault(shot, []).append(index)
        groups = list(members.values())
        if len(groups) * self.per_shot > self.cap:
            groups = [groups[i] for i in _spread(len(groups), max(1, self.cap // self.per_shot))]
        quota = [min(self.per_shot, len(group)) for group in groups]
        total = min(len(shots), max(self.n_kept(duration_s), sum(quota)), self.cap)
        while sum(quota) < total and any(q < len(g) for q, g in zip(quota, groups, strict=True)):
            neediest = max(range(len(groups)), key=lambda i: (len(groups[i]) - quota[i]) / (quota[i] + 1))
            quota[neediest] += 1
        return sorted(group[i] for group, n in zip(groups, quota, strict=True) for i in _spread(len(group), n))


def _spread(n: int, k: int) -> list[int]:
    """`k` of `n` places, evenly spread."""
    return [int((i + 0.5) * n / k) for i in range(k)] if k < n else list(range(n))
