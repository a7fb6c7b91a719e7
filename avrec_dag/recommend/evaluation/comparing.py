"""How sure a figure is, and whether two models differ: both from the same users, so that what is hard for one is hard for the other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95
_CELLS = 1 << 22


@dataclass(frozen=True)
class Comparison:
    """Two models on one metric.

    Attributes:
        metric: Its name.
        a: One model.
        b: The other.
        difference: Mean of a less that of b.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Of seeing so large a difference if the two were the same.
        p_holm: The same, corrected for all pairs that were compared.
        significant: Whether `p_holm` is below 0.05.
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    significant: bool

    def told(self) -> dict[str, object]:
        """As JSON has it."""
        return asdict(self)


def intervals(values: Mapping[str, NDArray[np.float64]], *, seed: int) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap (Efron 1979) of means over users: 95 % intervals.

    Args:
        values: Name -> (users,), all of the same users, at least one.
        seed: Of the draws, which are the same for every name.
    """
    table = np.stack(list(values.values()))
    n = table.shape[1]
    rng = np.random.default_rng(seed)
    means = np.stack([table[:, rng.integers(0, n, n)].mean(axis=1) for _ in range(DRAWS)])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(values)}


def compared(metric: str, values: Mapping[str, NDArray[np.float64]], *, seed: int) -> list[Comparison]:
    """Every two models, by a paired bootstrap and a paired randomisation test.

    Source: Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for Information Retrieval Evaluation", CIKM 2007;
    Holm 1979 for the correction.

    Args:
        metric: Name of what is compared.
        values: Model -> (users,) of the same users.
        seed: Of bootstrap and test.
    """
    pairs = list(combinations(values, 2))
    if not pairs:
        return []
    differences = {f"{a} {b}": values[a] - values[b] for a, b in pairs}
    bounds = list(intervals(differences, seed=seed).values())
    p = np.array([randomisation_p(one, seed=seed) for one in differences.values()])
    corrected = holm(p)
    return [
        Comparison(metric, a, b, float(one.mean()), low, high, float(p[place]), float(corrected[place]), bool(corrected[place] < 1 - LEVEL))
        for place, ((a, b), one, (low, high)) in enumerate(zip(pairs, differences.values(), bounds, strict=True))
    ]


def randomisation_p(differences: NDArray[np.float64], *, seed: int) -> float:
    """Two-sided p of the mean difference, signs being flipped at random (one more flip is counted, so that p is never 0)."""
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    rng = np.random.default_rng([seed, 1])
    limit = abs(float(moved.sum())) * (1 - 1e-12)
    beyond, rows = 0, max(1, _CELLS // len(moved))
    for start in range(0, DRAWS, rows):
        signs = rng.integers(0, 2, (min(rows, DRAWS - start), len(moved)), dtype=np.int8)
        # The sum with signs +-1 is twice the sum over the ones less the sum of all.
        beyond += int((np.abs(2 * (signs @ moved) - moved.sum()) >= limit).sum())
    return (beyond + 1) / (DRAWS + 1)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Step-down corrected p values, in the order given."""
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    corrected = np.empty(len(p))
    corrected[order] = stepped
    return corrected
