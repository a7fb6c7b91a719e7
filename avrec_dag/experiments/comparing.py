"""Arms against the control: sums over people, intervals clustered by person, tests, and whether the arms have the people they should."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEAST_RATIO_P = 1e-3
"""Below this the arms do not have the people that their shares say, and nothing else of the experiment can be believed (Fabijan et al.,
Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019)."""
DRAWS = 2000
Per = Literal["per_list", "per_user"]
_CELLS = 20_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """One arm less the control.

    Attributes:
        p: Probability of a difference at least so large where there is none, in [0, 1]; NaN where it cannot be told.
    """

    p: float


@dataclass(frozen=True, eq=False)
class People:
    """The rewards of one arm, summed by person: whoever comes often is one draw of luck, not many.

    Attributes:
        lists: (people,) float64: how many lists each was shown.
        totals: Reward -> (people,) float64: its sum over them.
        seed: Of the bootstrap.
    """

    lists: NDArray[np.float64]
    totals: Mapping[str, NDArray[np.float64]]
    seed: int

    def estimate(self, reward: str, per: Per) -> Estimate:
        """The mean over lists or people; its interval draws people with all of their lists (Field and Welsh 2007)."""
        total, number = self.totals[reward].sum(), self._number(per).sum()
        return _estimate(total / number if number else np.nan, self.drawn(reward, per))

    def drawn(self, reward: str, per: Per) -> NDArray[np.float64]:
        """(DRAWS,) bootstrap draws of that mean (Efron 1979)."""
        column = 2 + list(self.totals).index(reward)
        return self._sums[:, column] / self._sums[:, 0 if per == "per_list" else 1]

    def linearised(self, reward: str, per: Per) -> NDArray[np.float64]:
        """(people,) values whose mean is that mean and whose spread is that of the ratio, by the delta method.

        Deng, Knoblich and Lu, Applying the delta method in metric analytics, KDD 2018.
        """
        total, number = self.totals[reward], self._number(per)
        ratio = total.sum() / number.sum()
        return ratio + (total - ratio * number) / number.mean()

    def _number(self, per: Per) -> NDArray[np.float64]:
        return self.lists if per == "per_list" else np.ones(len(self.lists))

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        return resampled(np.column_stack([self.lists, np.ones(len(self.lists)), *self.totals.values()]), seed=self.seed)


def against(one: People, control: People, reward: str, per: Per) -> Difference:
    """An arm less the control; p by Welch's test of the linearised values."""
    mine, theirs = one.estimate(reward, per), control.estimate(reward, per)
    spread = _estimate(mine.value - theirs.value, one.drawn(reward, per) - control.drawn(reward, per))
    enough = min(len(one.lists), len(control.lists)) > 1
    p = _welch(one.linearised(reward, per), control.linearised(reward, per)) if enough else float("nan")
    return Difference(spread.value, spread.low, spread.high, p)


def ratio_p(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Probability of people spread over the arms at least so unevenly, were their shares kept: Pearson's chi-square test; NaN for one arm.

    Args:
        counts: Arm -> people.
        shares: Arm -> its share.
    """
    names = [name for name in shares if shares[name] > 0]
    found = np.array([counts.get(name, 0) for name in names], np.float64)
    wanted = np.array([shares[name] for name in names])
    if len(names) < 2 or not found.sum():
        return float("nan")
    return float(stats.chisquare(found, found.sum() * wanted / wanted.sum()).pvalue)


def _welch(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    if not (np.ptp(ours) or np.ptp(theirs)):
        return float("nan")
    return float(stats.ttest_ind(ours, theirs, equal_var=False).pvalue)


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))


def resampled(columns: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """Sums over people drawn with replacement.

    Args:
        columns: (people, c) float64.
        seed: Of the draws.

    Returns:
        (DRAWS, c) float64; (0, c) where there is nobody.
    """
    people, rng = len(columns), np.random.default_rng(seed)
    if not people:
        return np.zeros((0, columns.shape[1]))
    at_once = max(1, min(DRAWS, _CELLS // people))
    parts = []
    for start in range(0, DRAWS, at_once):
        n = min(at_once, DRAWS - start)
        chosen = rng.integers(0, people, (n, people)) + people * np.arange(n)[:, None]
        times = np.bincount(chosen.ravel(), minlength=n * people).reshape(n, people)
        parts.append(times @ columns)
    return np.concatenate(parts)
