"""Histories cut into pieces that a network can read: windows, batches of windows of like length, and who is watched meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions

Integers = NDArray[np.int64]
ENOUGH = 500
"""Held-out items by which epochs can be told apart: of fewer, luck chooses the epoch."""


@dataclass(frozen=True)
class Windows:
    """Pieces of histories. In each, every event but the first is a target: to be told from those before it.

    Attributes:
        columns: (events,) the item of each event.
        counts: (events,) float32, how much each counts as a target; 0: it is only read.
        starts: (windows,) the first event of each.
        lengths: (windows,) how many events, at least 2.
    """

    columns: Integers
    counts: NDArray[np.float32]
    starts: Integers
    lengths: Integers

    @property
    def targets(self) -> int:
        """How many events are to be told."""
        last = np.concatenate([[0], np.cumsum(self.counts > 0)])
        return int((last[self.starts + self.lengths] - last[self.starts + 1]).sum())

    def filled(self, some: Integers) -> tuple[Integers, NDArray[np.float32]]:
        """Some windows as rows of one length: (n, longest) items, and how much each counts as a target (0 where a row is over)."""
        lengths = self.lengths[some]
        place = np.arange(lengths.max())
        at = np.minimum(self.starts[some][:, None] + place, len(self.columns) - 1)
        counts = np.where((place > 0) & (place < lengths[:, None]), self.counts[at], 0)
        return self.columns[at], counts.astype(np.float32)

    def only(self, chosen: NDArray[np.bool_] | Integers) -> "Windows":
        """Some of the windows."""
        return Windows(self.columns, self.counts, self.starts[chosen], self.lengths[chosen])


def windows(data: Interactions, window: int, counts: NDArray[np.float32]) -> Windows:
    """Cut every history, from its end, into pieces of `window` + 1 events that overlap by one, so that each is a target once.

    Args:
        data: Liked events only.
        window: What the network reads at once.
        counts: (events,) see `Windows`. Pieces without a target are left out.
    """
    lengths = np.diff(data.indptr)
    pieces = np.maximum(-(-(lengths - 1) // window), 0)
    user = np.repeat(np.arange(len(lengths)), pieces)
    from_end = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    ends = data.indptr[user + 1] - from_end * window
    starts = np.maximum(data.indptr[user], ends - window - 1)
    made = Windows(data.columns.astype(np.int64), counts, starts, ends - starts)
    told = np.concatenate([[0], np.cumsum(counts > 0)])
    return made.only(told[ends] > told[starts + 1])


def batches(lengths: Integers, tokens: int, rng: np.random.Generator) -> Iterator[Integers]:
    """Windows of like length together, at most `tokens` places each (at least one window), in random order.

    Args:
        lengths: (windows,) events of each; a window has one place less.
        tokens: Places, those beyond the end of a row included.
        rng: Who stands beside whom, and in which order they come.
    """
    order = np.argsort(lengths + rng.random(len(lengths)), kind="stable")
    places = lengths[order] - 1
    cuts, start = [0], 0
    for end, place in enumerate(places.tolist()):
        if end > start and place * (end - start + 1) > tokens:
            cuts.append(end)
            start = end
    parts = np.split(order, cuts[1:])
    for number in rng.permutation(len(parts)):
        yield parts[number]


@dataclass(frozen=True)
class Watched:
    """Held-out items, by which training is judged as it goes on.

    Attributes:
        histories: Of some people, liked events only.
        users: (pairs,) rows of `histories`.
        targets: (pairs,) the item that each is to be told.
    """

    histories: Interactions
    users: Integers
    targets: Integers


def liked(data: Interactions) -> Interactions:
    """The events that speak for an item: what somebody disliked says nothing of what they seek next."""
    return data.only(data.weights > 0)


def held_back(data: Interactions, share: float, most: int, seed: int) -> tuple[Watched, NDArray[np.bool_]]:
    """The last event of some people, none of whom has fewer than three.

    Args:
        data: Liked events only.
        share: Of the people who could be asked; of more where that would be fewer than `ENOUGH`.
        most: Of so many at most.
        seed: Who.

    Returns:
        What is watched, and for each event of `data` whether it is a held-out one: (events,) bool.
    """
    able = np.flatnonzero(np.diff(data.indptr) >= 3)
    n = min(most, max(int(np.ceil(share * len(able))), min(ENOUGH, len(able))))
    users = np.sort(np.random.default_rng([seed, 3]).permutation(able)[:n])
    last = data.indptr[users + 1] - 1
    held = np.zeros(len(data), bool)
    held[last] = True
    return Watched(data.only(~held).of(users), np.arange(n), data.columns[last].astype(np.int64)), held


def watched(train: Interactions, valid: Interactions, most: int, seed: int) -> Watched:
    """What validation data asks: at most so many pairs of a person and an item they did not have before.

    Args:
        train: The histories, liked events only.
        valid: The same users; liked events only.
        most: Pairs.
        seed: Which.
    """
    n = len(train.items)
    cells = np.unique(valid.rows * n + valid.columns)
    cells = cells[~np.isin(cells, train.rows * n + train.columns)]
    cells = cells[np.diff(train.indptr)[cells // n] > 0] if n else cells
    cells = np.sort(np.random.default_rng([seed, 5]).permutation(cells)[:most])
    users, rows = np.unique(cells // max(n, 1), return_inverse=True)
    return Watched(train.of(users), rows.astype(np.int64), cells % max(n, 1))
