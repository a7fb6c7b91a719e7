"""An experiment as a picture: how far each arm is from the control, with intervals."""

from io import BytesIO

from avrec_dag.experiments.comparing import Difference
from avrec_dag.experiments.outcomes import REWARDS
from avrec_dag.experiments.reporting import Report

_COLOURS = ("#2f6f4f", "#b5651d", "#3b5b92", "#8a3b6e", "#6b6b2f", "#555555")


def picture(report: Report) -> bytes:
    """Differences to the control by list, in per cent of the control, with 95 % intervals, as a PNG; arms without lists are left out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    arms = [one for one in report.arms if one.differences]
    figure = Figure(figsize=(8.0, 1.6 + 0.32 * len(REWARDS) * max(len(arms), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = list(REWARDS)
    for number, arm in enumerate(arms):
        for row, reward in enumerate(names):
            usual = next(one for one in report.arms if one.name == report.control).rewards[reward]["per_list"].value
            drawn = _percent(arm.differences[reward]["per_list"], usual)
            if drawn is not None:
                value, low, high = drawn
                at = row + 0.7 * ((number + 0.5) / len(arms) - 0.5)
                colour, named = _COLOURS[number % len(_COLOURS)], arm.name if row == 0 else None
                axes.errorbar(
                    value, at, xerr=[[max(value - low, 0)], [max(high - value, 0)]], fmt="o", color=colour, capsize=3, label=named
                )
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(f"difference to {report.control}, per list, % (95 % intervals)")
    axes.set_title(
        f"{report.experiment}: {sum(one.users for one in report.arms)} people, {sum(one.lists for one in report.arms)} lists", fontsize=10
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _percent(found: Difference, usual: float) -> tuple[float, float, float] | None:
    return (100 * found.value / usual, 100 * found.low / usual, 100 * found.high / usual) if usual > 0 else None
