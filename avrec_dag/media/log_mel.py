"""Log-mel spectrograms as YAMNet wants them, block by block."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
HOP, WINDOW, FFT, BANDS = 160, 400, 512, 64
LOW_HZ, HIGH_HZ = 125.0, 7500.0
OFFSET = 0.001
FLOOR_DB = -60.0
"""20 log10(OFFSET): what digital silence gives."""

MAX_S = 4 * 3600
"""What comes later in an even longer sound is measured, but not kept as a spectrogram (184 MB are reached then)."""

_MAX_WINDOWS = MAX_S * SAMPLE_RATE_HZ // HOP


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decibels (n, 64) of 16 kHz mono samples, one row for every 10 ms: 20 log10(mel + 0.001).

    Frames of 25 ms (periodic Hann) in an FFT of 512, magnitudes, 64 mel bands (HTK scale) from 125 to 7500 Hz, as in YAMNet
    (Plakal and Ellis, 2020).

    Args:
        samples: float32 (m,) in [-1, 1], at least one window of 400.
    """
    from scipy.fft import rfft

    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    magnitude = np.abs(np.asarray(rfft(windows * _hann(), FFT, axis=1)))
    return 20 * np.log10(magnitude @ mel_matrix() + np.float32(OFFSET))


class LogMel:
    """Collects the spectrogram of a sound that comes in blocks, as one `.npy` of float16 (n, 64)."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._file = io.BytesIO()
        self._file.write(_npy_header(0))
        self.n_windows = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples: float32 (m,), 16 kHz mono."""
        self._rest = np.concatenate([self._rest, samples])
        if len(self._rest) < WINDOW or self.n_windows >= _MAX_WINDOWS:
            self._rest = self._rest[-WINDOW:]
            return
        levels = log_mel(self._rest)[: _MAX_WINDOWS - self.n_windows]
        self._file.write(levels.astype(np.float16).tobytes())
        self.n_windows += len(levels)
        self._rest = self._rest[len(levels) * HOP :]

    def npy(self) -> bytes:
        """The whole file; a sound shorter than one window is padded with silence to give one."""
        if not self.n_windows:
            self.add(np.zeros(WINDOW - len(self._rest), np.float32))
        self._file.seek(0)
        self._file.write(_npy_header(self.n_windows))
        return self._file.getvalue()


def _npy_header(n: int) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f2", "fortran_order": False, "shape": (n, BANDS)})
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float32]:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


@lru_cache(maxsize=1)
def mel_matrix() -> NDArray[np.float32]:
    """Weights (257, 64): triangles on the HTK mel scale, m = 1127 ln(1 + f / 700), without the constant bin."""
    bins = np.asarray(_mel(np.linspace(0, SAMPLE_RATE_HZ / 2, FFT // 2 + 1)))[:, None]
    edges = np.asarray(_mel(_edges_hz()))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    weights[0] = 0
    return weights.astype(np.float32)


def band_centres_hz() -> NDArray[np.float64]:
    """The middle of each band, float64 (64,)."""
    return _edges_hz()[1:-1]


def _edges_hz() -> NDArray[np.float64]:
    """Where bands begin, peak and end, equally far apart on the mel scale: float64 (66,)."""
    mels = np.linspace(_mel(np.float64(LOW_HZ)), _mel(np.float64(HIGH_HZ)), BANDS + 2)
    return 700 * np.expm1(mels / 1127)


def _mel(hz: NDArray[np.float64] | np.float64) -> NDArray[np.float64] | np.float64:
    return 1127 * np.log1p(hz / 700)
