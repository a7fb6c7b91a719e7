"""How fine the detail of a picture really is, and how much of it is bars: what the count of its pixels does not tell."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SEGMENT_PX = 128
_MOST_LINES = 160
_ROUNDING = 1 / 12
"""Power of rounding to whole levels: white, so that it is all there is above the finest detail of an upscaled picture."""
_ABOVE = 4.0
_BLACK = 24
"""Bars are written as black, 0; coding noise moves them by a few levels."""
_STRAY, _AT_ONCE = 0.01, 0.25
"""Shares of a line: so little lit is nothing; so much is lit where a picture begins beside a bar."""

Spectrum = NDArray[np.float64]
Lit = tuple[NDArray[np.float64], NDArray[np.float64]]


def spectrum(luma: NDArray[np.uint8]) -> Spectrum | None:
    """Power across and down by frequency, in levels squared: float64 (2, 65), from 0 to Nyquist; None below 128 pixels.

    Args:
        luma: uint8 (h, w).
    """
    if min(luma.shape) < _SEGMENT_PX:
        return None
    return np.stack([_along(luma), _along(luma.T)])


def cutoff(spectra: Sequence[Spectrum]) -> float | None:
    """The frequency up to which there is detail, as a share of Nyquist, in (0, 1]; None without spectra.

    A picture that was enlarged, or smoothed by coding, has nothing but rounding above the frequency that its original had:
    there its spectrum falls to white noise of 1/12 level squared. The finer of the two directions counts, since nature is
    often smooth in one.

    Args:
        spectra: As `spectrum` measures each frame; their mean is judged.
    """
    if not spectra:
        return None
    mean = np.mean(spectra, axis=0)
    n = mean.shape[1] - 1
    found = [np.flatnonzero(row > _ABOVE * _ROUNDING) for row in mean]
    return max(float(above[-1]) / n if len(above) else 1 / n for above in found)


def bars(lit: Sequence[Lit]) -> tuple[int, int, int, int]:
    """The black bars that all frames have: rows at the top, at the bottom, columns at the left, at the right; zeros where all is black.

    A bar ends at once and along its whole length, which tells it from a dark edge of the picture.

    Args:
        lit: For each frame, as `lit_shares` tells.
    """
    rows, columns = (np.max([one[axis] for one in lit], axis=0) for axis in (0, 1))
    return _bar(rows), _bar(rows[::-1]), _bar(columns), _bar(columns[::-1])


def lit_shares(luma: NDArray[np.uint8]) -> Lit:
    """Share of each row, and of each column, that shows anything: float64 (h,) and (w,)."""
    shown = luma > _BLACK
    return shown.mean(axis=1), shown.mean(axis=0)


def _bar(shares: NDArray[np.float64]) -> int:
    lit = shares > _STRAY
    edge = int(lit.argmax())
    if not lit.any() or shares[edge : edge + max(2, len(shares) // 50)].max() < _AT_ONCE:
        return 0
    return edge


def _along(luma: NDArray[np.uint8]) -> Spectrum:
    """Mean power spectrum of segments of rows (Welch 1967, without overlap)."""
    lines = luma[:: max(1, luma.shape[0] // _MOST_LINES)]
    n = lines.shape[1] // _SEGMENT_PX
    parts = lines[:, : n * _SEGMENT_PX].reshape(-1, _SEGMENT_PX).astype(np.float32)
    window = np.hanning(_SEGMENT_PX + 1)[:-1].astype(np.float32)
    parts = (parts - parts.mean(axis=1, keepdims=True)) * window
    return (np.abs(np.fft.rfft(parts, axis=1)) ** 2).mean(axis=0) / float((window**2).sum())
