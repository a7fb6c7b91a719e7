"""From logits to honest probabilities, and from those to a decision."""

import numpy as np
from numpy.typing import NDArray

LEAST_POSITIVE = 5
"""A class with fewer held-out examples keeps the threshold one half: its own would follow chance."""


def chances(logits: NDArray[np.float32], temperature: float, *, multi_label: bool) -> NDArray[np.float32]:
    """Probabilities float32 (n, n_classes): softmax, or with several labels per item a sigmoid for each class."""
    scaled = logits.astype(float) / temperature
    if multi_label:
        return (0.5 * (1 + np.tanh(0.5 * scaled))).astype(np.float32)
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def temperature_of(logits: NDArray[np.float32], targets: NDArray[np.float32], *, multi_label: bool = False) -> float:
    """The divisor from 0.25 to 4 under which the logits' log loss is least (Guo et al. 2017).

    Targets are (n + 1) / (n + 2) in place of 1 (Platt 1999): nothing that n examples get right makes the next one certain.

    Args:
        logits: float32 (n, n_classes).
        targets: float32 (n, n_classes) in {0, 1}.
        multi_label: Whether each class has a probability of its own.
    """
    n, n_classes = logits.shape
    doubt = 1 / (n + 2)
    if multi_label:
        wanted = np.where(targets > 0, 1 - doubt, doubt)
    else:
        wanted = np.full((n, n_classes), doubt / max(n_classes - 1, 1))
        wanted[np.arange(n), targets.argmax(axis=1)] = 1 - doubt

    def loss(temperature: float) -> float:
        probs = chances(logits, temperature, multi_label=multi_label).astype(float).clip(1e-12, 1 - 1e-7)
        against = (1 - wanted) * np.log(1 - probs) if multi_label else 0.0
        return float(-(wanted * np.log(probs) + against).sum(axis=1).mean())

    candidates = np.geomspace(0.25, 4, 49)
    return float(candidates[int(np.argmin([loss(one) for one in candidates]))])


def thresholds_of(probs: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each class the probability from which on deciding for it gives the best F1: float32 (n_classes,), in steps of 0.05."""
    grid = np.arange(1, 20) / 20
    limits = np.full(probs.shape[1], 0.5, np.float32)
    for number in np.flatnonzero(targets.sum(axis=0) >= LEAST_POSITIVE):
        said = probs[:, number, None] >= grid
        hits = (said & (targets[:, number, None] > 0)).sum(axis=0)
        f1 = 2 * hits / np.maximum(said.sum(axis=0) + targets[:, number].sum(), 1)
        best = np.flatnonzero(f1 == f1.max())
        limits[number] = grid[best[np.argmin(np.abs(grid[best] - 0.5))]]
    return limits
