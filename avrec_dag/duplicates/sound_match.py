"""What is remembered of a sound, and whether two sounds are the same recording, up to encoding, level and 5 % of speed."""

import numpy as np
from numpy.typing import NDArray

PER_SECOND = 10
MOST_S = 60
"""Of a longer sound its middle is kept: beginnings are shared by every episode of a series."""
BANDS = 64
_WINDOWS_PER_S = 100
_LEAST_S = 0.5
_LEAST_VARIATION_DB = 1.5
_SHIFTS_S = 0.6
_BANDS_UP = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""A sound played 5 % faster lies 0.4 to 0.9 bands higher (`media.log_mel`), unless its pitch was kept."""

Sound = NDArray[np.uint8]
"""uint8 (n, 64): ten times a second, half decibels above -60 dB."""


def sound_print(log_mel: NDArray[np.floating]) -> Sound:
    """The middle minute of a log-mel spectrogram (n, 64) in dB (`media.log_mel`), ten rows a second."""
    each = _WINDOWS_PER_S // PER_SECOND
    n = len(log_mel) // each
    if not n:
        return np.zeros((0, BANDS), np.uint8)
    first = max(0, (n - MOST_S * PER_SECOND) // 2)
    last = min(n, first + MOST_S * PER_SECOND)
    # Mapped from the store, so that only the part that is kept is read.
    rows = np.asarray(log_mel[first * each : last * each], np.float32).reshape(last - first, each, BANDS).mean(1)
    return np.clip(np.rint((rows + 60) * 2), 0, 255).astype(np.uint8)


def sound_agreement(a: Sound, b: Sound, stretch: float) -> float | None:
    """Correlation in [-1, 1] of two sounds at the best delay and pitch; None where one is too short or too even to tell.

    What is correlated is how each band deviates from its own mean and each moment from its own: neither loudness nor an equaliser
    counts.

    Args:
        a: First.
        b: Second.
        stretch: Length of the second item divided by that of the first.
    """
    x, y = _levels(a), _levels(b)
    if min(len(x), len(y)) < _LEAST_S * PER_SECOND:
        return None
    x = _resampled(x, max(2, round(len(x) * stretch)))
    if min(_variation(x), _variation(y)) < _LEAST_VARIATION_DB:
        return None
    return max(_best_delay(_raised(x, bands), y) for bands in _BANDS_UP)


def _levels(sound: Sound) -> NDArray[np.float32]:
    return np.asarray(sound, np.float32) * np.float32(0.5) - np.float32(60)


def _centred(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    return levels - levels.mean(0, keepdims=True) - levels.mean(1, keepdims=True) + levels.mean()


def _variation(levels: NDArray[np.float32]) -> float:
    return float(_centred(levels).std())


def _resampled(levels: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    at = (np.arange(n) + 0.5) * len(levels) / n - 0.5
    low = np.clip(np.floor(at).astype(int), 0, len(levels) - 1)
    high = np.minimum(low + 1, len(levels) - 1)
    share = (at - low).clip(0, 1)[:, None].astype(np.float32)
    return np.asarray(levels[low] * (1 - share) + levels[high] * share, np.float32)


def _raised(levels: NDArray[np.float32], bands: float) -> NDArray[np.float32]:
    whole = int(np.floor(bands))
    share = np.float32(bands - whole)
    padded = np.pad(levels, ((0, 0), (2, 2)), mode="edge")
    at = np.arange(BANDS) + 2 - whole
    return np.asarray(padded[:, at] * (1 - share) + padded[:, at - 1] * share, np.float32)


def _best_delay(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """The delay is counted between the middles, as of long sounds only the middle is kept."""
    most = min(round(_SHIFTS_S * PER_SECOND), min(len(x), len(y)) // 4)
    middle = (len(y) - len(x)) // 2
    return max(_correlation(x, y, middle + delay) for delay in range(-most, most + 1))


def _correlation(x: NDArray[np.float32], y: NDArray[np.float32], delay: int) -> float:
    first, last = max(0, -delay), min(len(x), len(y) - delay)
    if last - first < _LEAST_S * PER_SECOND:
        return -1.0
    one, two = _centred(x[first:last]), _centred(y[first + delay : last + delay])
    return float((one * two).sum() / max(1e-6, np.sqrt((one * one).sum() * (two * two).sum())))
