"""What variety costs on the library's own held-out behaviour: the curve of every way of spreading a list."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend.blend import Views, blend, opinions
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.reranking import curve
from avrec_dag.recommend.reranking.curve import Case, Point
from avrec_dag.recommend.reranking.knobs import METHODS, Knobs
from avrec_dag.recommend.reranking.listing import Reranker

STEPS = (0.2, 0.4, 0.6, 0.8)
MOST_PEOPLE, MOST_SECONDS = 300, 20.0
"""So many people at most, drawn with a seed, and no further one after so many seconds: the curve is looked at, nothing is chosen by it."""
_BATCH = 64


@dataclass(frozen=True)
class Curve:
    """The measured points.

    Attributes:
        method: Of each point; `plain` is the order of the scores.
        diversity: The knob of each point.
        points: What was measured.
        n_people: Of so many people.
    """

    method: tuple[str, ...]
    diversity: tuple[float, ...]
    points: tuple[Point, ...]
    n_people: int

    def rows(self) -> list[dict[str, Any]]:
        """As the table keeps them."""
        each = zip(self.method, self.diversity, self.points, strict=True)
        return [{"method": method, "diversity": diversity, **asdict(point)} for method, diversity, point in each]

    def picture(self) -> bytes:
        """NDCG against mean and least distance, a line per method, as a PNG."""
        each = list(zip(self.method, self.points, strict=True))
        lines: dict[str, list[Point]] = {name: [point for one, point in each if one in ("plain", name)] for name in METHODS}
        return curve.picture(lines)


def nothing() -> Curve:
    """Of nobody."""
    return Curve((), (), (), 0)


def measured(
    views: Views, reranker: Reranker, train: Interactions, people: Sequence[int], targets: Sequence[int], k: int, *, knobs: Knobs, seed: int
) -> Curve:
    """Make the lists of some people by every method at several settings, the other knobs as served, and measure them.

    Args:
        views: What scores, fitted on `train`.
        reranker: Over the items.
        train: Everyone's history without what is held out.
        people: Rows of those of whom an item is held out.
        targets: That item of each.
        k: Places of a list.
        knobs: Of the lists as served.
        seed: Of the sample of people.
    """
    if not len(people):
        return nothing()
    drawn = np.random.default_rng([seed, 17]).permutation(len(people))[:MOST_PEOPLE]
    settings = {"plain 0": replace(knobs, diversity=0.0)}
    settings |= {f"{method} {step:g}": replace(knobs, method=method, diversity=step) for method in METHODS for step in STEPS}
    taken: list[int] = []
    cases = _cases(views, train, np.asarray(people)[drawn], np.asarray(targets)[drawn], knobs, taken)
    points = curve.measure(reranker, cases, settings, views.quality, k)
    names = [name.split(" ") for name in points]
    return Curve(tuple(name for name, _ in names), tuple(float(step) for _, step in names), tuple(points.values()), len(taken))


def _cases(views: Views, train: Interactions, people: np.ndarray, targets: np.ndarray, knobs: Knobs, taken: list[int]) -> Iterator[Case]:
    began = time.monotonic()
    for start in range(0, len(people), _BATCH):
        some = train.of(people[start : start + _BATCH])
        final = blend(views, some, quality=knobs.quality_share).final
        for row, target in enumerate(targets[start : start + _BATCH].tolist()):
            if taken and time.monotonic() - began > MOST_SECONDS:
                return
            taken.append(target)
            yield Case(final[row], sp.csr_matrix(opinions(some.of([row]))), frozenset({target}))
