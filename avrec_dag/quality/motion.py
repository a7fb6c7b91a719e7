"""What only consecutive frames tell: repeated frames, flicker, combing, the quantiser; from a few short bursts at full rate."""

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from avrec_dag.media.film import decoded_by, packets_of
from avrec_dag.media.opening import opened, picture_stream
from avrec_dag.quality import quantiser
from avrec_dag.quality.picture import NOISY, evening, noise, waver
from avrec_dag.quality.timeline import Timeline, timeline

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

BURSTS = 3
_PIXELS = 80e6
"""Decoded in all bursts together: 87 frames of 720p, 38 of 1080p."""
_LEAST_FRAMES, _MOST_FRAMES = 8, 36
"""In each burst."""
_SMALL_PX = 320
_REPEATED, _MOVING = 0.15, 0.6
"""Mean steps in levels of 255: a frame that changes less than the first, among neighbours that change more than the second, is a repeat."""
_TOOTH = 14
"""Levels of 255 by which a line differs from both its neighbours, which agree with each other to within half of it."""
_HELD = 0.15
"""Share of the usual change below which a frame of a moving scene counts as repeated: coding gives a repeat small changes of its own."""

Luma = NDArray[np.uint8]


@dataclass
class Burst:
    """Consecutive frames.

    Attributes:
        means: Mean luma of each frame, in levels of 255.
        steps: Mean absolute difference of each frame to the one before, in levels of 255; one fewer.
        combed: Pixels that show a comb in each frame but the first, as a share of those that moved.
        quantisers: Mean quantiser step of each frame that tells.
        flagged: Frames flagged as interlaced.
        grain_step: What noise alone adds to the steps, in levels of 255.
    """

    means: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    combed: list[float] = field(default_factory=list)
    quantisers: list[float] = field(default_factory=list)
    flagged: int = 0
    grain_step: float = 0.0


@dataclass(frozen=True)
class MotionFacts:
    """What the bursts of an item tell; None where they cannot (a still, a picture in which nothing moves, a silent codec).

    Attributes:
        repeated_share: Frames of moving scenes that repeat the one before, in [0, 1].
        flicker: Standard deviation of the brightness from frame to frame, as a share of its mean.
        combed_share: Moving pixels that show a comb of two fields, in [0, 1].
        flagged_interlaced: Share of frames flagged as interlaced.
        quantiser: Root mean square of the quantiser's step, in levels of 255.
        timeline: Of the packets.
    """

    repeated_share: float | None
    flicker: float | None
    combed_share: float | None
    flagged_interlaced: float
    quantiser: float | None
    timeline: Timeline


def motion(file: BinaryIO, name: str, duration_s: float) -> MotionFacts:
    """Look at a film's consecutive frames, at three places, in bounded time and with one full frame in memory.

    Args:
        file: Seekable binary file.
        name: What messages call it.
        duration_s: As probed.

    Raises:
        MediaError: It cannot be opened.
    """
    with opened(file, name) as container:
        stream = picture_stream(container)
        shown = timeline(container, stream) if stream is not None else Timeline(np.zeros(0))
    bursts = [burst for burst in _bursts(file, name, shown, duration_s) if burst.means]
    n_frames = sum(len(burst.means) for burst in bursts)
    combed = [share for burst in bursts for share in burst.combed]
    quantisers = [step for burst in bursts for step in burst.quantisers]
    step = float(np.sqrt(np.mean(np.square(quantisers)))) if quantisers else None
    return MotionFacts(
        repeated_share([_evenly_lit(burst) for burst in bursts], [burst.grain_step for burst in bursts], waver(step)),
        flicker([burst.means for burst in bursts]),
        float(np.mean(combed)) if combed else None,
        sum(burst.flagged for burst in bursts) / n_frames if n_frames else 0.0,
        step,
        shown,
    )


def _evenly_lit(burst: Burst) -> list[float]:
    """The steps as they would be at the usual brightness: what moves in the dark moves as well."""
    gain = evening(float(np.mean(burst.means)))
    burst.grain_step *= gain
    return [gain * one for one in burst.steps]


def repeated_share(bursts: "list[list[float]]", grain_steps: "Sequence[float]" = (), wavering: float = 0.0) -> float | None:
    """Share of repeated frames among those of moving scenes; None where nothing moves.

    A repeat is a frame far more like the one before than its neighbours are: a still scene repeats nothing, it stands. What noise
    adds is taken off, as squares, since it is independent of what moves; a motion that drowns in it is none.

    Args:
        bursts: Mean absolute differences between neighbours, in levels of 255.
        grain_steps: What noise alone adds to those of each burst.
        wavering: What coding alone may add to any, as `picture.waver`.
    """
    moving = repeats = 0
    for noisy, grain in itertools.zip_longest(map(np.array, bursts), grain_steps, fillvalue=0.0):
        steps = np.sqrt(np.maximum(np.square(noisy) - grain**2, 0))
        for i, here in enumerate(steps):
            around = np.delete(steps[max(0, i - 6) : i + 7], min(i, 6))
            usual = float(np.percentile(around, 75)) if len(around) else 0.0
            if usual > max(_MOVING, grain):
                moving += 1
                repeats += here < min(max(_REPEATED, _HELD * usual, grain * 0.6, wavering), usual / 2)
    return repeats / moving if moving else None


