"""Frames of a film at well-spread moments, upright, small, one at a time."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from avrec_dag.errors import MediaError
from avrec_dag.media.film import Film, Frame, Keys, decoded_by, packets_of, stamp_of
from avrec_dag.media.opening import opened, picture_stream
from avrec_dag.media.painter import Painter
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.walk import as_far_as_wanted

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

Method = Literal["keyframes", "all", "still"]
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
    """One way through a film: key frames alone where they are as dense as the frames kept, else the frames wanted and those they build on.

    Arguments as in `sample`, and `exact`: without it, frames that build on others come without their codec's deblocking
    filter, a quarter quicker and, at the size sampled, about as different as a JPEG of quality 85 is.

    Attributes:
        method: The way; known once the frames have been taken.
    """

    def __init__(self, file: BinaryIO, sampling: Sampling, duration_s: float | None, name: str, *, exact: bool = True) -> None:
        self._file, self._sampling, self._duration_s, self._name, self._exact = file, sampling, duration_s, name, exact
        self.method: Method = "still" if duration_s is None else "all"
        self._keys = Keys()
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
                self.method, self._keys = "all", Keys()
        if not found:
            for found, frame in enumerate(self._through(as_far_as_wanted), 1):  # noqa: B007
                yield frame
        if not found:
            raise MediaError(f"{self._name}: no frame of it can be decoded; the data is damaged, so upload it again")

    def _through(self, way: "Callable[[Film], Iterator[Frame]]") -> Iterator[Frame]:
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
            painter = Painter(stream, self._sampling.long_side_px)
            start_s = (container.start_time or 0) / 1e6
            yield from way(Film(container, stream, painter, start_s, self._sampling, self._duration_s or 0.0, self._keys))


def _key_frames(film: Film) -> Iterator[Frame]:
    for number, packet in enumerate(_key_packets(film)):
        # Ending the stream after each makes the decoder give the frame at once; flushing lets it begin anew.
        decoded = [*decoded_by(film.stream, packet), *decoded_by(film.stream, None)]
        film.stream.codec_context.flush_buffers()
        for frame in decoded[:1]:
            yield film.frame(frame, number)


def _key_packets(film: Film) -> "Iterator[av.Packet]":
    chosen = _nearest(film)
    if not film.keys.indexed:
        wanted = set(chosen)
        yield from (packet for packet in packets_of(film.container, film.stream) if packet.is_keyframe and stamp_of(packet) in wanted)
        return
    last = None
    for stamp in chosen:
        film.container.seek(stamp, stream=film.stream)
        for packet in packets_of(film.container, film.stream):
            at = stamp_of(packet)
            if packet.is_keyframe and at is not None and (last is None or at > last):
                last = at
                yield packet
                break


def _nearest(film: Film) -> list[int]:
    """The key frame nearest to each moment wanted, each once."""
    stamps, wanted_s = film.keys.stamps, np.asarray(film.sampling.seen_at_s(film.duration_s))
    if len(stamps) <= len(wanted_s) / _DENSE_ENOUGH:
        return stamps
    at_s = film.keys_s()
    order = np.searchsorted(at_s, wanted_s)
    before, after = np.maximum(order - 1, 0), np.minimum(order, len(stamps) - 1)
    nearest = np.where(wanted_s - at_s[before] <= at_s[after] - wanted_s, before, after)
    return [stamps[i] for i in np.unique(nearest)]


def _picture(container: "InputContainer", name: str) -> "av.VideoStream":
    stream = picture_stream(container)
    if stream is None:
        raise MediaError(f"{name}: holds no picture that can be decoded; convert it and upload again")
    return stream


def _key_stamps(container: "InputContainer", stream: "av.VideoStream") -> Keys:
    """From the index where it names every frame, else from one pass over the packets."""
    if stream.codec_context.name in _PATCHED:
        return Keys()
    index = stream.index_entries
    if 0 < stream.frames <= len(index):
        return Keys([entry.timestamp for entry in index if entry.is_keyframe], indexed=True)
    return Keys(sorted(at for packet in packets_of(container, stream) if packet.is_keyframe and (at := stamp_of(packet)) is not None))
