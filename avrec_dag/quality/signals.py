"""The scale of every signal: what it measures, in which unit, which values are good, how much it counts, and its words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_FLOOR = 0.02
"""No score counts as less than this in a mean, so that one hopeless signal lowers it far without hiding the others."""


@dataclass(frozen=True)
class Scale:
    """How a physical value becomes a score.

    Attributes:
        unit: Of the value.
        points: (value, score) corners, by rising value; straight lines between them, level outside.
        weight: Share in the mean.
        good: Said of a score from 0.8.
        bad: Said of a score below 0.5; between the two it is "acceptable".
    """

    unit: str
    points: tuple[tuple[float, float], ...]
    weight: float
    good: str
    bad: str


PICTURE: Mapping[str, Scale] = {
    "resolution": Scale("px", ((90, 0.05), (180, 0.3), (360, 0.6), (720, 0.9), (1080, 1)), 1.5, "fine resolution", "few lines"),
    "sharpness": Scale("blur share", ((0.3, 1), (0.8, 0)), 3, "sharp", "blurred"),
    "exposure": Scale("luma/255", ((0.04, 0), (0.28, 1), (0.75, 1), (0.97, 0)), 2, "well exposed", "too dark or too bright"),
    "clipped_pixels": Scale("share", ((0.02, 1), (0.2, 0.6), (0.5, 0.25), (0.9, 0)), 1.5, "shadows and lights kept", "both ends lost"),
    "contrast": Scale("rms/255", ((0.02, 0), (0.15, 1)), 1.5, "good contrast", "flat picture"),
    "noise": Scale("levels/255", ((3, 1), (8, 0.6), (16, 0.25), (40, 0)), 2, "clean", "noisy"),
    "blockiness": Scale("excess step", ((0.1, 1), (0.6, 0.6), (2, 0.25), (6, 0)), 2, "no coding blocks", "coding blocks visible"),
    "black": Scale("share", ((0.05, 1), (0.6, 0)), 1.5, "no black stretches", "long black stretches"),
    "frozen": Scale("share", ((0.2, 1), (0.95, 0.2)), 1, "moving", "frozen for long"),
    "frame_rate": Scale("1/s", ((4, 0.1), (12, 0.5), (24, 1)), 0.5, "smooth", "jerky"),
}
SOUND: Mapping[str, Scale] = {
    "loudness": Scale("LUFS", ((-60, 0), (-35, 0.5), (-23, 1), (-14, 1), (-5, 0.4)), 2, "at the usual loudness", "too quiet or too loud"),
    "clipping": Scale("share", ((0.0, 1), (0.0005, 0.8), (0.01, 0.2), (0.05, 0)), 2, "not clipped", "clipped"),
    # Dense music has no pauses that would show its noise floor, so a low ratio alone is weak evidence.
    "snr": Scale("dB", ((0, 0.3), (20, 0.85), (40, 1)), 1, "clear of its noise floor", "close to its noise floor"),
    "silence": Scale("share", ((0.4, 1), (1.0, 0)), 1.5, "sound throughout", "mostly silent"),
    "sample_rate": Scale("Hz", ((6000, 0.1), (16000, 0.6), (32000, 1)), 0.5, "full band", "narrow band"),
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
    word = scale.good if score >= 0.8 else scale.bad if score < 0.5 else "acceptable"
    return Signal(name, value, scale.unit, score, f"{word} ({name.replace('_', ' ')} {value:.3g} {scale.unit})")


def combined(signals: Sequence[Signal]) -> float | None:
    """Weighted geometric mean of the scores, in [0, 1]; None without any.

    A viewer's verdict follows the worst defect more than the average one, which a geometric mean does and an
    arithmetic one does not: a pin-sharp picture does not make up for one that is black.
    """
    if not signals:
        return None
    weights = [(PICTURE.get(one.name) or SOUND[one.name]).weight for one in signals]
    return float(np.exp(np.average([math.log(max(one.score, _FLOOR)) for one in signals], weights=weights)))
