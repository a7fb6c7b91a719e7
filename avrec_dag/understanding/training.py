"""Training the content classifier: cross-validation over grouped folds, then one model of everything."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.understanding.calibration import chances, temperature_of, thresholds_of
from avrec_dag.understanding.classifier import Classifier
from avrec_dag.understanding.examples import Examples
from avrec_dag.understanding.settings import Settings, Weights
from avrec_dag.understanding.splits import folds_of

SHARE_UNSURE = 0.01
"""Share of held-out examples that may be less sure than the threshold under which an item counts as of no known class."""


@dataclass(frozen=True)
class HeldOut:
    """What models that never saw an example's group said of it.

    Attributes:
        logits: float32 (n, n_classes), before any calibration.
        probs: float32 (n, n_classes), by the temperature fitted on the other folds' logits, so that it is honest of this fold too.
        said: bool (n, n_classes), the classes decided on, by thresholds found on the other folds.
        fold: int64 (n,), the fold in which each example was held out.
        temperature: What the logits are divided by so that the probabilities are honest, from all folds.
        thresholds: float32 (n_classes,), the probability from which on an item has a class; only multi-label models use it.
        epochs: Best epoch of each fold.
    """

    logits: NDArray[np.float32]
    probs: NDArray[np.float32]
    said: NDArray[np.bool_]
    fold: NDArray[np.int64]
    temperature: float
    thresholds: NDArray[np.float32]
    epochs: tuple[int, ...]

    @property
    def unsure_below(self) -> float:
        """The probability that all but the least sure hundredth of the held-out examples' best classes reach.

        What is of no known class tends to stay below it (maximum softmax probability; Hendrycks and Gimpel 2017).
        """
        return float(np.quantile(self.probs.max(axis=1), SHARE_UNSURE))


def train(examples: Examples, settings: Settings, seed: int, start_from: Weights | None = None) -> tuple[Classifier, HeldOut]:
    """Cross-validate, then train on every example.

    The evaluation is so of the recipe, on groups it never saw, while the model that serves has seen everything.

    Args:
        examples: What to learn from.
        settings: Sizes and rates.
        seed: Decides folds, initial weights, order and dropout.
        start_from: Weights the last model goes on from; the cross-validation never does, as they have seen what it holds out.

    Raises:
        ValueError: There are fewer than two groups.
    """
    held_out = cross_validate(examples, settings, seed)
    weights, _ = fitted(examples, np.arange(len(examples.media_ids)), settings, seed, start_from)
    return classifier_of(examples, held_out, settings, weights), held_out


def classifier_of(examples: Examples, held_out: HeldOut, settings: Settings, weights: Weights) -> Classifier:
    """The classifier that these weights are, with the calibration that held-out examples gave."""
    thresholds = tuple(round(float(one), 4) for one in held_out.thresholds) if examples.multi_label else ()
    return Classifier(examples.names, held_out.temperature, held_out.unsure_below, settings, weights, examples.multi_label, thresholds)


def fitted(
    examples: Examples, learn: NDArray[np.int64], settings: Settings, seed: int, start_from: Weights | None = None
) -> tuple[Weights, int]:
    """Weights learned from some of the examples, and how many epochs that took."""
    from avrec_dag.understanding.fitting import Fitting

    fitting = Fitting(
        examples.tokens, examples.targets, settings, seed,
        multi_label=examples.multi_label, anchors=examples.anchors, start_from=start_from,
    )  # fmt: skip
    return fitting.run(learn)


def cross_validate(examples: Examples, settings: Settings, seed: int) -> HeldOut:
    """Hold every fold out once: learn from all the others, predict the one held out."""
    fold = folds_of(examples.classes, examples.groups, seed)
    logits = np.zeros(examples.targets.shape, np.float32)
    epochs = []
    for number in range(int(fold.max()) + 1):
        held = fold == number
        weights, count = fitted(examples, np.flatnonzero(~held), settings, seed + number)
        epochs.append(count)
        logits[held] = Classifier(examples.names, 1.0, 0.0, settings, weights).logits(examples.tokens[held])
    return calibrated(logits, examples, fold, tuple(epochs))


def calibrated(logits: NDArray[np.float32], examples: Examples, fold: NDArray[np.int64], epochs: tuple[int, ...] = ()) -> HeldOut:
    """Temperature and thresholds from held-out logits: of each fold by what the other folds say, and of everything for the model."""
    targets, several = examples.targets, examples.multi_label
    probs, said = np.zeros_like(logits), np.zeros(logits.shape, bool)
    for number in np.unique(fold):
        held = fold == number
        temperature = temperature_of(logits[~held], targets[~held], multi_label=several)
        probs[held] = chances(logits[held], temperature, multi_label=several)
        limits = thresholds_of(chances(logits[~held], temperature, multi_label=several), targets[~held])
        said[held] = probs[held] >= limits if several else probs[held] == probs[held].max(axis=1, keepdims=True)
    temperature = temperature_of(logits, targets, multi_label=several)
    limits = thresholds_of(chances(logits, temperature, multi_label=several), targets)
    return HeldOut(logits, probs, said, fold, temperature, limits, epochs)
