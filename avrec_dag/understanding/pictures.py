"""Pictures of an evaluation: the confusion matrix, the reliability diagram, models side by side, and the worst mistakes."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avrec_dag.understanding.challenge import Comparison, Verdict
from avrec_dag.understanding.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SHOWN = 40


def confusion(evaluation: Evaluation) -> bytes:
    """The confusion matrix as a PNG: shade and number per cell, rows true, columns predicted; the 40 commonest classes."""
    shown = np.sort(np.argsort(-evaluation.confusion.sum(axis=1), kind="stable")[:_MOST_SHOWN])
    matrix = evaluation.confusion[np.ix_(shown, shown)]
    labels = [printable(evaluation.names[i], f"class {i}") for i in shown]
    side = 2.5 + 0.42 * len(shown)
    figure = _figure(side + 0.5, side)
    axes = figure.add_subplot()
    axes.imshow(matrix / matrix.sum(axis=1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
    # A label is text that an uploader wrote: never read as mathematics.
    axes.set_xticks(range(len(shown)), labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(shown)), labels, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("what people said")
    m = evaluation.metrics
    axes.set_title(f"accuracy {m['accuracy']:.0%}, commonest class {m['majority_accuracy']:.0%}, macro F1 {m['macro_f1']:.2f}", fontsize=10)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        dark = matrix[row, column] * 2 > matrix[row].sum()
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color="white" if dark else "black")
    return _png(figure)


def reliability(evaluation: Evaluation) -> bytes:
    """How sure against how often right, as a PNG: bars in ten bins beside the diagonal, with how many predictions each bin holds."""
    sure, right, count = evaluation.reliability.T
    figure = _figure(4.6, 4.4)
    axes = figure.add_subplot()
    filled = np.flatnonzero(count > 0)
    axes.bar((filled + 0.5) / len(count), right[filled], width=0.9 / len(count), color="#4c78a8", label="how often right")
    axes.plot(sure[filled], right[filled], "o", color="#e45756", label="mean probability")
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1)
    for number in filled:
        axes.text((number + 0.5) / len(count), 0.01, f"{count[number]:.0f}", ha="center", fontsize=7, color="white")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability")
    axes.set_ylabel("share right")
    axes.set_title(f"expected calibration error {evaluation.metrics['calibration_error']:.3f}", fontsize=10)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return _png(figure)


def side_by_side(scores: Mapping[str, float], title: str, least: float = 0.0) -> bytes:
    """Models by their score as horizontal bars in a PNG, in the order given; a line marks `least` where it is above 0."""
    figure = _figure(6.2, 0.8 + 0.38 * len(scores))
    axes = figure.add_subplot()
    names = [printable(name, name.encode("ascii", "replace").decode()) for name in scores]
    bars = axes.barh(range(len(scores)), list(scores.values()), color=["#e45756" if i == 0 else "#4c78a8" for i in range(len(scores))])
    axes.bar_label(bars, [f"{value:.3f}" for value in scores.values()], padding=3, fontsize=8)
    axes.set_yticks(range(len(scores)), names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    if least > 0:
        axes.axvline(least, color="0.4", linewidth=1, linestyle="--")
    axes.set_title(title, fontsize=10, parse_math=False)
    return _png(figure)


def worst(shown: Sequence[tuple[bytes, str, str]], columns: int = 4) -> bytes:
    """The mistakes that the model was surest of, as one PNG: each item's picture (PNG or JPEG) under what people said and what it said."""
    from PIL import Image

    rows = max(1, -(-len(shown) // columns))
    figure = _figure(columns * 2.6, rows * 2.3)
    for number, (encoded, said, predicted) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, number + 1)
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.thumbnail((480, 480))
            axes.imshow(np.asarray(picture.convert("RGB")))
        title = f"{printable(said, 'said')}\ntaken for {printable(predicted, 'another')}"
        axes.set_title(title, fontsize=8, parse_math=False)
        axes.axis("off")
    return _png(figure)


def printable(name: str, otherwise: str) -> str:
    """The name, shortened, or `otherwise` where the font at hand lacks a letter of it (Chinese in matplotlib's own font)."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    short = name if len(name) <= 24 else f"{name[:23]}…"
    return short if all(ord(letter) in known for letter in short) else otherwise


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def decision(metrics: Sequence[Mapping[str, Any]], found: Comparison | None, chosen: Verdict, tolerance: float) -> bytes:
    """Champion and challenger side by side, and where they were compared the difference with its interval, as a PNG."""
    figure = _figure(9, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    models = list(dict.fromkeys(one["model"] for one in metrics))
    for place, model in enumerate(models):
        values = {one["metric"].replace("_", " "): one["value"] for one in metrics if one["model"] == model}
        at = np.arange(len(values)) + 0.4 * (place - (len(models) - 1) / 2)
        bars = left.barh(at, list(values.values()), 0.38, label=model, color="#4c78a8" if model == "challenger" else "#b0b7bf")
        left.bar_label(bars, fmt="%.3f", fontsize=8)
        left.set_yticks(range(len(values)), list(values))
    left.invert_yaxis()
    if models:
        left.legend(fontsize=8, loc="lower right")
    right.set_yticks([])
    right.set_xlabel("score, challenger less champion")
    if found is not None:
        right.axvspan(-tolerance, 0, color="#f6e3c5", label="tolerance")
        right.axvline(0, color="black", linewidth=0.8)
        right.plot([found.low, found.high], [0, 0], color="#4c78a8", linewidth=4, solid_capstyle="round", label="95 % interval")
        right.plot([found.mean], [0], "o", color="black", label="mean")
        right.legend(fontsize=8, loc="lower right")
    figure.suptitle("the challenger was adopted" if chosen.adopted else "the champion stays", fontsize=11)
    return _png(figure)
