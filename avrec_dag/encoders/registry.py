"""Encoders by name, and which of them a setting means.

A new encoder is one class that keeps `base.Encoder` (`Tagger` for pictures, `SoundTagger` for sound) and one line here:

    register(MyEncoder)

`AVREC_ENCODERS=packaged+my-encoder` then puts it in the place of the packaged one of its modality. Its digest enters the
versions of what it makes, so that the next run recomputes exactly that. The line stands here, not in a notebook, because
worker processes import this module anew. Models of the hub need no line: any name with a slash in it means one (`encoders.hub`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

from avrec_dag.encoders import events, hub
from avrec_dag.encoders.base import Encoder, EncoderSpec, Modality, SoundTagger, Tagger, WaveformTagger
from avrec_dag.encoders.packaged import audio, image, text
from avrec_dag.encoders.weights import located
from avrec_dag.errors import SettingError

_REPLACED: tuple[Modality, ...] = ("frame", "audio", "text")
_MAKERS: dict[str, Callable[[], Encoder]] = {}
_SPECS: dict[str, EncoderSpec] = {events.SPEC.name: events.SPEC}


def register(encoder: Any) -> None:
    """Make a class known under the name of its `spec`; it is constructed without arguments."""
    _SPECS[encoder.spec.name] = encoder.spec
    _MAKERS[encoder.spec.name] = encoder
    _made.cache_clear()


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


def load(name: str) -> Encoder:
    """The encoder of this name, or the model of the hub or folder, one per process. Weights are read at its first use.

    Raises:
        SettingError: No encoder has this name, or the model is not here or not fit; the sentence says what to do.
    """
    return hub.load(name) if hub.is_hub_name(name) else _made(name)


@cache
def _made(name: str) -> Encoder:
    if name not in _MAKERS:
        raise SettingError(f"no encoder is called {name!r}; known are {', '.join(sorted(_MAKERS))}")
    return _MAKERS[name]()


def load_frames(preset_name: str) -> Tagger:
    """The picture encoder of a preset."""
    return cast("Tagger", load(preset(preset_name).frame.name))


def load_sound(preset_name: str) -> SoundTagger | WaveformTagger:
    """The sound encoder of a preset."""
    return cast("SoundTagger | WaveformTagger", load(preset(preset_name).audio.name))


def preset(name: str) -> Preset:
    """The encoders a setting means.

    Args:
        name: `packaged`, or `hub` for the models of `hub.EXAMPLES`; then any number of `+NAME` (an encoder that is registered) or
            `+MODALITY=NAME` (frame, audio or text; also any model of the hub by name, or a folder), each in the place of the one of
            its modality: `packaged+frame=google/siglip2-base-patch16-224`, `hub+audio=/models/clap`.

    Raises:
        SettingError: The preset or an encoder is unknown, or a model is missing or of the wrong kind.
    """
    base, *others = name.split("+")
    if base not in ("packaged", "hub"):
        raise SettingError(f"AVREC_ENCODERS={name!r} is no set of encoders; use packaged, packaged+NAME with one of {_names()}, or hub")
    hub_names = {modality: hub.EXAMPLES[modality] for modality in _REPLACED} if base == "hub" else {}
    named: dict[Modality, str] = {}
    for other in others:
        modality, _, model = other.rpartition("=")
        named[_modality(name, modality, model)] = model
    wanted = hub_names | named
    chosen = Preset(image.EfficientNetLite0.spec, _sound(), text.UseMultilingual.spec, events.SPEC)
    found = [(modality, _spec(name, modality, model)) for modality, model in wanted.items() if not hub.is_hub_name(model)]
    return replace(chosen, **dict(found), **hub.specs({modality: model for modality, model in wanted.items() if hub.is_hub_name(model)}))


def _modality(setting: str, told: str, model: str) -> Modality:
    """The modality that a part of a setting is about."""
    if told in _REPLACED:
        return told
    if told:
        raise SettingError(f"AVREC_ENCODERS={setting!r}: {told!r} is no modality; use {', '.join(_REPLACED)}, as in packaged+frame=NAME")
    if hub.is_hub_name(model):
        return hub.spec(model).modality
    if model not in _SPECS:
        raise SettingError(f"AVREC_ENCODERS={setting!r}: no encoder is called {model!r}; known are {_names()}")
    return _SPECS[model].modality


def _spec(setting: str, modality: Modality, model: str) -> EncoderSpec:
    if model not in _SPECS:
        raise SettingError(
            f"AVREC_ENCODERS={setting!r}: no encoder is called {model!r}; known are {_names()}, and a folder needs a slash in it"
        )
    if _SPECS[model].modality != modality:
        raise SettingError(f"AVREC_ENCODERS={setting!r}: {model} encodes {_SPECS[model].modality}, not {modality}")
    return _SPECS[model]


def _names() -> str:
    return ", ".join(sorted(_SPECS))


def _sound() -> EncoderSpec:
    installed = located(audio.WEIGHTS[0], audio.WEIGHTS[1]) is not None
    return audio.Yamnet.spec if installed else audio.LogMelStatistics.spec


register(image.EfficientNetLite0)
register(audio.Yamnet)
register(audio.LogMelStatistics)
register(text.UseMultilingual)
