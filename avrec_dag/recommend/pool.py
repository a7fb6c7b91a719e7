"""The items that one person's list is chosen among, where a library is too large to score all of it for every answer.

A pool holds what is worth ranking (`retrieving`) and a sample that stands for the rest, so that means and deviations over the whole
library, which a blend standardises by, are estimated by strata: what was retrieved counts once, the sample for all that was not
(Cochran, Sampling Techniques, 1977, chapter 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions


@dataclass(frozen=True, eq=False)
class Pool:
    """Some columns of a library.

    Attributes:
        columns: (m,) int64, ascending.
        stands_for: (m,) float32: for how many items of the library each stands.
        raw: Model -> (1, items) float32, the scores of models that score everything at once, as they were needed to retrieve.
    """

    columns: NDArray[np.int64]
    stands_for: NDArray[np.float32]
    raw: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, retrieved: NDArray[np.int64], sample: NDArray[np.int64], n: int, raw: Mapping[str, NDArray[np.float32]] | None = None
    ) -> "Pool":
        """What was retrieved, and a sample of all n items that stands for the others.

        Args:
            retrieved: Columns, in any order, some perhaps twice.
            sample: Columns, spread evenly over the library.
            n: Items of the library.
            raw: As in the class.
        """
        chosen = np.zeros(n, bool)
        chosen[retrieved] = True
        others = sample[~chosen[sample]]
        known = int(np.count_nonzero(chosen))
        chosen[others] = True
        columns = np.flatnonzero(chosen)
        stands_for = np.ones(len(columns), np.float32)
        if len(others):
            stands_for[np.searchsorted(columns, np.sort(others))] = (n - known) / len(others)
        return cls(columns, stands_for, raw or {})

    def __len__(self) -> int:
        return len(self.columns)

    def positions(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where columns stand that are all in the pool."""
        return np.searchsorted(self.columns, columns)

    def holds(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those of some columns stand that are in the pool."""
        at = np.searchsorted(self.columns, columns)
        inside = at < len(self.columns)
        at, columns = at[inside], columns[inside]
        return at[self.columns[at] == columns]


def opened(histories: Interactions, pool: Pool | None = None) -> NDArray[np.bool_]:
    """(people, items), or (1, pool) of one person: what each has not met."""
    if pool is None:
        return histories.met.toarray() == 0
    held = np.ones((1, len(pool)), bool)
    held[0, pool.holds(histories.columns.astype(np.int64))] = False
    return held


def quantile(values: NDArray[np.floating], share: float, stands_for: NDArray[np.floating] | None = None) -> float:
    """The value that so much of the library lies below: `np.quantile` where every value stands for itself.

    Args:
        values: (m,) at least one.
        share: In [0, 1].
        stands_for: (m,) for how many items each stands.
    """
    if stands_for is None:
        return float(np.quantile(values, share))
    order = np.argsort(values)  # equal values may come in any order: the answer is a value
    below = np.cumsum(stands_for[order])
    return float(values[order[min(int(np.searchsorted(below, share * below[-1])), len(order) - 1)]])
