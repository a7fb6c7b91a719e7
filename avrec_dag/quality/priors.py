"""What to expect of an item before anybody reacted: the mean of its class, as far as classes differ, and how many people it counts for.

Hierarchical credibility (Jewell 1975; estimators as in Bühlmann and Gisler, "A Course in Credibility Theory and its
Applications", 2005, chapters 4 and 6), which is empirical Bayes with method-of-moments variances and needs no distribution.
Three variances decide: of people about one item (within), of items of one class, and of classes. An item nobody knows is
expected to be like its class; a class of which few items are known is expected to be like the library. So an item of an
unloved class starts low, and the more items of a class differ from each other, the fewer people it takes to leave that start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avrec_dag.quality.reception import Reception

Array = NDArray[np.float64]

PEOPLE = 10
"""How many average people stand behind an item where too little is known to estimate it."""
STRENGTHS = (2, 3, 5, 7, 10, 15, 20, 30, 50)
"""What the estimate is rounded to: it enters every item's version, and must not move with every event."""
CLASS_ITEMS = 5.0
"""How many average items stand behind a class where too little is known to estimate it."""
LEAST_ITEMS, LEAST_CLASSES = 20, 4
"""So many items that two people know, of classes with two such items; so many classes: below, no variance is estimated."""
_STEPS = 20
_NEUTRAL = 0.5
_LEAST, _MOST = 1.0, 50.0


@dataclass(frozen=True)
class Priors:
    """What to expect of items.

    Attributes:
        library: Expected liking of an item of a class that nobody knows, in [0, 1], to 1/20.
        people: How many people the expectation counts for, one of `STRENGTHS`.
        classes: Class -> expected liking of its items, in [0, 1], to 1/20.
    """

    library: float
    people: int
    classes: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """Expected liking of an item of this class, in [0, 1]."""
        return self.classes.get(name, self.library)

    def liking(self, name: str, total: float, n_people: int) -> float:
        """Bayesian average in [0, 1]: `n_people` whose likings add up to `total`, and the prior's people behind them."""
        return (self.people * self.of(name) + total) / (self.people + n_people)


def priors(received: Mapping[str, Reception], class_of: Mapping[str, str]) -> Priors:
    """Estimate what to expect from what is known.

    Args:
        received: Item -> what people made of it.
        class_of: Item -> its class; an item without one counts for the library alone.
    """
    if not received:
        return Priors(_NEUTRAL, PEOPLE)
    ids = sorted(received)
    n = np.array([received[one].n_people for one in ids], float)
    mean = np.array([received[one].mean for one in ids])
    spread = np.array([received[one].squares for one in ids]) - n * mean**2
    names, place = np.unique([class_of.get(one, "") for one in ids], return_inverse=True)
    within = spread.sum() / max(float((n - 1).sum()), 1.0)
    items = _between_items(n, mean, place, within)
    people = PEOPLE if items is None else STRENGTHS[int(np.argmin(np.abs(np.log(np.array(STRENGTHS) / _ratio(within, items)))))]
    trust = n / (n + people)
    weight = np.bincount(place, trust)
    means = np.bincount(place, trust * mean) / weight
    named = names != ""
    classes = _between_classes(weight[named], means[named], items)
    strength = CLASS_ITEMS if classes is None or items is None else _ratio(items, classes)
    behind = weight / (weight + strength)
    library = float((behind * means).sum() / behind.sum())
    expected = behind * means + (1 - behind) * library
    known = {str(name): _coarse(value) for name, value in zip(names, expected, strict=True) if name}
    return Priors(_coarse(library), people, known)


def _between_items(n: Array, mean: Array, place: NDArray[np.intp], within: float) -> float | None:
    """Variance of items of one class, pooled over classes (Bühlmann and Gisler, section 4.8); None where too little is known."""
    known = n >= 2
    n, mean, place = n[known], mean[known], place[known]
    if not len(n):
        return None
    people, items = np.bincount(place, n), np.bincount(place)
    centre = np.divide(np.bincount(place, n * mean), people, out=np.zeros(len(people)), where=people > 0)
    full = items >= 2
    if items[full].sum() < LEAST_ITEMS:
        return None
    apart = np.bincount(place, n * (mean - centre[place]) ** 2) - (items - 1) * within
    effective = people - np.divide(np.bincount(place, n**2), people, out=np.zeros(len(people)), where=people > 0)
    return float(apart[full].sum() / effective[full].sum())


def _between_classes(weight: Array, mean: Array, items: float | None) -> float | None:
    """Variance of classes (section 6.5); None where too little is known."""
    if items is None or len(weight) < LEAST_CLASSES:
        return None
    centre = (weight * mean).sum() / weight.sum()
    apart = (weight * (mean - centre) ** 2).sum() - (len(weight) - 1) * max(items, 0.0)
    return float(apart / (weight.sum() - (weight**2).sum() / weight.sum()))


def _ratio(inner: float, outer: float) -> float:
    """How much stands behind the outer mean: inner over outer variance, within bounds; at most where nothing outer differs."""
    return float(np.clip(inner / outer, _LEAST, _MOST)) if outer > 0 else _MOST


def _coarse(mean: float) -> float:
    return round(mean * _STEPS) / _STEPS
