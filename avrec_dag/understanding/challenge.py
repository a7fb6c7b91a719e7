"""Whether a newly trained classifier takes the place of the one that serves: both judged on the same held-out items, and a rule.

The rule. The challenger is adopted when nothing serves yet, when what serves was made by other code, settings or encoders, or when it
lacks a class that people use. Otherwise the challenger must not be worse: the mean difference of the items' scores is at least 0, and the
lower end of its 95 % bootstrap interval is above -TOLERANCE. In every other case the champion stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.understanding.evaluation import evaluate

TOLERANCE = 0.02
"""Score that the challenger may be worse by, at worst: two points."""
DRAWS = 2000


@dataclass(frozen=True)
class Judged:
    """What a classifier says of items it has not seen.

    Attributes:
        probs: float32 (n, n_classes).
        said: bool (n, n_classes), the classes decided on.
        multi_label: Whether an item may have several.
    """

    probs: NDArray[np.float32]
    said: NDArray[np.bool_]
    multi_label: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same held-out items.

    Attributes:
        champion: Metric name -> value of the one that serves.
        challenger: The same of the new one.
        mean: Mean of the items' scores of the challenger less the champion's, in [-1, 1].
        low: Lower end of the interval that holds 95 % of the bootstrap's means.
        high: Upper end.
        n_items: Held-out items.
        n_groups: Groups they come from, which are what is drawn.
        better: Items that only the challenger gets (more) right.
        worse: Items that only the champion does.
    """

    champion: Mapping[str, float]
    challenger: Mapping[str, float]
    mean: float
    low: float
    high: float
    n_items: int
    n_groups: int
    better: int
    worse: int


@dataclass(frozen=True)
class Verdict:
    """What becomes of a challenger, and why in words."""

    adopted: bool
    reason: str


def compared(targets: NDArray[np.float32], groups: Sequence[str], champion: Judged, challenger: Judged, seed: int) -> Comparison:
    """Compare what two classifiers say of the same items.

    Args:
        targets: float32 (n, n_classes), 1 for what people said.
        groups: What each item was cut from: items of one group are drawn together, as they are right or wrong together.
        champion: What the one that serves says of them.
        challenger: The same of the new one.
        seed: Decides the draws.
    """
    before, after = scores(targets, champion.said), scores(targets, challenger.said)
    difference = after - before
    low, high = interval(difference, groups, seed)
    return Comparison(
        metrics(targets, champion), metrics(targets, challenger), float(difference.mean()), low, high,
        len(difference), len(set(groups)), int((difference > 0).sum()), int((difference < 0).sum()),
    )  # fmt: skip


def metrics(targets: NDArray[np.float32], judged: Judged) -> Mapping[str, float]:
    """The figures of `evaluation.evaluate`."""
    names = [str(place) for place in range(targets.shape[1])]
    return evaluate(targets, judged.probs, names, judged.said if judged.multi_label else None).metrics


def scores(targets: NDArray[np.float32], said: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How right each item's classes are, in [0, 1]: F1 of the set; with one class said and one true, right or wrong."""
    hits = (said & (targets > 0)).sum(axis=1)
    return 2 * hits / np.maximum(said.sum(axis=1) + targets.sum(axis=1), 1)


def interval(difference: NDArray[np.float64], groups: Sequence[str], seed: int, share: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the mean by drawing whole groups with replacement (cluster bootstrap; Field and Welsh 2007)."""
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, sizes = np.bincount(numbers, difference), np.bincount(numbers)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(sums), len(sums))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def verdict(found: Comparison, missing: Sequence[str] = ()) -> Verdict:
    """The rule.

    Args:
        found: The comparison.
        missing: Classes people use that the champion does not know.
    """
    figures = (
        f"{found.mean:+.3f} on {found.n_items} held-out items of {found.n_groups} groups, "
        f"95 % interval {found.low:+.3f} to {found.high:+.3f}"
    )
    if missing:
        named = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        return Verdict(True, f"adopted: the champion does not know {named}; score {figures}")
    if found.mean < 0:
        return Verdict(False, f"kept: the challenger's score is lower, {figures}")
    if found.low <= -TOLERANCE:
        return Verdict(False, f"kept: the challenger may be more than {TOLERANCE:.2f} worse, {figures}")
    return Verdict(True, f"adopted: not worse, {figures}")
