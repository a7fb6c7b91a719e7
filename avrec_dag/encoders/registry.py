"""Encoders by name, and which of them a setting means.

A new encoder is one class that keeps `base.Encoder` (`Tagger` for pictures, `SoundTagger` for sound) and one line here:

    register(MyEncoder)

`AVREC_ENCODERS=packaged+my-encoder` then puts it in the place of the packaged one of its modality. Its digest enters the
versions of what it makes, so that the next run recomputes exactly that. The line stands here, not in a notebook, because
worker processes import this module anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

from avrec_dag.encoders import events
from avrec_dag.encoders.base import Encoder, EncoderSpec, SoundTagger, Tagger
from avrec_dag.encoders.packaged import audio, image, text
from avrec_dag.encoders.weights import located
from avrec_dag.errors import SettingError

_MAKERS: dict[str, Callable[[], Encoder]] = {}
_SPECS: dict[str, EncoderSpec] = {events.SPEC.name: events.SPEC}


def register(encoder: Any) -> None:
    """Make a class known under the name of its `spec`; it is constructed without arguments."""
    _SPECS[encoder.spec.name] = encoder.spec
    _MAKERS[encoder.spec.name] = encoder
    load.cache_clear()


@dataclass(frozen=True)
class Preset:
    """The encoders that one setting means, one for each modality."""

    frame: EncoderSpec
    audio: EncoderSpec
    text: EncoderSpec
    events: EncoderSpec

    def recipe(self) -> Mapping[str, str]:
        """The encoders as `steps.Recipe` names them: `name@digest` by field."""
        return {
            "frame_encoder": self.frame.identity,
            "audio_encoder": self.audio.identity,
            "text_encoder": self.text.identity,
            "audio_events": self.events.identity,
            "joint_space": self.joint_space,
        }

    @property
    def joint_blocks(self) -> tuple[EncoderSpec, ...]:
        """The encoders that `joint.JointSpace` puts side by side."""
        return (*(spec for spec in (self.frame, self.audio) if spec.paired), self.text)

    @property
    def joint_space(self) -> str:
        """Identity of the joint space: of the text encoder where no other is in it."""
        return "+".join(spec.identity for spec in self.joint_blocks)


def specs() -> tuple[EncoderSpec, ...]:
    """Every encoder known, by name."""
    return tuple(_SPECS[name] for name in sorted(_SPECS))


@cache
def load(name: str) -> Encoder:
    """The encoder of this name, one per process. Weights are read at its first use.

    Raises:
        SettingError: No encoder has this name.
    """
    if name not in _MAKERS:
        raise SettingError(f"no encoder is called {name!r}; known are {', '.join(sorted(_MAKERS))}")
    return _MAKERS[name]()


def load_frames(preset_name: str) -> Tagger:
    """The picture encoder of a preset."""
    return cast("Tagger", load(preset(preset_name).frame.name))


def load_sound(preset_name: str) -> SoundTagger:
    """The sound encoder of a preset."""
    return cast("SoundTagger", load(preset(preset_name).audio.name))


def preset(name: str) -> Preset:
    """The encoders a setting means.

    Args:
        name: `packaged`, or `packaged+NAME+...` where each named encoder takes the place of the packaged one of its modality.

    Raises:
        SettingError: The preset or an encoder is unknown.
    """
    base, *others = name.split("+")
    if base != "packaged":
        raise SettingError(f"AVREC_ENCODERS={name!r} is no set of encoders; use packaged, or packaged+NAME with one of {_names()}")
    chosen = Preset(image.EfficientNetLite0.spec, _sound(), text.UseMultilingual.spec, events.SPEC)
    for other in others:
        if other not in _SPECS:
            raise SettingError(f"AVREC_ENCODERS={name!r}: no encoder is called {other!r}; known are {_names()}")
        chosen = replace(chosen, **{_SPECS[other].modality: _SPECS[other]})
    return chosen


def _names() -> str:
    return ", ".join(sorted(_SPECS))


def _sound() -> EncoderSpec:
    installed = located(audio.WEIGHTS[0], audio.WEIGHTS[1]) is not None
    return audio.Yamnet.spec if installed else audio.LogMelStatistics.spec


register(image.EfficientNetLite0)
register(audio.Yamnet)
register(audio.LogMelStatistics)
register(text.UseMultilingual)
