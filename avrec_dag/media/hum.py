"""Mains hum: steady lines at 50 or 60 Hz and its harmonics, told from music and speech by their standing still."""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000
MAINS_HZ = (50, 60)
N_HARMONICS = 4
"""50 to 200 Hz, 60 to 240 Hz: above, hum hides among voices."""

_WINDOW = RATE_HZ  # one second, so that bin k is k Hz
_HIGHEST_HZ = 320
_NEAR_HZ, _FAR_HZ = 4, 14
"""A line is compared with what lies so many Hz beside it: outside the window's own main lobe, inside the same band of hearing."""
_INAUDIBLE = 1e-9
"""Power at -90 dBFS a bin, below which nothing counts: a line that sticks out of digital silence disturbs nobody."""


class HumMeter:
    """Takes 16 kHz mono blocks and tells the hum at the end; keeps one second and one number for each Hz up to 320."""

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
        self._scale = 2 / float(self._window.sum())
        self._rest = np.zeros(0, np.float32)
        self._sum = np.zeros(_HIGHEST_HZ)
        self._n = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples: float32 (n,)."""
        self._rest = np.concatenate([self._rest, samples])
        whole = len(self._rest) // _WINDOW
        for part in self._rest[: whole * _WINDOW].reshape(whole, _WINDOW):
            self._take(part)
        self._rest = self._rest[whole * _WINDOW :]

    def _take(self, part: NDArray[np.float32]) -> None:
        spectrum = np.abs(np.fft.rfft(part * self._window)[:_HIGHEST_HZ]) * self._scale
        # The mean of logarithms: a note that comes and goes counts little, a line that stays counts fully.
        self._sum += 10 * np.log10(spectrum**2 / 2 + _INAUDIBLE)
        self._n += 1

    def level_db(self) -> float | None:
        """How far the lines of 50 or 60 Hz, whichever stand out more, rise above what lies beside them; None for less than a second.

        Spectra of windows of a second (Welch 1967, without overlap, and the mean of their logarithms); the rest is our own. The second
        strongest of four harmonics counts, so that one steady tone is not taken for hum.
        """
        if not self._n:
            return None
        levels = self._sum / self._n
        return max(0.0, *(sorted(_rise(levels, mains * k) for k in range(1, N_HARMONICS + 1))[-2] for mains in MAINS_HZ))


def _rise(levels: NDArray[np.float64], hz: int) -> float:
    """How many dB the line at `hz`, or the bin beside it (grids drift), lies over the median of its neighbourhood."""
    beside = np.concatenate([levels[hz - _FAR_HZ : hz - _NEAR_HZ + 1], levels[hz + _NEAR_HZ : hz + _FAR_HZ + 1]])
    return float(levels[hz - 1 : hz + 2].max() - np.median(beside))
