"""What variety costs: accuracy against the distances within lists, for any settings of the knobs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend import metrics
from avrec_dag.recommend.reranking.calibrating import divergence
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.recommend.reranking.listing import Reranker
from avrec_dag.recommend.reranking.personal import shares


@dataclass(frozen=True)
class Case:
    """One person of whom something is held back.

    Attributes:
        scores: (items,) float, -inf where an item must not be shown.
        liked: (1, items) weights of what is known of them.
        relevant: The items held back.
    """

    scores: NDArray[np.floating]
    liked: sp.csr_matrix
    relevant: frozenset[int]


@dataclass(frozen=True)
class Point:
    """Means over people under one setting of the knobs.

    Attributes:
        ndcg: Of the items held back, in [0, 1].
        ndcg_error: Standard error of that mean.
        distance: Mean cosine distance over the pairs of a list, in [0, 2].
        least_distance: The least over the pairs of a list.
        coverage: Share of all items that stand on some list.
        quality: Of the listed items, in [0, 1].
        divergence: Of the mix of classes of a list from that of what the person liked, in nats.
    """

    ndcg: float
    ndcg_error: float
    distance: float
    least_distance: float
    coverage: float
    quality: float
    divergence: float


def measure(
    reranker: Reranker, cases: Iterable[Case], settings: Mapping[str, Knobs], quality: NDArray[np.floating], k: int
) -> dict[str, Point]:
    """Make everyone's list under every setting, and measure it.

    Args:
        reranker: Over the items.
        cases: People, with at least one item held back each; read once.
        settings: By name.
        quality: (items,) float in [0, 1].
        k: Length of the lists.
    """
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in settings}
    shown: dict[str, set[int]] = {name: set() for name in settings}
    for case in cases:
        for name, knobs in settings.items():
            chosen = [one.position for one in reranker.listed(case.scores, case.liked, k, knobs)]
            shown[name] |= set(chosen)
            found[name].append(_measured(reranker, case, chosen, quality, k))
    return {name: _point(np.array(rows), len(shown[name]) / max(len(quality), 1)) for name, rows in found.items()}


def _measured(reranker: Reranker, case: Case, chosen: Sequence[int], quality: NDArray[np.floating], k: int) -> tuple[float, ...]:
    shelf, names = reranker.shelf, [str(one) for one in chosen]
    vectors = shelf.vectors[chosen].astype(np.float64)
    apart = np.clip(1.0 - (vectors @ vectors.T)[np.triu_indices(len(chosen), 1)], 0.0, 2.0)
    mix = np.asarray(sp.csr_matrix(shelf.classes[chosen]).mean(axis=0)).ravel() if chosen else np.zeros(len(shelf.class_names))
    wanted = np.asarray((shares(case.liked) @ shelf.classes).todense()).ravel()
    return (
        metrics.ndcg(names, {str(one) for one in case.relevant}, k),
        float(apart.mean()) if len(apart) else 0.0,
        float(apart.min()) if len(apart) else 0.0,
        float(quality[chosen].mean()) if chosen else 0.0,
        float(divergence(wanted, mix[None])[0]) if wanted.sum() > 0 else 0.0,
    )


def _point(rows: NDArray[np.float64], coverage: float) -> Point:
    ndcg, distance, least, quality, away = rows.mean(axis=0).tolist()
    return Point(ndcg, float(rows[:, 0].std() / np.sqrt(len(rows))), distance, least, coverage, quality, away)


def best_within(points: Mapping[str, Point], share: float = 0.95, among: Collection[str] | None = None) -> str:
    """The setting with the largest mean distance among those whose NDCG is at least this share of the best one's.

    Args:
        points: Every setting.
        share: In [0, 1].
        among: Take one of these; empty where none of them is good enough.
    """
    enough = share * max(point.ndcg for point in points.values())
    good = [name for name in (points if among is None else among) if points[name].ndcg >= enough]
    return max(good, key=lambda name: points[name].distance, default="")


def picture(curves: Mapping[str, Sequence[Point]]) -> bytes:
    """NDCG against mean and least distance, a line per curve, as a PNG."""
    from io import BytesIO

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    best = max(point.ndcg for points in curves.values() for point in points)
    for axes, (field, title) in zip(
        figure.subplots(1, 2, sharey=True), (("distance", "mean distance within a list"), ("least_distance", "least distance")), strict=True
    ):
        for name, points in curves.items():
            axes.plot([getattr(point, field) for point in points], [point.ndcg for point in points], marker="o", markersize=3, label=name)
        axes.axhline(0.95 * best, color="grey", linewidth=0.8, linestyle="--")
        axes.set_xlabel(title)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("NDCG (dashed: 95 % of the best)")
    figure.axes[0].legend(fontsize=8, loc="lower left")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
