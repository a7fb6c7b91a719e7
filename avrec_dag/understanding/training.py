"""Training the content classifier: cross-validation over grouped folds, then one model of everything."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.understanding.classifier import Classifier, softmax
from avrec_dag.understanding.settings import Settings
from avrec_dag.understanding.splits import folds_of

SHARE_UNSURE = 0.01
"""Share of held-out examples that may be less sure than the threshold under which an item counts as of no known class."""


@dataclass(frozen=True)
class Examples:
    """What a classifier learns from.

    Attributes:
        media_ids: One per example.
        tokens: float32 (n, 3, 256), as table fused_features has them.
        classes: int64 (n,), index into names.
        names: The classes.
        sources: The recording of each example; no split separates two examples of one.
    """

    media_ids: tuple[str, ...]
    tokens: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class HeldOut:
    """What models that never saw an example's source said of it.

    Attributes:
        probs: float32 (n, n_classes), divided by the temperature.
        fold: int64 (n,), the fold in which each example was held out.
        temperature: What the logits are divided by so that the probabilities are honest.
        epochs: Best epoch of each fold.
    """

    probs: NDArray[np.float32]
    fold: NDArray[np.int64]
    temperature: float
    epochs: tuple[int, ...]

    @property
    def unsure_below(self) -> float:
        """The probability that all but the least sure hundredth of the held-out examples' best classes reach.

        What is of no known class tends to stay below it (maximum softmax probability; Hendrycks and Gimpel 2017).
        """
        return float(np.quantile(self.probs.max(axis=1), SHARE_UNSURE))


def train(examples: Examples, settings: Settings, seed: int) -> tuple[Classifier, HeldOut]:
    """Cross-validate, then train on every example for the middle one of the folds' best epochs.

    The evaluation is so of the recipe, on sources it never saw, while the model that serves has seen everything.

    Raises:
        ValueError: There are fewer than two sources.
    """
    from avrec_dag.understanding.network import Fitting

    held_out = cross_validate(examples, settings, seed)
    final = settings.model_copy(update={"epochs_unwatched": max(int(np.median(held_out.epochs)), 1)})
    fitting = Fitting(examples.tokens, examples.classes, len(examples.names), final, seed)
    weights, _ = fitting.run(np.arange(len(examples.classes)), np.empty(0, np.int64))
    return Classifier(examples.names, held_out.temperature, held_out.unsure_below, settings, weights), held_out


def cross_validate(examples: Examples, settings: Settings, seed: int) -> HeldOut:
    """Hold every fold out once: learn from the others, stop early on the next one, predict the one held out.

    With two folds none is left to stop on, and training lasts `settings.epochs_unwatched`. The temperature is fitted
    on the held-out logits (Guo et al. 2017): one number over all examples, which can hardly overfit.
    """
    from avrec_dag.understanding.network import Fitting

    fold = folds_of(examples.classes, examples.sources, seed)
    count = int(fold.max()) + 1
    logits = np.zeros((len(fold), len(examples.names)), np.float32)
    epochs = []
    for number in range(count):
        watched = (number + 1) % count if count > 2 else -1
        learn, watch = np.flatnonzero((fold != number) & (fold != watched)), np.flatnonzero(fold == watched)
        fitting = Fitting(examples.tokens, examples.classes, len(examples.names), settings, seed + number)
        weights, best = fitting.run(learn, watch)
        epochs.append(best)
        held = fold == number
        logits[held] = Classifier(examples.names, 1.0, 0.0, settings, weights).logits(examples.tokens[held])
    temperature = temperature_of(logits, examples.classes)
    return HeldOut(softmax(logits / temperature), fold, temperature, tuple(epochs))


def temperature_of(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """The divisor from 0.25 to 4 under which the logits' log loss is least.

    Targets are (n + 1) / (n + 2) in place of 1 (Platt 1999): nothing that n examples get right makes the next one certain.
    """
    n, n_classes = logits.shape
    doubt = 1 / (n + 2)
    targets = np.full((n, n_classes), doubt / max(n_classes - 1, 1))
    targets[np.arange(n), classes] = 1 - doubt
    candidates = np.geomspace(0.25, 4, 49)
    losses = [-(targets * np.log(softmax(logits / one).clip(1e-12))).sum(axis=1).mean() for one in candidates]
    return float(candidates[int(np.argmin(losses))])