def flicker(bursts: "list[list[float]]") -> float | None:
    """Brightness noise from frame to frame, as a share of the mean brightness; None for fewer than five frames.

    From second differences, which neither a fade nor a slow pan has; their median, so that a cut does not count.

    Args:
        bursts: Mean luma of consecutive frames, in levels of 255.
    """
    bends = [np.abs(np.diff(means, 2)) / max(float(np.mean(means)), 8.0) for means in bursts if len(means) >= 5]
    # 6: the variance of a second difference of white noise; 0.6745: from the median to the standard deviation.
    return float(np.median(np.concatenate(bends))) / 0.6745 / np.sqrt(6) if bends else None


def combed_share(before: Luma, luma: Luma) -> float | None:
    """Share of moving pixels where every second line lags behind, as two fields woven into one frame look; None where nothing moves.

    As FFmpeg's idet and comb detectors do: a line that differs from both neighbours the same way, while those two agree, and
    the line after next agrees with it. Only where the picture moved, so that fine stripes that stand still do not count.

    Args:
        before: The frame before, uint8 (h, w).
        luma: uint8 (h, w).
    """
    import cv2

    if luma.shape[0] < 8 or luma.shape != before.shape:
        return None
    rows = luma.astype(np.int16)
    above, here, below, next_one = rows[:-3], rows[1:-2], rows[2:-1], rows[3:]
    # Woven fields move every second line only, so a pixel counts as moving when it or the line below it moved.
    moved = np.asarray(cv2.absdiff(luma, before))[1:-1] > _TOOTH
    moving = moved[:-1] | moved[1:]
    n = int(moving.sum())
    if n < 0.002 * luma.size:
        return None
    up, down = here - above, here - below
    teeth = (np.minimum(np.abs(up), np.abs(down)) > _TOOTH) & (np.sign(up) == np.sign(down))
    alike = (np.abs(above - below) * 2 < np.abs(up)) & (np.abs(here - next_one) * 2 < np.abs(down))
    return float((teeth & alike & moving).sum()) / n


def _bursts(file: BinaryIO, name: str, shown: Timeline, duration_s: float) -> Iterator[Burst]:
    with opened(file, name) as container:
        stream = picture_stream(container)
        if stream is None:
            return
        context = stream.codec_context
        context.options = {**context.options, **quantiser.OPTIONS}
        starts = _starts(shown.keys_s, (container.start_time or 0) / 1e6, duration_s)
        area = max(context.width * context.height, 1)
        length = int(np.clip(_PIXELS / BURSTS / area, _LEAST_FRAMES, _MOST_FRAMES)) * BURSTS // len(starts)
        for start_s in starts:
            if start_s is not None:
                _seek(container, start_s)
                context.flush_buffers()
            yield _burst(container, stream, length)


def _starts(keys_s: "list[float] | tuple[float, ...] | object", start_s: float, duration_s: float) -> list[float | None]:
    """Key frames at or before the middles of three parts; None, the beginning, where there are none."""
    keys = list(cast("list[float]", keys_s))
    if len(keys) < 2:
        return [None]
    places = [start_s + (i + 0.5) * duration_s / BURSTS for i in range(BURSTS)]
    return [keys[i] for i in sorted({max(bisect_right(keys, place) - 1, 0) for place in places})]


def _seek(container: "InputContainer", at_s: float) -> None:
    import av

    try:
        container.seek(int(at_s * 1e6))
    except av.FFmpegError:  # it goes on from where it stands
        return


def _burst(container: "InputContainer", stream: "av.VideoStream", length: int) -> Burst:
    from av.video.reformatter import VideoReformatter

    burst, reformatter, last, last_small = Burst(), VideoReformatter(), None, None
    for frame in _decoded(container, stream, length):
        luma = cast("Luma", reformatter.reformat(frame, format="gray").to_ndarray())
        small = _small(luma)
        burst.means.append(float(small.mean()))
        burst.flagged += bool(frame.interlaced_frame)
        if (step := quantiser.step(frame)) is not None:
            burst.quantisers.append(step)
        if last is not None and last_small is not None and last.shape == luma.shape:
            burst.steps.append(float(np.abs(small - last_small).mean()))
            if (share := combed_share(last, luma)) is not None:
                burst.combed.append(share)
        else:
            burst.grain_step = _grain_step(luma, small)
        last, last_small = luma, small
    return burst


def _grain_step(luma: Luma, small: NDArray[np.float32]) -> float:
    """Mean absolute difference that noise alone makes between two small frames, in levels of 255."""
    grain = noise(luma)
    return float(2 / np.sqrt(np.pi) * grain * np.sqrt(small.size / luma.size)) if grain > NOISY else 0.0


def _decoded(container: "InputContainer", stream: "av.VideoStream", length: int) -> "Iterator[av.VideoFrame]":
    left = length
    for packet in packets_of(container, stream):
        for frame in decoded_by(stream, packet):
            yield frame
            left -= 1
            if not left:
                return
    for frame in decoded_by(stream, None)[:left]:
        yield frame


def _small(luma: Luma) -> NDArray[np.float32]:
    import cv2

    scale = min(1.0, _SMALL_PX / max(luma.shape))
    size = max(1, round(luma.shape[1] * scale)), max(1, round(luma.shape[0] * scale))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
