"""Technical quality of every item: what its picture and its sound measure, each with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from avrec_dag.encoders.packaged import dnsmos
from avrec_dag.items import DecodesUploads, Item, Row
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.uploads import MediaSource
from avrec_dag.media.video import sample
from avrec_dag.quality import niqe
from avrec_dag.quality.detail import bars, cutoff
from avrec_dag.quality.motion import MotionFacts, motion
from avrec_dag.quality.picture import CloserLook, FrameFacts, blockiness, change, closer_look, facts, unchanged
from avrec_dag.quality.signals import Signal, combined, signal
from avrec_dag.quality.speech import speech_mos, worth_judging
from avrec_dag.understanding.digests import digest

_CLOSER_LOOKS = 3
"""One frame of so many is looked at closely."""
_SAMPLING = Sampling(per_second=4, cap=3, long_side_px=8192)
"""Up to 12 frames (four are seen for each that could be kept), at full resolution; key frames alone where there are three."""
_MOST_PIXELS = 7680 * 4320
"""A still of more is looked at in this size, that of an 8K film, as its memory is bounded."""
_HEARD = {"true_peak": "true_peak_dbtp", "hum": "hum_db", "side": "side_db", "phase": "stereo_correlation"}
"""Signal -> the column that holds its value."""
_PICTURE_SHARE = 0.7
"""Weight of the picture where an item has both; viewers forgive a picture less than its sound."""


@dataclass(frozen=True)
class MeasureQuality(DecodesUploads):
    """Task of table technical_quality: frames at full resolution, bursts of consecutive ones, and the sound facts already measured.

    Every signal has a physical value, its unit, a score in [0, 1] on a fixed scale (`signals.PICTURE`, `signals.SOUND`)
    and a reason in words. `picture_score` and `sound_score` are what `signals.combined` makes of theirs, null where the item
    has no picture or no sound; `score` is their weighted geometric mean, 7 parts picture to 3 parts sound. Field `score`
    is the hash of the score to 1/1000.

    Attributes:
        media_uri: Where the uploads are.
        dnsmos: Who judges speech, as in `dnsmos.chosen`.
    """

    media_uri: str
    dnsmos: str = "off"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item. Raises what reading the upload raises."""
        return [self._measure(item) for item in items]

    def _measure(self, item: Item) -> Row:
        media = item.parents["raw_media"]
        picture = self._picture(item, media) if media.get("kind") in ("video", "image") else []
        heard = item.parents.get("audio_spectrograms", {})
        sound = [*sound_signals(heard), *self._speech(item, heard)]
        picture_score, sound_score = combined(picture), combined(sound)
        score = overall(picture_score, sound_score)
        if score is None:
            return item.failed("measuring quality: found neither a frame nor sound facts; see the item's row in audio_spectrograms")
        values = {
            "score": score,
            "picture_score": picture_score,
            "sound_score": sound_score,
            "signals": [asdict(one) for one in (*picture, *sound)],
        }
        return item.done({"score": digest([f"{score:.3f}"])}, values)

    def _speech(self, item: Item, heard: Mapping[str, object]) -> list[Signal]:
        """The signal of what is said; none where nobody is to judge it, or nobody speaks."""
        if not worth_judging(heard) or dnsmos.chosen(self.dnsmos) is None:
            return []
        with MediaSource(self.media_uri).open_planned(item) as file:
            mos = speech_mos(file, _number(heard.get("duration_s")), item.key)
        return [] if mos is None else [signal("speech_quality", mos)]

    def _picture(self, item: Item, media: Mapping[str, object]) -> list[Signal]:
        import cv2

        duration_s, seen, last = _number(media.get("duration_s")), Seen(), None
        with MediaSource(self.media_uri).open_planned(item) as file:
            for _, rgb in sample(file, _sampling(media), duration_s or None, item.key):
                luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
                del rgb
                if len(seen.frames) % _CLOSER_LOOKS == 0:
                    seen.closer.append(closer_look(luma))
                seen.frames.append(facts(luma))
                if last is not None:
                    seen.changes.append(change(last, luma))
                last = luma
            if duration_s and media.get("kind") == "video":
                seen.motion = motion(file, item.key, duration_s)
        lines = min(_number(media.get("width")), _number(media.get("height")))
        return picture_signals(seen, lines, _number(media.get("fps"))) if seen.frames else []


@dataclass
class Seen:
    """What was looked at of one item.

    Attributes:
        frames: What each frame measures, in order; at least one.
        closer: What some of them measure at a closer look.
        changes: Of each two neighbours of `frames`, as `picture.change`.
        motion: Of consecutive frames; None for a still.
    """

    frames: list[FrameFacts] = field(default_factory=list)
    closer: list[CloserLook] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    motion: MotionFacts | None = None


