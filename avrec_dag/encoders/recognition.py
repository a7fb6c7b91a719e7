"""What speech recognisers promise, and which of them the setting AVREC_SPEECH means."""

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import hub
from avrec_dag.encoders.base import EncoderSpec
from avrec_dag.encoders.weights import located
from avrec_dag.errors import SettingError

OFF = "off"
HUB = "hub:"


@dataclass(frozen=True)
class Word:
    """One word with its time in the samples, seconds, and how sure the recogniser is of it, in [0, 1]."""

    start_s: float
    end_s: float
    text: str
    prob: float


@dataclass(frozen=True)
class Sentence:
    """What a recogniser takes for one stretch of speech.

    Attributes:
        text: What is said.
        words: Its words with their times.
        avg_logprob: Mean log-probability of its tokens.
        no_speech_prob: How likely nobody speaks at all, in [0, 1].
    """

    text: str
    words: tuple[Word, ...]
    avg_logprob: float
    no_speech_prob: float


@dataclass(frozen=True)
class Heard:
    """What one call of a recogniser gives.

    Attributes:
        sentences: In order.
        language: ISO 639-1 code.
        language_prob: How sure it is of it, in [0, 1]; 1 where it was told.
    """

    sentences: tuple[Sentence, ...]
    language: str
    language_prob: float


class Recogniser(Protocol):
    """Turns speech into words. Cheap to construct: weights load on first use, once per process."""

    spec: EncoderSpec

    def recognise(self, samples: NDArray[np.float32], language: str | None = None) -> Heard:
        """Words of 16 kHz mono samples, float32 (n,) in [-1, 1], at most 30 s; None: find out the language."""
        ...


def chosen(setting: str) -> EncoderSpec | None:
    """The recogniser that a setting means, without loading it; None where nothing is to be transcribed.

    Args:
        setting: `auto` (the packaged one where it is installed), `off`, `packaged`, or `hub:NAME` with the name or folder of a Whisper
            model, as `hub.spec` takes them.

    Raises:
        SettingError: There is no such recogniser, or it is not installed or not on this machine.
    """
    if setting.startswith(HUB) and setting != HUB:
        return hub.recogniser(setting.removeprefix(HUB)).spec
    from avrec_dag.encoders.packaged import speech

    installed = importlib.util.find_spec("faster_whisper") is not None and all(located(*part[:2]) for part in speech.PARTS)
    if setting == OFF or (setting == "auto" and not installed):
        return None
    if setting not in ("auto", "packaged"):
        raise SettingError(
            f"AVREC_SPEECH={setting!r} names no speech recogniser; use auto, off, packaged, or hub:NAME as in "
            f"hub:{hub.EXAMPLES['speech']} (`hf download {hub.EXAMPLES['speech']}`)"
        )
    if not installed:
        raise SettingError(
            f"AVREC_SPEECH={setting!r} needs what is not installed; install it with `{speech.INSTALL}`, or set AVREC_SPEECH=off"
        )
    return speech.Whisper.spec


def load(setting: str) -> Recogniser:
    """The recogniser of a setting, one per process.

    Raises:
        SettingError: As `chosen`, or the setting means none.
    """
    from avrec_dag.encoders.packaged import speech

    if setting.startswith(HUB) and setting != HUB:
        return hub.recogniser(setting.removeprefix(HUB))
    if chosen(setting) is None:
        raise SettingError(f"AVREC_SPEECH={setting!r} means no speech recogniser; set packaged, after `{speech.INSTALL}`")
    return _packaged()


@cache
def _packaged() -> Recogniser:
    from avrec_dag.encoders.packaged import speech

    return speech.Whisper()
