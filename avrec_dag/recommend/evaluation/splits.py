"""What may be learned from and what is to be found: four ways to split everyone's events into train, validation and test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import SettingError
from avrec_dag.recommend.models.base import Interactions

Kind = Literal["leave-one-out", "random", "user-time", "global-time"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RATIOS = (0.8, 0.1, 0.1)
TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """Events and the part of each.

    Attributes:
        data: Every event.
        part: (events,) int8: TRAIN, VALID or TEST.
    """

    data: Interactions
    part: NDArray[np.int8]

    @property
    def train(self) -> Interactions:
        """What models are fitted on while settings are chosen; the histories at validation."""
        return self.data.only(self.part == TRAIN)

    @property
    def valid(self) -> Interactions:
        """What is to be found at validation."""
        return self.data.only(self.part == VALID)

    @property
    def known(self) -> Interactions:
        """Train and validation: the histories at test."""
        return self.data.only(self.part != TEST)

    @property
    def test(self) -> Interactions:
        """What is to be found at test."""
        return self.data.only(self.part == TEST)


def split(data: Interactions, kind: Kind, *, clock: bool = True, seed: int = 0) -> Split:
    """Split everyone's events.

    Args:
        data: Oldest first within each user.
        kind: `leave-one-out`: the last event is the test, the one before it validation (of two events the first is for training, a
            single one too). `random`: 8:1:1 within each user. `user-time`: the same shares, but the newest tenth of each user's events
            is the test and the tenth before it validation. `global-time`: the newest tenth of all events is the test and the tenth
            before it validation; events of one second stay together.
        clock: Whether times of different users can be compared.
        seed: Of the random split.

    Raises:
        SettingError: `global-time` without a clock.
    """
    if kind == "global-time" and not clock:
        raise SettingError("--split global-time needs timestamps, and this file has none; use leave-one-out, random or user-time")
    ways: dict[Kind, Callable[[], NDArray[np.int8]]] = {
        "leave-one-out": lambda: _leave_one_out(data),
        "random": lambda: _shares(data, np.random.default_rng(seed).random(len(data))),
        "user-time": lambda: _shares(data, np.arange(len(data), dtype=np.float64)),
        "global-time": lambda: _global_time(data),
    }
    return Split(data, ways[kind]())


def _from_end(data: Interactions) -> NDArray[np.int64]:
    """(events,) 1 for the last event of a user, 2 for the one before it."""
    return np.repeat(data.indptr[1:], np.diff(data.indptr)) - np.arange(len(data))


def _leave_one_out(data: Interactions) -> NDArray[np.int8]:
    count, back = np.repeat(np.diff(data.indptr), np.diff(data.indptr)), _from_end(data)
    return np.select([(back == 1) & (count >= 2), (back == 2) & (count >= 3)], [TEST, VALID], TRAIN).astype(np.int8)


def _shares(data: Interactions, key: NDArray[np.float64]) -> NDArray[np.int8]:
    """8:1:1 of each user's events in ascending order of `key`."""
    n_train, n_valid = _sizes(np.diff(data.indptr))
    rows = data.rows
    order = np.lexsort((key, rows))
    place = np.arange(len(data)) - data.indptr[rows]
    part = np.empty(len(data), np.int8)
    part[order] = np.where(place < n_train[rows], TRAIN, np.where(place < (n_train + n_valid)[rows], VALID, TEST))
    return part


def _sizes(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Events per user for training and validation, as RecBole rounds them (`Dataset._calcu_split_ids`).

    Test and validation get their share rounded down; one that comes out empty takes one event of the training part, test first, as
    long as training keeps one.
    """
    n_test, n_valid = np.floor(RATIOS[2] * counts).astype(np.int64), np.floor(RATIOS[1] * counts).astype(np.int64)
    n_train = counts - n_test - n_valid
    takes = (n_test == 0) & (n_train > 1)
    n_test, n_train = n_test + takes, n_train - takes
    takes = (n_valid == 0) & (n_train > 1)
    return n_train - takes, n_valid + takes


def _global_time(data: Interactions) -> NDArray[np.int8]:
    ordered = np.sort(data.at_s)
    n_test, n_valid = round(RATIOS[2] * len(ordered)), round(RATIOS[1] * len(ordered))
    test_from, valid_from = (ordered[min(len(ordered) - n, len(ordered) - 1)] for n in (n_test, n_test + n_valid))
    return np.select([data.at_s >= test_from, data.at_s >= valid_from], [TEST, VALID], TRAIN).astype(np.int8)
