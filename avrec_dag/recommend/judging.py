"""Bringing `recommendation_health` up to date, and the picture of how evenly the lists use the library."""

from io import BytesIO

import numpy as np

from avrec_dag.duplicates.groups import groups
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.moderation.decisions import withheld
from avrec_dag.recommend.filtering import Filter
from avrec_dag.recommend.health import LISTS, Judged, measure
from avrec_dag.recommend.settings import EXPLORATION, K
from avrec_dag.recommend.storing import digest, noted, write
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs

_READ = ("recommendations", "interactions", "item_index", "quality_scores", "moderation_decisions", "duplicates")


def judged_of(ledger: Ledger, k: int = K, exploration: float = EXPLORATION) -> Judged:
    """The stored lists and what they are judged against."""
    items = tuple(sorted(ledger.rows("fused_features", columns=[])["media_id"].to_pylist()))
    return Judged(
        Filter(items, groups(ledger), withheld(ledger)),
        ledger.rows("recommendations", columns=[*LISTS, "whys"]),
        ledger.rows("interactions", columns=["media_ids", "weights", "newest_us"]),
        ledger.rows("quality_scores", columns=["score"]),
        k,
        exploration,
    )


def update_health(ledger: Ledger, blobs: Blobs, step: Step, *, k: int = K, exploration: float = EXPLORATION, run_id: str = "") -> Outcome:
    """Judge the stored lists."""
    version = digest(step.code, k, exploration, *(ledger.data_version(table) for table in _READ))
    judged = judged_of(ledger, k, exploration)
    measured = measure(judged)
    plan = ledger.wanted(step.name, WHOLE, {metric.name: version for metric in measured})
    rows = [Row(m.name, version, {"value": digest(m.value)}, {"value": m.value, "passed": m.passed, "detail": m.detail}) for m in measured]
    todo = {item.key for item in plan.todo}
    outcome = write(ledger, step, WHOLE, plan, (row for row in rows if row.key in todo), run_id)
    picture = blobs.put(step.name, version, version, "use.png", lorenz(judged.places()))
    return noted(outcome, {metric.name: metric.value for metric in measured}, {"use of the library": picture})


def lorenz(places: np.ndarray) -> bytes:
    """The Lorenz curve of how often items stand in lists (Lorenz, 1905), as a PNG: the diagonal is every item as often.

    Args:
        places: (items,) how often each stands in some list.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    held = np.concatenate([[0.0], np.cumsum(np.sort(places))])
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1)
    axes.plot(np.linspace(0, 1, len(held)), held / max(held[-1], 1.0), color="#2f6f4f")
    axes.set_xlabel("items, the least shown first")
    axes.set_ylabel("share of all places")
    axes.set_title(f"{int((places > 0).sum())} of {len(places)} items stand in some list", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
