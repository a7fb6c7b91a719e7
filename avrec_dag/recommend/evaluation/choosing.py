"""The settings of a model, found on the validation part: from the best point so far along one axis after the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from avrec_dag.recommend.models.registry import Value

Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Trial:
    """One point that was tried.

    Attributes:
        settings: All of them.
        score: What came of it on validation; larger is better.
        seconds: What it took.
    """

    settings: Settings
    score: float
    seconds: float


@dataclass(frozen=True)
class Choice:
    """What was found.

    Attributes:
        trials: In the order in which they were made; at least one.
        untried: Neighbours of the best point for which the budget did not suffice.
    """

    trials: Sequence[Trial]
    untried: int

    @property
    def best(self) -> Trial:
        """The trial of the largest score; of equals the first."""
        return max(self.trials, key=lambda trial: trial.score)


def choose(
    axes: Mapping[str, Sequence[Value]],
    score: Callable[[Settings], float],
    *,
    budget_s: float,
    now_s: Callable[[], float] = time.monotonic,
) -> Choice:
    """Coordinate search: try the defaults, then the other values of each axis, moving to whatever is better, until nothing is.

    Args:
        axes: Setting -> values, the default first.
        score: Fits and scores one point.
        budget_s: For all trials together.
        now_s: The clock.
    """
    begun = now_s()
    trials: list[Trial] = []

    def attempt(settings: Settings) -> float:
        at = now_s()
        value = score(settings)
        trials.append(Trial(settings, value, now_s() - at))
        return value

    best = {name: values[0] for name, values in axes.items()}
    best_score = attempt(dict(best))
    tried, untried = [dict(best)], 0
    moved = True
    while moved:
        moved, untried = False, 0
        for name, values in axes.items():
            for point in ({**best, name: value} for value in values):
                if point in tried:
                    continue
                if now_s() - begun + max(trial.seconds for trial in trials) > budget_s:
                    untried += 1
                    continue
                tried.append(point)
                found = attempt(point)
                if found > best_score:
                    best, best_score, moved = point, found, True
    return Choice(trials, untried)
