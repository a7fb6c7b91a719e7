"""A comparison as people read it: a table, a sentence on what is sure, a picture; and as JSON."""

from collections.abc import Mapping, Sequence
from io import BytesIO

from avrec_dag.recommend.evaluation.comparing import Comparison
from avrec_dag.recommend.evaluation.running import METRIC, Outcome

COLUMNS = ("hit@10", "ndcg@10", "recall@10", "map@10", "mrr@10", "coverage@10", "novelty@10", "intra_list_distance@10")


def ordered(outcome: Outcome) -> list[str]:
    """Models, best first."""
    return sorted(outcome.models, key=lambda name: -_figure(outcome.models[name], METRIC))


def table(outcome: Outcome, comparisons: Sequence[Comparison]) -> tuple[list[str], list[list[object]]]:
    """Columns and rows, best first; the last column says against which models a difference is not significant."""
    columns = ["model", *COLUMNS[:2], "95 % interval", *COLUMNS[2:], "fit_s", "rank_s", "peak_mb", "not told apart from"]
    rows: list[list[object]] = []
    for name in ordered(outcome):
        figures = outcome.models[name]
        low, high = bounds(figures)
        accurate = [f"{_figure(figures, column):.4f}" for column in COLUMNS[:2]]
        others = [f"{_figure(figures, column):.4f}" for column in COLUMNS[2:]]
        cost = [f"{_figure(figures, 'fit_s'):.1f}", f"{_figure(figures, 'rank_s'):.1f}", f"{_figure(figures, 'peak_mb'):.0f}"]
        rows.append([name, *accurate, f"{low:.4f} to {high:.4f}", *others, *cost, ", ".join(alike(name, comparisons)) or "none"])
    return columns, rows


def alike(name: str, comparisons: Sequence[Comparison]) -> list[str]:
    """The models whose difference from this one may be chance."""
    pairs = [(one.a, one.b) for one in comparisons if not one.significant]
    return [b if a == name else a for a, b in pairs if name in (a, b)]


def sentence(outcome: Outcome, comparisons: Sequence[Comparison]) -> str:
    """What the table says, in words."""
    if not outcome.models:
        return "no model came to an end"
    best = ordered(outcome)[0]
    near = alike(best, comparisons)
    sure = f"not told apart from {', '.join(near)}" if near else "ahead of every other (paired randomisation test, Holm, 0.05)"
    return f"best by {METRIC}: {best}" + (f", {sure}" if len(outcome.models) > 1 else "")


def bounds(figures: Mapping[str, object]) -> tuple[float, float]:
    """The 95 % interval of NDCG@10."""
    intervals = figures["intervals"]
    assert isinstance(intervals, Mapping)
    low, high = intervals[METRIC]
    return float(low), float(high)


def _figure(figures: Mapping[str, object], name: str) -> float:
    return float(str(figures[name]))


def bars(heights: Mapping[str, tuple[float, float, float]], *, label: str, title: str) -> bytes:
    """A bar per model with its interval, as a PNG.

    Args:
        heights: Model -> value, lower and upper bound.
        label: Of the axis.
        title: Of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(7.0, 1.1 * len(heights)), 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = [value for value, _, _ in heights.values()]
    colours = ["#2f6f4f" if value == max(values) else "#9aa5b1" for value in values]
    axes.bar(list(heights), values, color=colours)
    errors = [
        [max(value - low, 0.0) for value, low, _ in heights.values()],
        [max(high - value, 0.0) for value, _, high in heights.values()],
    ]
    axes.errorbar(list(heights), values, yerr=errors, fmt="none", ecolor="black", capsize=4, linewidth=1)
    for place, value in enumerate(values):
        axes.annotate(f"{value:.3f}", (place, value), xytext=(6, 3), textcoords="offset points", fontsize=9)
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def picture(outcome: Outcome, title: str) -> bytes:
    """NDCG@10 by model, best first, as a PNG."""
    heights = {name: (_figure(outcome.models[name], METRIC), *bounds(outcome.models[name])) for name in ordered(outcome)}
    return bars(heights, label=METRIC.upper(), title=title)
