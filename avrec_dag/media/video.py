"""Frames of a film at well-spread moments, upright, small, one at a time."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import MediaError
from avrec_dag.media.opening import opened, picture_stream
from avrec_dag.media.painter import Painter
from avrec_dag.media.sampling import Sampling

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

Method = Literal["keyframes", "all", "still"]
Frame = tuple[float, NDArray[np.uint8]]
"""Seconds from the beginning, and RGB uint8 (h, w, 3)."""

# Their frames are patches on the frame before, even where the container calls each of them a key frame.
_PATCHED = frozenset({"gif", "apng", "webp"})
# As dense as wanted, but for a few: encoders let the distance of key frames vary.
_DENSE_ENOUGH = 0.8


def sample(file: BinaryIO, sampling: Sampling, duration_s: float | None, name: str = "upload") -> Iterator[Frame]:
    """The frames seen of a film or picture, in order; memory is bounded by a few decoded frames.

    Args:
        file: Seekable binary file.
        sampling: Which moments.
        duration_s: As probed; None for a still picture.
        name: What messages call it.

    Yields:
        (seconds from the beginning, RGB uint8 (h, w, 3)): upright, square pixels, at most `long_side_px`.

    Raises:
        MediaError: Not one frame can be decoded.
    """
    yield from Decoding(file, sampling, duration_s, name).frames()


class Decoding:
    """One way through a film: key frames alone where they are as dense as the frames kept, else every frame that others build on.

    Arguments as in `sample`, and `exact`: without it, frames decoded one after another come without their codec's deblocking filter,
    a quarter quicker and, at the size sampled, about as different as a JPEG of quality 85 is.

    Attributes:
        method: The way; known once the frames have been taken.
    """

    def __init__(self, file: BinaryIO, sampling: Sampling, duration_s: float | None, name: str, *, exact: bool = True) -> None:
        self._file, self._name, self._long_side_px, self._exact = file, name, sampling.long_side_px, exact
        self._wanted_s = sampling.seen_at_s(duration_s) if duration_s else [0.0]
        self.method: Method = "still" if duration_s is None else "all"
        self._keys = _Keys()
        if duration_s is not None:
            with opened(file, name) as container:
                self._keys = _key_stamps(container, _picture(container, name))
            if len(self._keys.stamps) >= _DENSE_ENOUGH * sampling.n_kept(duration_s):
                self.method = "keyframes"

    def frames(self) -> Iterator[Frame]:
        """See `sample`."""
        found = 0
        if self.method == "keyframes":
            for found, frame in enumerate(self._through(_key_frames), 1):  # noqa: B007
                yield frame
            if not found:  # marked as key frames, but not decodable alone
                self.method = "all"
        if not found:
            for found, frame in enumerate(self._through(_every_frame), 1):  # noqa: B007
                yield frame
        if not found:
            raise MediaError(f"{self._name}: no frame of it can be decoded; the data is damaged, so upload it again")

    def _through(self, way: "Callable[[_Film], Iterator[Frame]]") -> Iterator[Frame]:
        with opened(self._file, self._name) as container:
            stream = _picture(container, self._name)
            context = stream.codec_context
            context.thread_count = int(os.environ.get("AVREC_DECODE_THREADS", "1"))
            context.thread_type = "AUTO"
            if self.method == "all" and context.name not in _PATCHED:
                # Not "BIDIR", which is twice as quick again: later frames may build on B frames and would come out broken.
                context.skip_frame = "NONREF"
                if not self._exact:
                    context.options = {**context.options, "skip_loop_filter": "all"}
            painter = Painter(stream, self._long_side_px)
            yield from way(_Film(container, stream, painter, (container.start_time or 0) / 1e6, self._wanted_s, self._keys))


@dataclass(frozen=True)
class _Keys:
    """Timestamps of the key frames, and whether the container can be entered at each."""

    stamps: list[int] = field(default_factory=list)
    indexed: bool = False


@dataclass(frozen=True)
class _Film:
    container: "InputContainer"
    stream: "av.VideoStream"
    painter: "Painter"
    start_s: float
    wanted_s: list[float]
    keys: _Keys

    def frame(self, decoded: "av.VideoFrame", number: int) -> Frame:
        return self.at_s(decoded, number), self.painter.picture(decoded)

    def at_s(self, decoded: "av.VideoFrame", number: int) -> float:
        if decoded.pts is None:  # a raw stream or a picture, without timestamps
            return number / float(self.stream.average_rate or self.stream.guessed_rate or 25)
        # PyAV gives no time base to the frames that a flush brings out.
        base = decoded.time_base or self.stream.time_base or Fraction(1)
        return max(0.0, float(decoded.pts * base) - self.start_s)


def _key_frames(film: _Film) -> Iterator[Frame]:
    for number, packet in enumerate(_key_packets(film)):
        # Ending the stream after each makes the decoder give the frame at once; flushing lets it begin anew.
        decoded = [*_decoded(film.stream, packet), *_decoded(film.stream, None)]
        film.stream.codec_context.flush_buffers()
        for frame in decoded[:1]:
            yield film.frame(frame, number)


def _key_packets(film: _Film) -> "Iterator[av.Packet]":
    chosen = _nearest(film)
    if not film.keys.indexed:
        wanted = set(chosen)
        yield from (packet for packet in _packets(film.container, film.stream) if packet.is_keyframe and _stamp(packet) in wanted)
        return
    last = None
    for stamp in chosen:
        film.container.seek(stamp, stream=film.stream)
        for packet in _packets(film.container, film.stream):
            at = _stamp(packet)
            if packet.is_keyframe and at is not None and (last is None or at > last):
                last = at
                yield packet
                break


def _nearest(film: _Film) -> list[int]:
    """The key frame nearest to each moment wanted, each once."""
    stamps, wanted_s = film.keys.stamps, np.asarray(film.wanted_s)
    if len(stamps) <= len(wanted_s) / _DENSE_ENOUGH:
        return stamps
    at_s = np.array(stamps) * float(film.stream.time_base or 1) - film.start_s
    order = np.searchsorted(at_s, wanted_s)
    before, after = np.maximum(order - 1, 0), np.minimum(order, len(stamps) - 1)
    nearest = np.where(wanted_s - at_s[before] <= at_s[after] - wanted_s, before, after)
    return [stamps[i] for i in np.unique(nearest)]


def _every_frame(film: _Film) -> Iterator[Frame]:
    wanted = iter(film.wanted_s)
    next_s = next(wanted)
    first: Frame | None = None
    for number, decoded in enumerate(_decoded_frames(film)):
        at_s = film.at_s(decoded, number)
        if at_s >= next_s:
            first = None
            yield at_s, film.painter.picture(decoded)
            next_s = next((t for t in wanted if t > at_s), math.inf)
            if next_s == math.inf:
                return
        elif number == 0:
            first = film.frame(decoded, number)
    if first:  # it ended before the first moment wanted
        yield first


def _decoded_frames(film: _Film) -> "Iterator[av.VideoFrame]":
    for packet in _packets(film.container, film.stream):
        yield from _decoded(film.stream, packet)
    yield from _decoded(film.stream, None)


def _stamp(packet: "av.Packet") -> int | None:
    return packet.pts if packet.pts is not None else packet.dts


def _packets(container: "InputContainer", stream: "av.VideoStream") -> "Iterator[av.Packet]":
    """The stream's packets as far as they can be read; a file that breaks off simply ends."""
    import av

    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.FFmpegError:
        return


def _decoded(stream: "av.VideoStream", packet: "av.Packet | None") -> "list[av.VideoFrame]":
    import av

    try:
        return stream.decode(packet)
    except av.FFmpegError:
        return []


def _picture(container: "InputContainer", name: str) -> "av.VideoStream":
    stream = picture_stream(container)
    if stream is None:
        raise MediaError(f"{name}: holds no picture that can be decoded; convert it and upload again")
    return stream


def _key_stamps(container: "InputContainer", stream: "av.VideoStream") -> _Keys:
    """From the index where it names every frame, else from one pass over the packets."""
    if stream.codec_context.name in _PATCHED:
        return _Keys()
    index = stream.index_entries
    if 0 < stream.frames <= len(index):
        return _Keys([entry.timestamp for entry in index if entry.is_keyframe], indexed=True)
    return _Keys(sorted(at for packet in _packets(container, stream) if packet.is_keyframe and (at := _stamp(packet)) is not None))
