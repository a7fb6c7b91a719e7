"""How well the classifier does on sources it never saw: figures, per class, and the confusion matrix as a picture."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_SHOWN = 40


@dataclass(frozen=True)
class Evaluation:
    """Figures of one set of held-out predictions.

    Attributes:
        metrics: Name -> value. `accuracy`, `macro_f1`, `majority_accuracy` (always answering the commonest class),
            `log_loss` in nats, `calibration_error` in [0, 1] (expected, ten equal bins; Naeini et al. 2015).
        per_class: Class -> precision, recall, f1, support.
        confusion: int64 (n_classes, n_classes), rows true, columns predicted.
        names: The classes, in the order of the matrix.
    """

    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    confusion: NDArray[np.int64]
    names: tuple[str, ...]


def evaluate(classes: NDArray[np.int64], probs: NDArray[np.float32], names: Sequence[str]) -> Evaluation:
    """Compare predictions with what people said.

    Args:
        classes: int64 (n,), the true classes as index into names; n is at least 1.
        probs: float32 (n, n_classes), rows sum to 1.
        names: The classes. A class nobody has and nothing was taken for counts as 0 in the macro mean.

    Raises:
        ValueError: There is nothing to compare, or the shapes do not fit.
    """
    if not len(classes) or probs.shape != (len(classes), len(names)):
        found = f"{len(classes)} answers, probabilities of shape {probs.shape}, {len(names)} classes"
        raise ValueError(f"evaluating: found {found}, expected (n, n_classes) with n at least 1")
    n, predicted = len(names), probs.argmax(axis=1)
    confusion = np.bincount(classes * n + predicted, minlength=n * n).reshape(n, n)
    hits, support, claimed = np.diag(confusion).astype(float), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, claimed), _ratio(hits, support)
    f1 = _ratio(2 * precision * recall, precision + recall)
    per_class = {
        name: {"precision": float(precision[i]), "recall": float(recall[i]), "f1": float(f1[i]), "support": int(support[i])}
        for i, name in enumerate(names)
    }
    metrics = {
        "accuracy": float(hits.sum() / len(classes)),
        "macro_f1": float(f1.mean()),
        "majority_accuracy": float(support.max() / len(classes)),
        "log_loss": float(-np.log(probs[np.arange(len(classes)), classes].clip(1e-9)).mean()),
        "calibration_error": calibration_error(probs.max(axis=1), predicted == classes),
    }
    return Evaluation(metrics, per_class, confusion, tuple(names))


def calibration_error(confidence: NDArray[np.float32], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean gap between how sure the predictions are and how often they are right, over equal bins, weighted by size."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, confidence - right.astype(float), minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _ratio(part: NDArray[np.floating], whole: NDArray[np.floating] | NDArray[np.int64]) -> NDArray[np.floating]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def picture(evaluation: Evaluation) -> bytes:
    """The confusion matrix as a PNG: shade and number per cell, rows true, columns predicted; the 40 commonest classes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = np.sort(np.argsort(-evaluation.confusion.sum(axis=1), kind="stable")[:_MOST_SHOWN])
    matrix = evaluation.confusion[np.ix_(shown, shown)]
    labels = [_printable(evaluation.names[i], i) for i in shown]
    side = 2.5 + 0.42 * len(shown)
    figure = Figure(figsize=(side + 0.5, side), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
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
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _printable(name: str, number: int) -> str:
    """The name, or the class's number where the font at hand lacks a letter of it (Chinese in matplotlib's own font)."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    short = name if len(name) <= 24 else f"{name[:23]}…"
    return short if all(ord(letter) in known for letter in short) else f"class {number}"
