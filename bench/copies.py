"""Copies of clips as people make them: re-encoded, cropped, sped up, scaled, stamped with a logo and text; for `bench/duplicates.py`.

    TRANSFORMS                                    -> name: what is done
    write_copy(path, original, transform, seed)   -> the copy, a real file

Everything is decoded, changed and encoded again by PyAV and OpenCV; a clip, a transform and a seed give the same copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
_MOST_S = 12.0
"""Longer clips are cut: also the original, so that the two run equally long."""
_LOGO = (230, 40, 40)


@dataclass(frozen=True)
class Transform:
    """What is done to a clip.

    Attributes:
        crop: Share of width and height that is cut away, from a place that the seed decides.
        scale: Of the picture.
        speed: How much faster it runs; the pitch rises with it.
        watermark: Whether text and a logo are laid over it.
        contrast, brightness: Of the picture: 128 + contrast (x - 128) + brightness.
        codec, crf: Encoder and quality; larger is worse.
        mirror: Left and right exchanged.
    """

    crop: float = 0.0
    scale: float = 1.0
    speed: float = 1.0
    watermark: bool = False
    contrast: float = 1.0
    brightness: float = 0.0
    codec: str = "libx264"
    crf: int = 26
    mirror: bool = False


TRANSFORMS: dict[str, Transform] = {
    "H.264, crf 38": Transform(crf=38),
    "VP9, crf 52": Transform(codec="libvpx-vp9", crf=52),
    "crop 10 %": Transform(crop=0.1),
    "crop 20 %": Transform(crop=0.2),
    "speed +5 %": Transform(speed=1.05),
    "scaled to 0.5": Transform(scale=0.5),
    "scaled to 1.5": Transform(scale=1.5),
    "text and logo": Transform(watermark=True),
    "darker, more contrast": Transform(contrast=1.25, brightness=-20),
    "crop 10 %, +5 %, logo": Transform(crop=0.1, speed=1.05, watermark=True),
    "0.5, logo, crf 34": Transform(scale=0.5, watermark=True, crf=34),
    "mirrored": Transform(mirror=True),
}


def write_copy(path: Path, original: Path, transform: Transform, seed: int) -> Path:
    """Write the copy of a clip; the file appears when it is whole."""
    if not has_picture(original):
        return _write_sound_alone(path, original, transform)
    rng = np.random.default_rng([seed, *original.name.encode()])
    place = rng.uniform(0, 1, 2)
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file, av.open(str(original)) as source, av.open(file, "w", format=_container(transform)) as output:
        rate = Fraction(source.streams.video[0].average_rate or 25).limit_denominator(1001)
        frames = (_changed(frame, transform, place) for frame in _frames(source))
        first = next(frames)
        video = cast("Any", output.add_stream(transform.codec, rate=rate))
        video.options = {"crf": str(transform.crf), **_speedy(transform.codec)}
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        sound = _sound(original)
        audio = (
            cast("Any", output.add_stream("libopus" if "vpx" in transform.codec else "aac", rate=48_000, layout="mono")) if sound else None
        )
        for number, picture in enumerate(_sped(chain([first], frames), transform.speed)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound and audio is not None:
            _write_sound(output, audio, sound, transform.speed)
    return partial.replace(path)


def has_picture(original: Path) -> bool:
    """Whether there is a video stream."""
    with av.open(str(original)) as source:
        return bool(source.streams.video)


def too_long(original: Path) -> bool:
    """Whether copies would end before the original does."""
    with av.open(str(original)) as source:
        return (source.duration or 0) / 1e6 > _MOST_S


def _write_sound_alone(path: Path, original: Path, transform: Transform) -> Path:
    partial, sound = path.with_suffix(".tmp"), _sound(original)
    with partial.open("wb") as file, av.open(file, "w", format=_container(transform)) as output:
        stream = output.add_stream("libopus" if "vpx" in transform.codec else "aac", rate=48_000, layout="mono")
        stream.bit_rate = 48_000
        assert sound is not None
        _write_sound(output, stream, sound, transform.speed)
    return partial.replace(path)


def _container(transform: Transform) -> str:
    return "webm" if "vpx" in transform.codec else "mp4"


def ending(transform: Transform) -> str:
    """Of a copy's file."""
    return ".webm" if "vpx" in transform.codec else ".mp4"


def _speedy(codec: str) -> dict[str, str]:
    return {"b": "0", "cpu-used": "8", "deadline": "realtime"} if "vpx" in codec else {"preset": "veryfast"}


def _frames(source: Any) -> Iterator[Frame]:
    for frame in source.decode(video=0):
        if frame.time is not None and frame.time > _MOST_S:
            return
        yield frame.to_ndarray(format="rgb24")


def _changed(picture: Frame, transform: Transform, place: NDArray[np.float64]) -> Frame:
    import cv2

    height, width = picture.shape[:2]
    if transform.crop:
        top, left = (int(share * size * transform.crop) for share, size in zip(place, (height, width), strict=True))
        picture = picture[top : top + int(height * (1 - transform.crop)), left : left + int(width * (1 - transform.crop))]
    if transform.mirror:
        picture = picture[:, ::-1]
    size = _even(picture.shape[1] * transform.scale), _even(picture.shape[0] * transform.scale)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if transform.scale < 1 else cv2.INTER_CUBIC)
    if transform.contrast != 1 or transform.brightness:
        picture = np.clip(128 + transform.contrast * (picture.astype(np.float32) - 128) + transform.brightness, 0, 255).astype(np.uint8)
    return _watermarked(picture) if transform.watermark else np.ascontiguousarray(picture)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)


def _watermarked(picture: Frame) -> Frame:
    import cv2

    picture = np.ascontiguousarray(picture)
    height, width = picture.shape[:2]
    size = height / 240
    over = picture.copy()
    cv2.circle(over, (int(width * 0.88), int(height * 0.14)), int(height * 0.08), _LOGO, -1)
    cv2.rectangle(over, (int(width * 0.84), int(height * 0.12)), (int(width * 0.92), int(height * 0.16)), (255, 255, 255), -1)
    picture = cv2.addWeighted(over, 0.8, picture, 0.2, 0)
    thick = max(1, round(size * 1.5))
    for colour, more in (((0, 0, 0), 2), ((255, 255, 255), 0)):
        cv2.putText(
            picture,
            "@best_clips_daily",
            (int(width * 0.04), int(height * 0.92)),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.6 * size,
            colour,
            thick + more,
        )
    return np.asarray(picture, np.uint8)


def _sped(frames: Iterator[Frame], speed: float) -> Iterator[Frame]:
    """Frames at the same rate of which some are left out."""
    wanted = 0.0
    for number, frame in enumerate(frames):
        if number >= wanted - 1e-9:
            yield frame
            wanted += speed


def _sound(original: Path) -> "_Samples | None":
    """float32 (n,) at 48 kHz, mono; None without a sound track."""
    with av.open(str(original)) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler("fltp", "mono", 48_000)
        parts = []
        for frame in container.decode(audio=0):
            if frame.time is not None and frame.time > _MOST_S:
                break
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
    return _Samples(np.concatenate(parts).astype(np.float32)) if parts else None


@dataclass(frozen=True)
class _Samples:
    values: NDArray[np.float32]


def _write_sound(output: Any, stream: Any, sound: _Samples, speed: float) -> None:
    at = np.arange(0, len(sound.values) - 1, speed)
    faster = np.interp(at, np.arange(len(sound.values)), sound.values).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(faster[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
