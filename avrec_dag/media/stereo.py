"""How two channels of a sound differ: mono sold as stereo, one side missing, sides that cancel each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_DB, MOST_DB = -120.0, 120.0


@dataclass(frozen=True, slots=True)
class StereoFacts:
    """Of the first two channels; all None where there are not two, or both are silent.

    Attributes:
        side_db: Power of their difference against that of their sum; below -60 the sound is mono, -120 where they are equal.
        balance_db: Power of the left channel against the right one, within 120 dB.
        stereo_correlation: In [-1, 1]; near -1 the sound vanishes when both are played by one loudspeaker.
    """

    side_db: float | None
    balance_db: float | None
    stereo_correlation: float | None


class StereoMeter:
    """Takes blocks of all channels and tells the facts at the end; keeps three numbers."""

    def __init__(self) -> None:
        self._left = self._right = self._both = 0.0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples: float32 (channels, n)."""
        if len(samples) < 2:
            return
        left, right = samples[0], samples[1]
        self._left += float(np.dot(left, left))
        self._right += float(np.dot(right, right))
        self._both += float(np.dot(left, right))

    def facts(self) -> StereoFacts:
        """The facts of everything added."""
        if self._left + self._right <= 0:
            return StereoFacts(None, None, None)
        middle, side = self._left + self._right + 2 * self._both, self._left + self._right - 2 * self._both
        scale = np.sqrt(self._left * self._right)
        return StereoFacts(
            _ratio_db(side, middle), _ratio_db(self._left, self._right), float(np.clip(self._both / scale, -1, 1)) if scale else 0.0
        )


def _ratio_db(one: float, other: float) -> float:
    # Sums in single precision leave rounding of one part in a million where the channels are equal.
    least = 1e-12 * max(one, other, 0.0)
    return float(np.clip(10 * np.log10(max(one, least) / max(other, least)), LEAST_DB, MOST_DB))
