"""How well the classifier does on groups it never saw: figures, per class, reliability, confusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True)
class Evaluation:
    """Figures of one set of held-out predictions.

    Attributes:
        metrics: Name -> value. `accuracy` (with several labels per item: the share whose labels are all and only right), `macro_f1`,
            `mean_average_precision` (over the classes that somebody has), `majority_accuracy` (always answering the commonest class, or
            set of classes), `log_loss` in nats (per item; with several labels, the mean over classes), `calibration_error` in [0, 1]
            (expected, ten equal bins; Naeini et al. 2015).
        per_class: Class -> precision, recall, f1, average_precision, support.
        confusion: int64 (n_classes, n_classes), rows true, columns predicted; with several labels, each true class of an item against
            the most probable one.
        names: The classes, in the order of the matrix.
        reliability: float (10, 3), by how sure the prediction is: mean probability, share right, how many; NaN where none.
    """

    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    confusion: NDArray[np.int64]
    names: tuple[str, ...]
    reliability: NDArray[np.float64]


def evaluate(
    targets: NDArray[np.floating], probs: NDArray[np.float32], names: Sequence[str], said: NDArray[np.bool_] | None = None
) -> Evaluation:
    """Compare predictions with what people said.

    Args:
        targets: float (n, n_classes) in {0, 1}, at least one 1 in each row; n is at least 1.
        probs: float32 (n, n_classes); rows sum to 1 unless `said` is given.
        names: The classes. A class nobody has and nothing was taken for counts as 0 in the macro mean.
        said: bool (n, n_classes), the classes decided on, where an item may have several; None: the most probable one.

    Raises:
        ValueError: There is nothing to compare, or the shapes do not fit.
    """
    if not len(targets) or targets.shape != probs.shape or probs.shape[1] != len(names):
        found = f"{targets.shape} answers, probabilities of shape {probs.shape}, {len(names)} classes"
        raise ValueError(f"evaluating: found {found}, expected (n, n_classes) with n at least 1")
    truth, several = targets > 0, said is not None
    best = np.eye(len(names), dtype=bool)[probs.argmax(axis=1)]
    chosen = best if said is None else said
    hits, support, claimed = (truth & chosen).sum(axis=0), truth.sum(axis=0), chosen.sum(axis=0)
    precision, recall = _ratio(hits, claimed), _ratio(hits, support)
    f1 = _ratio(2 * precision * recall, precision + recall)
    average = np.array([average_precision(truth[:, i], probs[:, i]) for i in range(len(names))])
    columns = {"precision": precision, "recall": recall, "f1": f1, "average_precision": average, "support": support}
    per_class = {name: {figure: float(values[i]) for figure, values in columns.items()} for i, name in enumerate(names)}
    sure, right = (probs.ravel(), truth.ravel()) if several else (probs.max(axis=1), (truth & best).any(axis=1))
    reliability = _reliability(sure, right)
    metrics = {
        "accuracy": float((truth == chosen).all(axis=1).mean()),
        "macro_f1": float(f1.mean()),
        "mean_average_precision": float(average[support > 0].mean()),
        "majority_accuracy": float(np.unique(truth, axis=0, return_counts=True)[1].max() / len(truth)),
        "log_loss": _log_loss(truth, probs, several=several),
        "calibration_error": calibration_error(sure, right),
    }
    return Evaluation(metrics, per_class, truth.T.astype(np.int64) @ best.astype(np.int64), tuple(names), reliability)


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Mean over the true items of the precision at their rank; items of one score share the rank of the last of them. 0 without any."""
    if not truth.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each run of equal scores
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / truth.sum())


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean gap between how sure the predictions are and how often they are right, over equal bins, weighted by size."""
    gaps = np.bincount(_bin(confidence, bins), confidence - right.astype(float), minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    which = _bin(confidence, BINS)
    count = np.bincount(which, minlength=BINS)
    sums = [np.bincount(which, values, minlength=BINS) for values in (confidence, right.astype(float))]
    with np.errstate(invalid="ignore"):
        return np.stack([*(total / np.where(count > 0, count, np.nan) for total in sums), count.astype(float)], axis=1)


def _bin(confidence: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _log_loss(truth: NDArray[np.bool_], probs: NDArray[np.float32], *, several: bool) -> float:
    if several:
        return float(-np.log(np.where(truth, probs, 1 - probs).clip(1e-9)).mean())
    return float(-np.log(probs[truth].clip(1e-9)).mean())


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
