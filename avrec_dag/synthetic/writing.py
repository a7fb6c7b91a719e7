"""Made clips as real files of any container: what tests, the demo's filling and the benchmarks decode."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from avrec_dag.synthetic.pictures import PATTERNS, painter
from avrec_dag.synthetic.sounds import sound as voice

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

KINDS: tuple[str, ...] = tuple(PATTERNS)
"""The eight classes of made clips; each has its own picture and its own sound."""

_STILL = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png", ".webp": "libwebp", ".bmp": "bmp"}
_PIX_FMT = {"mjpeg": "yuvj420p", "png": "rgb24", "bmp": "bgr24", "gif": "rgb8", "libwebp": "yuv420p", "prores_ks": "yuv422p10le"}


@dataclass(frozen=True)
class _Format:
    name: str
    video: str | None
    audio: str | None


_FORMATS = {
    ".mp4": _Format("mp4", "libx264", "aac"),
    ".mov": _Format("mov", "libx264", "aac"),
    ".mkv": _Format("matroska", "libx264", "aac"),
    ".webm": _Format("webm", "libvpx-vp9", "libopus"),
    ".avi": _Format("avi", "mpeg4", "libmp3lame"),
    ".mpg": _Format("mpeg", "mpeg2video", "mp2"),
    ".ts": _Format("mpegts", "libx264", "aac"),
    ".flv": _Format("flv", "flv", "libmp3lame"),
    ".wmv": _Format("asf", "wmv2", "wmav2"),
    ".gif": _Format("gif", "gif", None),
    ".wav": _Format("wav", None, "pcm_s16le"),
    ".flac": _Format("flac", None, "flac"),
    ".mp3": _Format("mp3", None, "libmp3lame"),
    ".ogg": _Format("ogg", None, "libopus"),
    ".m4a": _Format("ipod", None, "aac"),
}


@dataclass(frozen=True)
class _Plan:
    kinds: Sequence[str]
    seed: int
    duration_s: float
    size: tuple[int, int]
    fps: float
    gop: int
    video_codec: str | None
    pix_fmt: str | None
    rotation_deg: int
    interlaced: bool
    variable_rate: bool
    audio_codec: str | None
    sample_rate_hz: int
    channels: int
    options: Mapping[str, str] = field(default_factory=dict)


def clip(
    path: Path,
    *,
    kind: str | Sequence[str],
    seed: int,
    duration_s: float = 3.0,
    size: tuple[int, int] = (320, 180),
    fps: float = 25.0,
    picture: bool = True,
    sound: bool = True,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    pix_fmt: str | None = None,
    gop: int = 25,
    rotation_deg: int = 0,
    interlaced: bool = False,
    variable_rate: bool = False,
    sample_rate_hz: int = 48000,
    channels: int = 1,
    options: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write one made clip; the suffix of `path` chooses the container and the default codecs, or a still picture.

    Args:
        path: Where to write; its folder must exist.
        kind: One of `KINDS`, or several, which are cut one after another into shots of equal length.
        seed: Decides everything that varies between two clips of one kind.
        duration_s: Length in seconds.
        size: Width and height in pixels as coded; odd sizes need a `pix_fmt` such as yuv444p.
        fps: Frames a second (on average, with `variable_rate`).
        picture: Whether there is a video stream.
        sound: Whether there is an audio stream.
        video_codec: FFmpeg encoder, e.g. mpeg4, libvpx-vp9, prores_ks.
        audio_codec: FFmpeg encoder, e.g. aac, flac, pcm_s16le.
        pix_fmt: Pixel format, e.g. yuv420p10le for 10 bits.
        gop: Frames between two key frames.
        rotation_deg: Display rotation written into the container (counter-clockwise, 90, 180 or 270).
        interlaced: Code the frames as interlaced fields.
        variable_rate: Space the frames unevenly.
        sample_rate_hz: Of the sound.
        channels: 1 or 2.
        options: Further encoder options of the video stream.
        metadata: Container tags.

    Returns:
        `path`.
    """
    kinds = [kind] if isinstance(kind, str) else list(kind)
    suffix = path.suffix.lower()
    if suffix in _STILL:
        return _still(path, _STILL[suffix], painter(kinds[0], seed, size)(0.5))
    container = _FORMATS[suffix]
    plan = _Plan(
        kinds, seed, duration_s, size, fps, gop, (video_codec or container.video) if picture else None, pix_fmt, rotation_deg, interlaced,
        variable_rate, (audio_codec or container.audio) if sound else None, sample_rate_hz, channels, options or {},
    )  # fmt: skip
    _write(path, container.name, plan, metadata or {})
    return path


