"""What came of what was shown: each event of a person goes to the last list before it that held its item."""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from avrec_dag.experiments.impressions import ERASED, Impression
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.feedback.events import unix_us

REWARDS: Mapping[str, frozenset[str]] = {
    "clicks": frozenset({"play", "watch"}),
    "plays": frozenset({"play"}),
    "likes": frozenset({"like"}),
    "watched": frozenset({"watch"}),
    "dislikes": frozenset({"dislike", "not_interested", "skip", "report"}),
}
"""What is counted of an item that was shown -> the kinds of event that make it so: 1 where there is one, but for `watched`, which is the
largest share of the item that was watched."""
WINDOW_H = 24.0
"""An event later than this after the list has nothing to do with it."""


@dataclass(frozen=True)
class Outcomes:
    """Lists with what came of them, in the order in which they were read.

    Attributes:
        ids: Of the impressions.
        users: Of the people, once each.
        arms: Names of the arms, once each.
        items: Ids of the items, once each.
        user: (lists,) int64, place in `users`.
        arm: (lists,) int64, place in `arms`.
        starts: (lists + 1,) int64: where each list begins among all places.
        item: (places,) int64, place in `items`.
        rewards: Name of `REWARDS` -> (places,) float64 in [0, 1].
    """

    ids: tuple[str, ...]
    users: tuple[str, ...]
    arms: tuple[str, ...]
    items: tuple[str, ...]
    user: NDArray[np.int64]
    arm: NDArray[np.int64]
    starts: NDArray[np.int64]
    item: NDArray[np.int64]
    rewards: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, impressions: Iterable[Impression]) -> "Outcomes":
        """Lists that nothing came of: those that nobody saw."""
        reading = _Reading()
        for one in impressions:
            reading.add(one)
        return reading.outcomes()

    @cached_property
    def row(self) -> Mapping[str, int]:
        """Impression -> its row."""
        return {one: row for row, one in enumerate(self.ids)}

    def by_list(self, reward: str) -> NDArray[np.float64]:
        """(lists,) float64: the sum of a reward over each list."""
        summed = np.concatenate([[0.0], np.cumsum(self.rewards[reward])])
        return summed[self.starts[1:]] - summed[self.starts[:-1]]


def gather(impressions: Iterable[Impression], log: FeedbackLog, *, window_h: float = WINDOW_H) -> Outcomes:
    """Join lists with the events of the log.

    An event belongs to the latest list of its person that held its item, was served no later than it happened, and at most `window_h`
    hours before. Devices tell when an event happened: one whose clock is behind may put it before the list, where it is not counted.

    Args:
        impressions: In time order; about 200 bytes for each place of each are held in memory.
        log: Where events are kept.
        window_h: Hours.
    """
    reading = _Reading()
    for one in impressions:
        reading.add(one)
    for day in _days(reading.first_us, reading.last_us, window_h):
        for event in log.events(day):
            reading.count(event, window_h)
    return reading.outcomes()


def _days(first_us: int | None, last_us: int, window_h: float) -> Iterable[str]:
    if first_us is None:
        return
    day, last = _date(first_us), _date(last_us + int(window_h * 3.6e9))
    while day <= last:
        yield day.isoformat()
        day += timedelta(days=1)


def _date(at_us: int) -> date:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date()


class _Numbers(dict[str, int]):
    """Names -> numbers in the order in which they were first seen."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


class _Reading:
    def __init__(self) -> None:
        self.users, self.arms, self.items = _Numbers(), _Numbers(), _Numbers()
        self.ids: list[str] = []
        self.user, self.arm, self.starts, self.item = array("q"), array("q"), array("q", [0]), array("q")
        self.rewards = {name: array("d") for name in REWARDS}
        self.shown: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        self.first_us: int | None = None
        self.last_us = 0

    def add(self, one: Impression) -> None:
        served_us, user = unix_us(one.served_at), self.users[one.user_id]
        self.first_us = served_us if self.first_us is None else min(self.first_us, served_us)
        self.last_us = max(self.last_us, served_us)
        self.ids.append(one.impression_id)
        self.user.append(user)
        self.arm.append(self.arms[one.arm])
        for media_id in one.shown:
            item = self.items[media_id]
            if media_id != ERASED:
                self.shown[user, item].append((served_us, len(self.item)))
            self.item.append(item)
            for values in self.rewards.values():
                values.append(0.0)
        self.starts.append(len(self.item))

    def count(self, event: Event, window_h: float) -> None:
        if event.user_id not in self.users or event.media_id not in self.items:
            return
        lists = self.shown.get((self.users[event.user_id], self.items[event.media_id]))
        at_us = unix_us(event.happened_at)
        before = bisect_right(lists, at_us, key=lambda one: one[0]) if lists else 0
        if not lists or not before or at_us - lists[before - 1][0] > window_h * 3.6e9:
            return
        place = lists[before - 1][1]
        for name, kinds in REWARDS.items():
            if event.kind in kinds:
                value = float(event.value or 0.0) if name == "watched" else 1.0
                self.rewards[name][place] = max(self.rewards[name][place], value)

    def outcomes(self) -> Outcomes:
        names = tuple(self.ids), tuple(self.users), tuple(self.arms), tuple(self.items)
        return Outcomes(
            *names,
            np.array(self.user, np.int64),
            np.array(self.arm, np.int64),
            np.array(self.starts, np.int64),
            np.array(self.item, np.int64),
            {name: np.array(values, np.float64) for name, values in self.rewards.items()},
        )