def _sampling(media: Mapping[str, object]) -> Sampling:
    width, height = _number(media.get("width")), _number(media.get("height"))
    scale = float(np.sqrt(_MOST_PIXELS / max(width * height, 1)))
    return replace(_SAMPLING, long_side_px=int(max(width, height) * scale)) if scale < 1 else _SAMPLING


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else 0.0


def overall(picture_score: float | None, sound_score: float | None) -> float | None:
    """Weighted geometric mean of picture and sound; the one there is where the other is not; None without both."""
    if picture_score is None or sound_score is None:
        return sound_score if picture_score is None else picture_score
    return float(max(picture_score, 1e-3) ** _PICTURE_SHARE * max(sound_score, 1e-3) ** (1 - _PICTURE_SHARE))


def picture_signals(seen: Seen, lines: float, fps: float) -> list[Signal]:
    """Signals of an item's frames.

    A black frame says nothing about sharpness, noise or exposure: it counts as black only, unless all are.

    Args:
        seen: What was looked at.
        lines: The shorter side as displayed, in pixels; 0 when unknown.
        fps: Frames a second; 0 for a still or when unknown.
    """
    lit = [frame for frame in seen.frames if not frame.black] or seen.frames
    blurs = [frame.blur for frame in lit if frame.blur is not None]
    found: dict[str, float | None] = {
        "resolution": lines or None,
        "detail": cutoff([one.spectrum for one in seen.closer if one.spectrum is not None]),
        "sharpness": float(np.median(blurs)) if blurs else None,
        "naturalness": niqe.distance([one.patches for one in seen.closer]),
        "exposure": float(np.mean([frame.mean for frame in lit])),
        "highlights": float(np.mean([frame.highlights for frame in lit])),
        "clipped_pixels": float(np.mean([frame.clipped for frame in lit])),
        "contrast": float(np.mean([frame.contrast for frame in lit])),
        "noise": float(np.median([frame.noise for frame in lit])),
        "blockiness": blockiness([frame.grid for frame in lit]),
        "banding": float(np.mean([one.banding for one in seen.closer])) if seen.closer else None,
        "black": float(np.mean([frame.black for frame in seen.frames])),
        "borders": _border_share(seen.frames),
        "frozen": _frozen_share(seen) if seen.changes else None,
        "frame_rate": fps or None,
        **_motion_values(seen.motion),
    }
    return [signal(name, value) for name, value in found.items() if value is not None]


def _frozen_share(seen: Seen) -> float:
    luma = 255 * float(np.mean([frame.mean for frame in seen.frames]))
    grain = float(np.median([frame.noise for frame in seen.frames]))
    limit = unchanged(luma, grain, seen.motion.quantiser if seen.motion else None)
    return float(np.mean([one <= limit for one in seen.changes]))


def _motion_values(seen: MotionFacts | None) -> dict[str, float | None]:
    if seen is None:
        return {}
    return {
        "quantiser": seen.quantiser,
        "repeated_frames": seen.repeated_share,
        "missing_frames": seen.timeline.gap_share(),
        "flicker": seen.flicker,
        "interlacing": seen.combed_share,
        "length_gap": seen.timeline.length_gap_s(),
    }


def _border_share(frames: Sequence[FrameFacts]) -> float:
    height, width = (len(side) for side in frames[0].lit)
    top, bottom, left, right = bars([frame.lit for frame in frames if [len(side) for side in frame.lit] == [height, width]])
    return 1 - (height - top - bottom) * (width - left - right) / (height * width)


def sound_signals(sound: Mapping[str, object]) -> list[Signal]:
    """Signals of the facts in table audio_spectrograms; none where the item has no sound.

    A wholly silent track has no loudness and no noise: it scores 0 for loudness and silence, because a track that
    plays nothing is a defect that a missing one is not.
    """
    facts_of = {name: float(value) for name, value in sound.items() if isinstance(value, int | float) and np.isfinite(value)}
    if "silent_share" not in facts_of:
        return []
    found = {"loudness": facts_of.get("loudness_lufs", -70.0), "silence": facts_of["silent_share"]}
    if facts_of["silent_share"] < 1:
        found["clipping"] = facts_of.get("clipped_share", 0.0)
        if "rms_dbfs" in facts_of and "noise_floor_dbfs" in facts_of:
            found["snr"] = max(facts_of["rms_dbfs"] - facts_of["noise_floor_dbfs"], 0.0)
        found |= {name: facts_of[column] for name, column in _HEARD.items() if column in facts_of}
        if "balance_db" in facts_of:
            found["balance"] = abs(facts_of["balance_db"])
        found["silent_ends"] = max(facts_of.get("lead_silence_s", 0.0), facts_of.get("trail_silence_s", 0.0))
    if "sample_rate_hz" in facts_of:
        found["sample_rate"] = facts_of["sample_rate_hz"]
    return [signal(name, value) for name, value in found.items()]