def _write(path: Path, container: str, plan: _Plan, metadata: Mapping[str, str]) -> None:
    import av

    # An open file, not a path: FFmpeg would read a colon in the name as a protocol.
    # Without random identifiers and dates: one seed gives the same bytes every time.
    with path.open("wb") as file, av.open(file, "w", format=container, container_options={"fflags": "+bitexact"}) as output:
        output.metadata.update(metadata)
        writers = [make(output, plan) for wanted, make in ((plan.video_codec, _video), (plan.audio_codec, _audio)) if wanted]
        for second in range(int(plan.duration_s) + 1):
            for write in writers:
                write(second)
        for write in writers:
            write(None)


_Writer = Callable[[int | None], None]
"""Encodes what falls within the second that starts then; None ends the stream."""


def _video(output: "OutputContainer", plan: _Plan) -> _Writer:
    import av

    codec = plan.video_codec or ""
    stream = cast("av.VideoStream", output.add_stream(codec, rate=Fraction(plan.fps).limit_denominator(1001)))
    stream.width, stream.height = plan.size
    stream.pix_fmt = plan.pix_fmt or _PIX_FMT.get(codec, "yuv420p")
    stream.gop_size = plan.gop
    # One clock for even and uneven spacing; containers that cannot hold it rescale.
    clock = Fraction(1, 90000) if plan.variable_rate else 1 / Fraction(plan.fps).limit_denominator(1001)
    stream.codec_context.time_base = clock
    stream.codec_context.options = {**_encoder_options(plan, codec), **plan.options}
    if plan.interlaced:
        stream.codec_context.flags |= 1 << 18 | 1 << 29  # AV_CODEC_FLAG_INTERLACED_DCT and _ME
    if plan.rotation_deg:
        stream.set_display_rotation(plan.rotation_deg)
    frames = _frames(plan)
    upcoming = next(frames, None)

    def write(second: int | None) -> None:
        nonlocal upcoming
        if second is None:
            output.mux(stream.encode(None))
        while second is not None and upcoming is not None and upcoming[0] < second + 1:
            frame = av.VideoFrame.from_ndarray(upcoming[1], format="rgb24")
            frame.pts, frame.time_base = round(upcoming[0] / clock), clock
            output.mux(stream.encode(frame))
            upcoming = next(frames, None)

    return write


def _encoder_options(plan: _Plan, codec: str) -> dict[str, str]:
    if codec == "libx264":
        fixed_gop = {"preset": "ultrafast", "crf": "26", "sc_threshold": "0", "keyint_min": str(plan.gop)}
        return {**fixed_gop, "x264-params": "interlaced=1:tff=1"} if plan.interlaced else fixed_gop
    if codec == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "8"}
    return {"qscale": "5"} if codec in {"mpeg4", "mpeg2video", "flv", "wmv2"} else {}


def _frames(plan: _Plan) -> Iterator[tuple[float, np.ndarray]]:
    painters = [painter(kind, plan.seed, plan.size) for kind in plan.kinds]
    rng = np.random.default_rng([plan.seed, 4])
    count = max(1, round(plan.duration_s * plan.fps))
    for index in range(count):
        jitter = rng.uniform(0, 0.9) if plan.variable_rate else 0.0
        shot = min(index * len(painters) // count, len(painters) - 1)
        yield (index + jitter) / plan.fps, painters[shot](index / plan.fps)


def _audio(output: "OutputContainer", plan: _Plan) -> _Writer:
    import av

    rate = plan.sample_rate_hz
    stream = cast("av.AudioStream", output.add_stream(plan.audio_codec or "", rate=rate))
    layout = "stereo" if plan.channels == 2 else "mono"
    stream.layout = layout
    if plan.audio_codec in {"wmav2", "libmp3lame", "aac", "mp2"}:
        stream.bit_rate = 128_000
    share = plan.duration_s / len(plan.kinds)
    waves = np.concatenate([voice(kind, plan.seed, share, rate) for kind in plan.kinds])

    def write(second: int | None) -> None:
        if second is None:
            output.mux(stream.encode(None))
            return
        part = waves[second * rate : (second + 1) * rate]
        if len(part):
            samples = np.ascontiguousarray(np.repeat(part[None], plan.channels, axis=0).T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, second * rate, Fraction(1, rate)
            output.mux(stream.encode(frame))

    return write


def _still(path: Path, codec: str, picture: np.ndarray) -> Path:
    import av

    context = cast("av.VideoCodecContext", av.CodecContext.create(codec, "w"))
    context.height, context.width = picture.shape[:2]
    context.pix_fmt = _PIX_FMT[codec]
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=_PIX_FMT[codec])
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))
    return path
