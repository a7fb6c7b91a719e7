"""Clean clips and what is done to them, step by step: the ladders of bench/quality.py."""

import hashlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2  # noqa: TID253
import numpy as np
from numpy.typing import NDArray

from avrec_dag.demo.fetch import content
from avrec_dag.demo.packaged import CLIPS, RealClip
from avrec_dag.media.audio import decode_blocks

STEPS = 8
LONG_SIDE_PX, SECONDS, MOST_FRAMES = 480, 4, 75
RATE_HZ = 48000
RECIPE = "1"
"""Part of every made file's name: another number makes them anew."""
_RIGHT_HIGHLIGHTS = 0.9
"""Luma that a hundredth of a well-exposed picture passes."""
_CLEAN = {"preset": "superfast", "crf": "6"}
NOT_CLEAN = frozenset({"man-in-car-bad-copy", "park"})
"""One is a bad copy already, the other lasts half a second."""

Frames = NDArray[np.uint8]
"""RGB (n, h, w, 3)."""
Samples = NDArray[np.float64]
"""(channels, n)."""


@dataclass(frozen=True)
class Clean:
    """One clip, cut to its beginning and made small, so that what its own encoder left is gone."""

    name: str
    frames: Frames | None
    fps: Fraction
    sound: Samples | None


@dataclass(frozen=True)
class Ladder:
    """Steps 0 to 7 of one defect, each worse than the one before.

    Attributes:
        name: What it does.
        signal: The signal that is to notice.
        strengths: Of each step, in `unit`.
        unit: Of the strengths.
        frames: (frames, strength, seed) -> frames; None where the encoder does it.
        options: strength, pixels a second -> options of libx264; how the frames are encoded.
        kept: (n, strength, seed) -> which frames are kept, for ladders of missing frames.
        sound: (samples, strength, seed) -> samples.
    """

    name: str
    signal: str
    strengths: tuple[float, ...]
    unit: str
    frames: Callable[[Frames, float, int], Frames] | None = None
    options: Callable[[float, float], dict[str, str]] = lambda *_: _CLEAN
    kept: Callable[[int, float, int], NDArray[np.bool_]] | None = None
    sound: Callable[[Samples, float, int], Samples] | None = None


def _blurred(frames: Frames, sigma: float, _: int) -> Frames:
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in frames]) if sigma else frames


def _noised(frames: Frames, sigma: float, seed: int) -> Frames:
    rng = np.random.default_rng(seed)
    grain = (rng.normal(0, sigma, (*one.shape[:2], 1)) for one in frames)
    return np.stack([np.clip(one + grained, 0, 255).astype(np.uint8) for one, grained in zip(frames, grain, strict=True)])


def _exposed(frames: Frames, stops: float, _: int) -> Frames:
    # Light doubles with every stop; 2.2 is how screens turn numbers into light.
    table = np.clip(255 * (np.arange(256) / 255) * 2 ** (stops / 2.2), 0, 255).astype(np.uint8)
    return table[frames]


