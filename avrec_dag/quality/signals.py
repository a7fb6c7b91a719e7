"""The scale of every signal: what it measures, in which unit, which values are good, how much it can spoil, and its words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BAD = 0.5
"""Below this score a reason says what is wrong."""


@dataclass(frozen=True)
class Scale:
    """How a physical value becomes a score.

    Attributes:
        unit: Of the value.
        points: (value, score) corners, by rising value; straight lines between them, level outside.
        impact: Share of the whole score that this defect takes away when it is as bad as can be, in (0, 1].
        good: Said of a score from 0.8.
        bad: Said of a score below `BAD`; between the two it is "acceptable".
    """

    unit: str
    points: tuple[tuple[float, float], ...]
    impact: float
    good: str
    bad: str


PICTURE: Mapping[str, Scale] = {
    "resolution": Scale("px", ((90, 0.05), (180, 0.3), (360, 0.6), (720, 0.9), (1080, 1)), 0.4, "fine resolution", "few lines"),
    "detail": Scale(
        "share of Nyquist", ((0.15, 0), (0.45, 0.7), (0.75, 0.95), (1, 1)), 0.4, "detail up to the last pixel", "upscaled or smoothed"
    ),
    "sharpness": Scale("blur share", ((0.15, 1), (0.35, 0.9), (0.8, 0)), 0.8, "sharp", "blurred"),
    "naturalness": Scale("NIQE", ((3, 1), (6, 0.9), (15, 0.3), (30, 0)), 0.15, "like undistorted pictures", "unlike undistorted ones"),
    "exposure": Scale(
        "luma/255", ((0.02, 0.9), (0.06, 1), (0.35, 1), (0.55, 0.86), (0.7, 0.72), (0.97, 0)), 0.6, "well exposed", "too dark or too bright"
    ),
    "highlights": Scale("luma/255", ((0.08, 0), (0.4, 0.6), (0.8, 0.98), (1, 1)), 0.6, "bright parts are bright", "underexposed"),
    "clipped_pixels": Scale(
        "share",
        ((0, 1), (0.02, 0.93), (0.1, 0.7), (0.3, 0.4), (0.6, 0.15), (0.97, 0)),
        0.75,
        "shadows and lights kept",
        "lights or shadows lost",
    ),
    "contrast": Scale("rms/255", ((0.02, 0), (0.1, 0.9), (0.15, 1)), 0.6, "good contrast", "flat picture"),
    "noise": Scale("levels/255", ((0, 1), (1.5, 0.95), (8, 0.5), (16, 0.2), (40, 0)), 0.8, "clean", "noisy"),
    "blockiness": Scale(
        "excess step", ((0, 1), (0.1, 0.95), (0.6, 0.6), (2, 0.25), (6, 0)), 0.6, "no coding blocks", "coding blocks visible"
    ),
    "quantiser": Scale(
        "levels/255", ((1, 1), (10, 0.92), (20, 0.75), (40, 0.5), (90, 0.2), (220, 0)), 0.85, "finely coded", "coarsely coded"
    ),
    "banding": Scale("CAMBI", ((0.5, 1), (3, 0.85), (8, 0.5), (16, 0.1)), 0.4, "smooth gradients", "bands in gradients"),
    "black": Scale("share", ((0.05, 1), (0.6, 0)), 0.8, "no black stretches", "long black stretches"),
    "borders": Scale("share", ((0.01, 1), (0.15, 0.9), (0.3, 0.6), (0.7, 0)), 0.4, "fills its frame", "much of the frame is black bars"),
    "frozen": Scale("share", ((0.2, 1), (0.95, 0.1), (1, 0)), 0.6, "moving", "frozen for long"),
    "frame_rate": Scale("1/s", ((4, 0.1), (12, 0.5), (24, 1)), 0.4, "smooth", "jerky"),
    "repeated_frames": Scale("share", ((0, 1), (0.1, 0.96), (0.3, 0.5), (0.6, 0.1), (1, 0)), 0.6, "no frame twice", "stutters"),
    "missing_frames": Scale("share", ((0, 1), (0.1, 0.75), (0.3, 0.4), (0.6, 0.1)), 0.6, "no frame missing", "frames missing"),
    "flicker": Scale("share", ((0.004, 1), (0.02, 0.8), (0.06, 0.4), (0.2, 0)), 0.6, "steady brightness", "flickers"),
    "length_gap": Scale("s", ((0.3, 1), (1, 0.8), (5, 0.3), (20, 0)), 0.4, "as long as its picture", "picture and sound differ in length"),
    "interlacing": Scale("share", ((0.1, 1), (0.2, 0.7), (0.4, 0.2)), 0.5, "whole frames", "combs of woven fields"),
}
SOUND: Mapping[str, Scale] = {
    "loudness": Scale(
        "LUFS", ((-60, 0), (-40, 0.7), (-23, 1), (-14, 1), (-5, 0.4), (0, 0)), 0.6, "at the usual loudness", "too quiet or too loud"
    ),
    "true_peak": Scale("dBTP", ((-1, 1), (0, 0.9), (2, 0.6), (6, 0.2)), 0.4, "headroom left", "overshoots full scale"),
    "clipping": Scale("share", ((0.0, 1), (0.0005, 0.8), (0.01, 0.35), (0.1, 0)), 0.8, "not clipped", "clipped"),
    # Dense music has no pauses that would show its noise floor, so a low ratio alone is weak evidence.
    "snr": Scale("dB", ((0, 0.2), (20, 0.85), (40, 1)), 0.4, "clear of its noise floor", "close to its noise floor"),
    "hum": Scale("dB", ((6, 1), (12, 0.92), (20, 0.6), (35, 0.25), (60, 0)), 0.85, "no hum", "hums"),
    "silence": Scale("share", ((0.4, 1), (1.0, 0)), 0.7, "sound throughout", "mostly silent"),
    "silent_ends": Scale("s", ((1, 1), (5, 0.7), (30, 0.2)), 0.3, "begins and ends with its sound", "long silence at an end"),
    "side": Scale("dB", ((-100, 0.7), (-60, 0.8), (-40, 1)), 0.3, "stereo", "mono sold as stereo"),
    "balance": Scale("dB", ((6, 1), (20, 0.4), (60, 0)), 0.5, "balanced", "one side missing"),
    "phase": Scale("correlation", ((-0.95, 0), (-0.3, 0.8), (0, 1)), 0.4, "fit to be mixed down", "sides cancel each other"),
    "sample_rate": Scale("Hz", ((6000, 0.1), (16000, 0.6), (32000, 1)), 0.4, "full band", "narrow band"),
    # Corners: two recorded voices have 3.3 to 3.7 as they are, 2.8 to 2.9 with white noise 20 dB below them, 2.0 at 0 dB; noise alone 1.6.
    "speech_quality": Scale("MOS", ((1.6, 0), (2.4, 0.5), (2.8, 0.8), (3.3, 1)), 0.6, "clear speech", "speech hard to listen to"),
}


@dataclass(frozen=True)
class Signal:
    """One thing measured of one item.

    Attributes:
        name: Key of `PICTURE` or `SOUND`.
        value: Physical value.
        unit: Of the value.
        score: In [0, 1], higher is better.
        reason: The score in words.
    """

    name: str
    value: float
    unit: str
    score: float
    reason: str


def signal(name: str, value: float) -> Signal:
    """The value on its scale.

    Raises:
        ValueError: The value is not finite.
    """
    scale = PICTURE.get(name) or SOUND[name]
    if not math.isfinite(value):
        raise ValueError(f"scoring {name}: found {value}, expected a finite number of {scale.unit}")
    score = float(np.interp(value, [x for x, _ in scale.points], [y for _, y in scale.points]))
    word = scale.good if score >= 0.8 else scale.bad if score < BAD else "acceptable"
    return Signal(name, value, scale.unit, score, f"{word} ({name.replace('_', ' ')} {value:.3g} {scale.unit})")


def combined(signals: Sequence[Signal]) -> float | None:
    """Product of what every signal leaves over, in [0, 1]; None without any.

    A signal of score s and impact w leaves 1 - w (1 - s). So a perfect signal changes nothing, whether it was measured or not, no
    signal dilutes another, and each defect takes its share of what the others left: a pin-sharp picture does not make up for
    one that is black. The E-model (ITU-T G.107) adds impairments up for the same reason; a product stays in [0, 1].
    """
    if not signals:
        return None
    return float(np.prod([1 - taken(one.name, one.score) for one in signals]))


def taken(name: str, score: float) -> float:
    """The share of the whole score that a signal takes away, in [0, 1]; one of another version's, unknown here, takes all it can."""
    scale = PICTURE.get(name) or SOUND.get(name)
    return (scale.impact if scale else 1.0) * (1 - score)


def worst(stored: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Of an item's signals, as table technical_quality has them, those that take most, largest first; none that takes nothing."""
    costly = [one for one in stored if taken(one["name"], one["score"]) > 0]
    return sorted(costly, key=lambda one: (-taken(one["name"], one["score"]), one["name"]))[:most]
