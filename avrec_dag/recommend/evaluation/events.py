"""The events of a file: gathered line by line with what could not be read, then put in order."""

import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions

MAX_ID_BYTES = 1024
NAMED = 1000
"""So many broken lines are named; of more, the rest is counted by reason."""
_DAY_S = 86400.0


class BrokenLineError(ValueError):
    """Why one line cannot be read."""


@dataclass
class Found:
    """What a file held beside good lines.

    Attributes:
        lines: Lines read, a header included.
        named: Number (from 1) and reason of each broken line, up to `NAMED`.
        reasons: How many lines each reason broke.
        counts: What was read but is worth knowing: blank lines, duplicates, events out of order or in the future, repeated users.
    """

    lines: int = 0
    named: list[tuple[int, str]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def broken(self) -> int:
        """How many lines could not be read."""
        return self.reasons.total()

    def broke(self, line: int, reason: str, detail: str = "") -> None:
        """Note a broken line."""
        self.reasons[reason] += 1
        if len(self.named) < NAMED:
            self.named.append((line, f"{reason}: {detail}" if detail else reason))

    def told(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "lines": self.lines,
            "broken": self.broken,
            "broken_by_reason": dict(self.reasons),
            "broken_lines": [{"line": line, "reason": reason} for line, reason in self.named],
            **dict(self.counts),
        }


@dataclass(frozen=True)
class Reading:
    """A file, read.

    Attributes:
        interactions: Every event, each of weight 1.
        ratings: (events,) float32; None where the file has none.
        clock: Whether `at_s` is a time, not only a place in the history.
        found: What else was in the file.
    """

    interactions: Interactions
    ratings: NDArray[np.float32] | None
    clock: bool
    found: Found


class _Ids(dict[bytes, int]):
    """Id as the file has it -> its number, in order of first appearance; a known id costs one look-up."""

    def __missing__(self, key: bytes) -> int:
        if not key:
            raise BrokenLineError("an empty id")
        if len(key) > MAX_ID_BYTES:
            raise BrokenLineError(f"an id of more than {MAX_ID_BYTES} bytes")
        try:
            key.decode()
        except UnicodeDecodeError:
            raise BrokenLineError("not UTF-8") from None
        self[key] = number = len(self)
        return number


@dataclass
class Events:
    """Events in the order of the file."""

    users: _Ids = field(default_factory=_Ids)
    items: _Ids = field(default_factory=_Ids)
    rows: array = field(default_factory=lambda: array("q"))
    columns: array = field(default_factory=lambda: array("i"))
    ratings: array = field(default_factory=lambda: array("f"))
    at_s: array = field(default_factory=lambda: array("d"))


def assembled(events: Events, found: Found, columns_read: frozenset[str]) -> Reading:
    """Put events in order: user after user, oldest first, without exact duplicates.

    Args:
        events: At least one.
        found: Gets the counts of what is odd about them.
        columns_read: Of `rating` and `timestamp`, those that the file has; empty where the order of events is their time.
    """
    clock = "timestamp" in columns_read
    rows, columns = np.frombuffer(events.rows, np.int64), np.frombuffer(events.columns, np.int32)
    ratings = np.frombuffer(events.ratings, np.float32) if "rating" in columns_read else None
    at_s = _seconds(np.frombuffer(events.at_s, np.float64), found) if clock else np.zeros(len(rows))
    order = np.argsort(rows, kind="stable")
    same = np.diff(rows[order]) == 0
    found.counts["out_of_order"] = int((same & (np.diff(at_s[order]) < 0)).sum())
    order = np.lexsort((at_s, rows))
    if columns_read:
        order = order[_first_of_equals(rows[order], columns[order], at_s[order])]
        found.counts["duplicates"] = len(rows) - len(order)
    at_s = _credible(at_s[order], found) if clock else at_s[order]
    ratings = None if ratings is None else ratings[order]
    return Reading(_interactions(events, rows[order], columns[order], at_s, clock), ratings, clock, found)


def _first_of_equals(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Places, ascending, of the first of each set of equal events."""
    order = np.lexsort(keys[::-1])
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    return np.sort(order[fresh])


def _seconds(at: NDArray[np.float64], found: Found) -> NDArray[np.float64]:
    """UNIX seconds: milliseconds, microseconds and nanoseconds are told by the size of the median (seconds reach 1e11 in the year 5138)."""
    scale = next((scale for limit, scale in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)) if np.median(at) > limit), 1.0)
    if scale > 1:
        found.counts["timestamp_units_per_second"] = int(scale)
    return at / scale


def _credible(at_s: NDArray[np.float64], found: Found) -> NDArray[np.float64]:
    """Times with those in the future (a broken clock) moved to the newest that is not: one of them would fade everything else away."""
    future = at_s > time.time() + _DAY_S
    found.counts["future"] = int(future.sum())
    return np.where(future, at_s[~future].max(initial=0.0), at_s)


def _interactions(
    events: Events, rows: NDArray[np.int64], columns: NDArray[np.int32], at_s: NDArray[np.float64], clock: bool
) -> Interactions:
    # A broken line may have brought an id that no good line has.
    used_users, rows = np.unique(rows, return_inverse=True)
    used_items, places = np.unique(columns, return_inverse=True)
    counts = np.bincount(rows, minlength=len(used_users))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    users, items = list(events.users), list(events.items)
    return Interactions(
        users=tuple(users[number].decode() for number in used_users.tolist()),
        items=tuple(items[number].decode() for number in used_items.tolist()),
        indptr=indptr,
        columns=places.astype(np.int32),
        weights=np.ones(len(places), np.float32),
        at_s=at_s if clock else (np.arange(len(places)) - np.repeat(indptr[:-1], counts)).astype(np.float64),
    )
