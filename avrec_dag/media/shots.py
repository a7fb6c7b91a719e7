"""Shot boundaries from the colours of the frames seen."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BINS = 6
_FLOOR = 0.35


def colours(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The colour histogram of a picture, float32 (216,), sum 1: 6 levels of red, green and blue, each pixel shared by two levels.

    Args:
        rgb: uint8 (h, w, 3); about 4,000 of its pixels are looked at.
    """
    step = max(1, int(np.sqrt(rgb.shape[0] * rgb.shape[1] / 4000)))
    pixels = rgb[::step, ::step].reshape(-1, 3).astype(np.float32) * ((_BINS - 1) / 255)
    low = np.minimum(pixels.astype(np.intp), _BINS - 2)
    high_share = pixels - low
    histogram = np.zeros(_BINS**3)
    for corner in np.ndindex(2, 2, 2):
        cell = (low + corner) @ (_BINS * _BINS, _BINS, 1)
        weight = np.where(corner, high_share, 1 - high_share).prod(axis=1)
        histogram += np.bincount(cell, weight, _BINS**3)
    return (histogram / len(pixels)).astype(np.float32)


def shots(histograms: Sequence[NDArray[np.float32]]) -> list[int]:
    """The shot of every frame, counting up from 0: a new one begins where colours change far more than they usually do.

    Args:
        histograms: Of the frames seen, in order.
    """
    if not histograms:
        return []
    stacked = np.stack(histograms)
    change = np.abs(np.diff(stacked, axis=0)).sum(axis=1) / 2
    usual = float(np.median(change)) if len(change) > 4 else 0.0
    cut = change > max(_FLOOR, min(0.9, 3 * usual))
    return [0, *np.cumsum(cut).tolist()]