def _overexposed(frames: Frames, stops: float, seed: int) -> Frames:
    """Brighter than right: a clip too dark at first is brought to it before, since more light mends it and spoils nothing."""
    highlights = float(np.percentile(frames[:: max(1, len(frames) // 8)], 99)) / 255
    lacking = 2.2 * np.log2(_RIGHT_HIGHLIGHTS / max(highlights, 0.02))
    return _exposed(frames, stops + max(lacking, 0.0), seed)


def _dropped(n: int, share: float, seed: int) -> NDArray[np.bool_]:
    """The same order of frames for every share, so that each step drops what the one before did and more."""
    order = np.random.default_rng(seed).permutation(np.arange(1, n - 1))
    kept = np.ones(n, np.bool_)
    kept[order[: round(share * n)]] = False
    return kept


def _repeated(frames: Frames, share: float, seed: int) -> Frames:
    kept = _dropped(len(frames), share, seed)
    return frames[np.maximum.accumulate(np.where(kept, np.arange(len(frames)), 0))]


def _clipped(samples: Samples, gain_db: float, _: int) -> Samples:
    return np.clip(samples / np.abs(samples).max() * 0.9 * 10 ** (gain_db / 20), -1, 1)


def _hummed(samples: Samples, level_dbfs: float, seed: int) -> Samples:
    mains = (50, 60)[seed % 2]
    t = np.arange(samples.shape[1]) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * mains * k * t + k) / k for k in (1, 2, 3, 4))
    hum *= 10 ** (level_dbfs / 20) / np.sqrt(np.mean(np.square(hum)))
    return np.clip(samples + hum, -1, 1)


def _crf(value: float, _: float) -> dict[str, str]:
    return {"preset": "veryfast", "crf": f"{value:g}"}


def _bit_rate(bits_per_pixel: float, pixels_per_s: float) -> dict[str, str]:
    return {"preset": "veryfast", "b": str(round(bits_per_pixel * pixels_per_s))}


LADDERS = (
    Ladder("blur", "sharpness", (0, 0.5, 0.8, 1.2, 1.7, 2.4, 3.4, 5), "px sigma", frames=_blurred),
    Ladder("noise", "noise", (0, 2, 4, 7, 11, 17, 25, 36), "levels sigma", frames=_noised),
    Ladder("H.264 crf", "quantiser", (16, 21, 26, 31, 36, 41, 46, 51), "crf", options=_crf),
    Ladder("H.264 bit rate", "quantiser", tuple(0.4 / 1.75**k for k in range(STEPS)), "bit/px", options=_bit_rate),
    Ladder("darker", "highlights", tuple(-0.6 * k for k in range(STEPS)), "stops", frames=_exposed),
    Ladder("brighter", "clipped_pixels", tuple(0.6 * k for k in range(STEPS)), "stops", frames=_overexposed),
    Ladder("dropped, repeated", "repeated_frames", (0, 0.04, 0.08, 0.14, 0.22, 0.32, 0.44, 0.6), "share", frames=_repeated),
    Ladder("dropped, gaps", "missing_frames", (0, 0.04, 0.08, 0.14, 0.22, 0.32, 0.44, 0.6), "share", kept=_dropped),
    Ladder("sound clipping", "clipping", tuple(3.0 * k for k in range(STEPS)), "dB gain", sound=_clipped),
    Ladder("hum", "hum", tuple(-65.0 + 6 * k for k in range(STEPS)), "dBFS", sound=_hummed),
)


def clean_clips(folder: Path) -> list[Clean]:
    """The packaged clips that nobody has spoilt yet."""
    chosen = [clip for clip in CLIPS if clip.name.rsplit(".", 1)[0] not in NOT_CLEAN]
    return [_clean(clip, folder) for clip in chosen]


def _clean(clip: RealClip, folder: Path) -> Clean:
    data = content(clip, folder / "wheels")
    frames, fps = _frames_of(data)
    return Clean(clip.name.rsplit(".", 1)[0], frames, fps, _sound_of(data))


def _frames_of(data: bytes) -> tuple[Frames | None, Fraction]:
    with av.open(io.BytesIO(data)) as container:
        if not container.streams.video:
            return None, Fraction(25)
        stream = container.streams.video[0]
        fps = stream.average_rate or Fraction(25)
        size, kept = None, []
        for frame in container.decode(stream):
            scale = min(1.0, LONG_SIDE_PX / max(frame.width, frame.height))
            size = size or tuple(max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
            kept.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
            if len(kept) >= min(MOST_FRAMES, SECONDS * fps):
                break
        return np.stack(kept), fps


def _sound_of(data: bytes) -> Samples | None:
    with av.open(io.BytesIO(data)) as container:
        if not container.streams.audio:
            return None
    blocks = list(decode_blocks(io.BytesIO(data)))
    whole = np.concatenate([block.samples for block in blocks], axis=1)[:2, : SECONDS * blocks[0].sample_rate_hz]
    resampler = av.AudioResampler("fltp", "stereo" if len(whole) == 2 else "mono", RATE_HZ)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(whole), format="fltp", layout="stereo" if len(whole) == 2 else "mono")
    frame.sample_rate = blocks[0].sample_rate_hz
    samples = np.concatenate([part.to_ndarray() for part in (*resampler.resample(frame), *resampler.resample(None))], axis=1)
    return samples.astype(np.float64) if np.abs(samples).max() > 0.01 else None


def made(clip: Clean, ladder: Ladder, folder: Path, seed: int) -> list[Path] | None:
    """The files of a ladder, step by step; None where the clip has nothing that the ladder could spoil."""
    if (clip.sound if ladder.sound else clip.frames) is None:
        return None
    return [_made(clip, ladder, step, folder, seed) for step in range(STEPS)]


def _made(clip: Clean, ladder: Ladder, step: int, folder: Path, seed: int) -> Path:
    strength = ladder.strengths[step]
    key = hashlib.sha256(f"{RECIPE}|{clip.name}|{ladder.name}|{strength}|{seed}".encode()).hexdigest()[:12]
    path = folder / f"{clip.name}-{ladder.name.replace(', ', '-').replace(' ', '-')}-{step}-{key}{'.m4a' if ladder.sound else '.mp4'}"
    if not path.exists():
        seed_of_clip = seed + int.from_bytes(clip.name.encode()[:4], "big") % 1000
        write = _write_sound if ladder.sound else _write_film
        partial = path.with_suffix(".tmp")
        write(partial, clip, ladder, strength, seed_of_clip)
        partial.replace(path)
        print(f"made {path.name}", file=sys.stderr)
    return path


def _write_sound(path: Path, clip: Clean, ladder: Ladder, strength: float, seed: int) -> None:
    assert clip.sound is not None and ladder.sound is not None
    samples = np.ascontiguousarray(ladder.sound(clip.sound, strength, seed).astype(np.float32))
    with path.open("wb") as file, av.open(file, "w", format="mp4") as output:
        stream = cast("av.AudioStream", output.add_stream("aac", rate=RATE_HZ))
        stream.bit_rate, stream.layout = 192_000, "stereo" if len(samples) == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _write_film(path: Path, clip: Clean, ladder: Ladder, strength: float, seed: int) -> None:
    assert clip.frames is not None
    frames = ladder.frames(clip.frames, strength, seed) if ladder.frames else clip.frames
    kept = ladder.kept(len(frames), strength, seed) if ladder.kept else np.ones(len(frames), np.bool_)
    height, width = frames.shape[1:3]
    write_film(path, frames, clip.fps, ladder.options(strength, height * width * float(clip.fps)), np.flatnonzero(kept))


def write_film(path: Path, frames: Frames, fps: Fraction, options: dict[str, str], numbers: Sequence[int] | NDArray[np.int64]) -> None:
    """Encode some of the frames with libx264, each shown at its own time."""
    with path.open("wb") as file, av.open(file, "w", format="mp4") as output:
        stream = cast("av.VideoStream", output.add_stream("libx264", rate=fps, options={k: v for k, v in options.items() if k != "b"}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / fps
        if "b" in options:
            stream.bit_rate = int(options["b"])
        for frame in _timed(frames, fps, numbers):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _timed(frames: Frames, fps: Fraction, numbers: Sequence[int] | NDArray[np.int64]) -> Iterator[av.VideoFrame]:
    for number in numbers:
        frame = av.VideoFrame.from_ndarray(frames[number], format="rgb24")
        frame.pts, frame.time_base = int(number), 1 / fps
        yield frame
