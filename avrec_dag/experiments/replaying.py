"""What a way of making lists that nobody was shown would have done, from lists that were drawn with known probabilities.

Horvitz and Thompson, A generalization of sampling without replacement from a finite universe, JASA 1952 (IPS); Swaminathan and Joachims,
The self-normalized estimator for counterfactual learning, NIPS 2015 (SNIPS); by place, as Li et al., Offline evaluation of ranking
policies with click models, KDD 2018, section 4.2: what comes of an item at a place is taken to depend on the item, the place and the
person, and not on the items around it.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError
from avrec_dag.experiments.comparing import Estimate, resampled
from avrec_dag.experiments.randomising import Policy

LEAST_SUPPORT = 0.95
"""Of the places of the lists in question, so many must have had a chance to be shown as they are."""
LEAST_EFFECTIVE = 30.0
"""So many places must be worth an equally weighted one, for an interval to mean anything."""


class NoSupportError(AvrecError):
    """What was logged cannot say what was asked."""


@dataclass(frozen=True)
class Logged:
    """One list that was shown, beside the one that is asked about.

    Attributes:
        user: Whose.
        shown: The items in their order.
        policy: How it came about; its propensities are known.
        wanted: The list in question for the same person at the same time.
        rewards: Reward -> what came of each place of `shown`, in [0, 1].
    """

    user: str
    shown: Sequence[str]
    policy: Policy
    wanted: Sequence[str]
    rewards: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Replay:
    """What the lists in question would have done, per list.

    Attributes:
        lists: How many were replayed.
        users: Of how many people.
        support: Of the places of the lists in question, the share that had a chance to be shown as they are; what the others would have
            done is not in the estimates, so that for a reward of at most 1 they are too low by at most what is missing times the places.
        matched: Places at which the item in question was shown.
        effective: How many equally weighted places the matched ones are worth: (sum w)^2 / sum w^2 (Kish 1965).
        largest: The largest weight before it was clipped.
        clip: Weights above it were taken for it, which biases the estimates downwards; None: none was.
        clipped: Share of the matched places whose weight was.
        shown: Reward -> what the lists that were shown did, for comparison.
        ips: Reward -> the estimate by inverse propensities.
        snips: Reward -> the same, divided place by place by the mean weight instead of 1.
    """

    lists: int
    users: int
    support: float
    matched: int
    effective: float
    largest: float
    clip: float | None
    clipped: float
    shown: Mapping[str, Estimate]
    ips: Mapping[str, Estimate]
    snips: Mapping[str, Estimate]


def replay(
    lists: Iterable[Logged],
    *,
    clip: float | None = None,
    seed: int = 0,
    least_support: float = LEAST_SUPPORT,
    least_effective: float = LEAST_EFFECTIVE,
) -> Replay:
    """Estimate what the lists in question would have done.

    Args:
        lists: Drawn ones; memory is for people times places.
        clip: At least 1; see `Replay`. None clips nothing.
        seed: Of the bootstrap, which draws people with all of their lists.
        least_support: Below this nothing is estimated.
        least_effective: The same for `Replay.effective`.

    Raises:
        NoSupportError: There are no lists, or what was logged says too little of those in question; why, and what to do.
        ValueError: clip is below 1, or lists differ in their rewards.
    """
    if clip is not None and not clip >= 1:
        raise ValueError(f"clip must be at least 1, found {clip}")
    tally = _Tally(clip)
    for one in lists:
        tally.add(one)
    tally.refuse(least_support, least_effective)
    return tally.replay(seed)


class _Tally:
    def __init__(self, clip: float | None) -> None:
        self.clip = clip
        self.rewards: tuple[str, ...] = ()
        self.people: dict[str, dict[tuple[int, int], float]] = {}
        self.lists = self.places = self.supported = self.matched = self.n_clipped = 0
        self.weight = self.squares = self.largest = 0.0
        self.longest = 0

    def add(self, one: Logged) -> None:
        """Count one list; columns of a person are (place, what): -2 lists, -1 weight, then of each reward shown and weighted."""
        names = tuple(one.rewards)
        if self.lists and names != self.rewards:
            raise ValueError(f"a list has the rewards {names}, others have {self.rewards}")
        self.rewards, self.lists = names, self.lists + 1
        mine = self.people.setdefault(one.user, defaultdict(float))
        self.longest = max(self.longest, len(one.shown))
        for place, item in enumerate(one.shown):
            weight = self._weight(one, place, item)
            mine[place, 0] += 1.0
            mine[place, 1] += weight
            for number, name in enumerate(names):
                mine[place, 2 + 2 * number] += one.rewards[name][place]
                mine[place, 3 + 2 * number] += weight * one.rewards[name][place]

    def _weight(self, one: Logged, place: int, item: str) -> float:
        if place >= len(one.wanted):
            return 0.0
        self.places += 1
        self.supported += one.policy.propensity(one.wanted[place], place) > 0
        if one.wanted[place] != item:
            return 0.0
        weight = 1.0 / one.policy.propensity(item, place)
        self.largest = max(self.largest, weight)
        if self.clip is not None and weight > self.clip:
            self.n_clipped, weight = self.n_clipped + 1, self.clip
        self.matched, self.weight, self.squares = self.matched + 1, self.weight + weight, self.squares + weight**2
        return weight

    @property
    def effective(self) -> float:
        return self.weight**2 / self.squares if self.squares else 0.0

    def refuse(self, least_support: float, least_effective: float) -> None:
        if not self.places:
            raise NoSupportError(
                "no list was logged whose propensities are known: give an arm an epsilon in AVREC_EXPERIMENT, serve, and ask again"
            )
        support = self.supported / self.places
        if support < least_support:
            raise NoSupportError(
                f"only {support:.0%} of the places of the lists in question had a chance to be shown as they are, {least_support:.0%} are "
                "needed: what was logged cannot say what the rest would have done; give what is shown a larger pool, or serve this"
            )
        if self.effective < least_effective:
            raise NoSupportError(
                f"the places that were shown as in question are worth {self.effective:.1f} equally weighted ones, {least_effective:g} are "
                "needed: log more lists, or give the arm that is shown a larger epsilon"
            )

    def replay(self, seed: int) -> Replay:
        width = 2 + 2 * len(self.rewards)
        sums = np.zeros((len(self.people), self.longest, width))
        for row, mine in enumerate(self.people.values()):
            for (place, column), value in mine.items():
                sums[row, place, column] = value
        drawn = resampled(sums.reshape(len(sums), -1), seed=seed).reshape(-1, self.longest, width)
        whole = sums.sum(axis=0)[None]
        shown, ips, snips = {}, {}, {}
        for number, name in enumerate(self.rewards):
            seen, weighted = 2 + 2 * number, 3 + 2 * number
            shown[name] = _estimate(*(_per_list(one, one[:, :, seen]) for one in (whole, drawn)))
            ips[name] = _estimate(*(_per_list(one, one[:, :, weighted]) for one in (whole, drawn)))
            snips[name] = _estimate(*(_per_list(one, _normalised(one, weighted)) for one in (whole, drawn)))
        return Replay(
            self.lists, len(self.people), self.supported / self.places, self.matched, self.effective, self.largest, self.clip,
            self.n_clipped / max(self.matched, 1), shown, ips, snips,
        )  # fmt: skip


def _per_list(sums: NDArray[np.float64], rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws, places, columns), (draws, places) -> (draws,): every list has a first place."""
    return rewards.sum(axis=1) / sums[:, 0, 0]


def _normalised(sums: NDArray[np.float64], weighted: int) -> NDArray[np.float64]:
    """(draws, places): weighted rewards, scaled to weights that sum to the lists with that place; NaN where none matched."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(sums[:, :, 0] > 0, sums[:, :, 0] / sums[:, :, 1], 0.0)
        return np.where(sums[:, :, 1] > 0, sums[:, :, weighted] * scale, np.where(sums[:, :, 0] > 0, np.nan, 0.0))


def _estimate(value: NDArray[np.float64], drawn: NDArray[np.float64]) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (math.nan, math.nan)
    return Estimate(float(value[0]), float(low), float(high))
