"""True peak by ITU-R BS.1770-4, annex 2: the peak of the waveform between the samples, where a converter or a lossy encoder would clip."""

import numpy as np
from numpy.typing import NDArray

_OUTER = (
    0.001708984375, 0.010986328125, -0.0196533203125, 0.033203125, -0.0594482421875, 0.1373291015625,
    0.97216796875, -0.102294921875, 0.047607421875, -0.026611328125, 0.014892578125, -0.00830078125,
)  # fmt: skip
_INNER = (
    -0.0291748046875, 0.029296875, -0.0517578125, 0.089111328125, -0.16650390625, 0.465087890625,
    0.77978515625, -0.2003173828125, 0.1015625, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
_PHASES = tuple(np.array([taps], np.float32) for taps in (_OUTER, _INNER, _INNER[::-1], _OUTER[::-1]))
"""The standard's interpolator, four times the sampling rate: the coefficients of its four phases."""
_TAPS = len(_OUTER)
_MOST_GAIN = max(float(np.abs(taps).sum()) for taps in _PHASES)
"""Between samples of at most 1 the interpolator never exceeds this."""


class TruePeak:
    """Takes blocks of all channels and tells the true peak at the end; keeps twelve samples of each channel."""

    def __init__(self, n_channels: int) -> None:
        self._before = np.zeros((n_channels, _TAPS), np.float32)
        self._peak = 0.0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples: float32 (channels, n). Those that cannot hold a higher peak are not interpolated."""
        import cv2

        joined = np.concatenate([self._before, samples], axis=1)
        self._before = joined[:, -_TAPS:].copy()
        highest = _peak(joined)
        self._peak = max(self._peak, highest)
        if highest * _MOST_GAIN > self._peak:
            for taps in _PHASES:
                between = cv2.filter2D(joined, cv2.CV_32F, taps, borderType=cv2.BORDER_CONSTANT)
                # Only where all taps lie on samples: a block's end is no edge of the sound.
                self._peak = max(self._peak, _peak(np.asarray(between, np.float32)[:, _TAPS // 2 : -_TAPS // 2 + 1]))

    def peak(self) -> float:
        """Of everything added, 1 is full scale; at least the loudest sample."""
        return self._peak


def _peak(samples: NDArray[np.float32]) -> float:
    return max(float(samples.max(initial=0)), -float(samples.min(initial=0)))
