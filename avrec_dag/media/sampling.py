"""Which moments of a film are looked at, and which of those are kept."""

from bisect import bisect_left
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
        n = self._n_seen(duration_s)
        return [(i + 0.5) * duration_s / n for i in range(n)]

    def cheap_at_s(self, duration_s: float, keys_s: Sequence[float]) -> list[float]:
        """As many moments as `seen_at_s`, one in each of as many equal parts of the film, where a decoder has least to do.

        That is the key frame of a part, else its beginning: no part asks for the end of the frames that build on a key frame. Moments
        are at least half a part and less than two parts from each other.

        Args:
            duration_s: Of the film.
            keys_s: When its key frames are shown, ascending; none where the film must be decoded from end to end anyway.
        """
        n = self._n_seen(duration_s)
        part_s, earliest_s = duration_s / n, 0.0
        moments = []
        for i in range(n):
            at_s = max(i * part_s, earliest_s)
            key = bisect_left(keys_s, at_s)
            if key < len(keys_s) and keys_s[key] < (i + 1) * part_s:
                at_s = keys_s[key]
            moments.append(at_s)
            earliest_s = at_s + part_s / 2
        return moments

    def _n_seen(self, duration_s: float) -> int:
        return max(1, min(_SEEN_PER_KEPT * self.cap, round(duration_s * self.per_second)))

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
