"""Decoding no further than needed, where key frames are far apart."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from avrec_dag.media.film import Film, Frame, Keys, decoded_by, packets_of

if TYPE_CHECKING:
    import av

# The same time computed from a packet, from a frame and from an index differs by less.
_TICK_S = 1e-5


def as_far_as_wanted(film: Film) -> Iterator[Frame]:
    """The first frame at or after each of `Sampling.cheap_at_s`; after the last one before a key frame, nothing is decoded up to it."""
    moments = film.sampling.cheap_at_s(film.duration_s, film.keys_s().tolist())
    if not film.keys.stamps:
        yield from _Walk(film, due=moments, resting=False).frames({})
        return
    numbers = np.maximum(np.searchsorted(film.keys_s(), moments, side="right") - 1, 0)
    by_key: dict[int, list[float]] = {}
    for number, moment in zip(numbers.tolist(), moments, strict=True):
        by_key.setdefault(number, []).append(moment)
    walk = _Walk(film, due=[], resting=True)
    yield from walk.frames(by_key)
    missed = sorted(moment for moment in (*walk.due, *itertools.chain(*by_key.values())) if walk.last_s < moment < walk.end_s)
    if missed and _rewound(film):  # what is marked as key frames is none: from the beginning, leaving nothing out
        yield from _Walk(replace(film, keys=Keys()), due=missed, resting=False).frames({})


def _rewound(film: Film) -> bool:
    import av

    try:
        film.container.seek(int(film.start_s * 1e6))
    except MemoryError:
        raise
    except av.FFmpegError:
        return False
    film.stream.codec_context.flush_buffers()
    return True


@dataclass
class _Walk:
    """Decodes from each key frame as far as the last moment wanted before the next, and leaves out what follows.

    Attributes:
        film: What is walked through.
        due: Moments whose frame has not come yet, ascending.
        resting: Nothing is decoded until the next key frame after which something is due.
        n_decoded: Frames so far.
        last_s: Time of the last frame wanted.
        end_s: Time of the last packet.
        progressive: Whether the last frame came in one piece: of two fields, the first alone must not be drawn out of a decoder.
    """

    film: Film
    due: list[float]
    resting: bool
    n_decoded: int = 0
    last_s: float = -1.0
    end_s: float = 0.0
    progressive: bool = False

    def frames(self, by_key: dict[int, list[float]]) -> Iterator[Frame]:
        """The first frame at or after each moment; `by_key` has the moments that follow each key frame, by its number."""
        n_keys = 0
        for packet in packets_of(self.film.container, self.film.stream):
            self.end_s = max(self.end_s, self.film.packet_s(packet))
            if packet.is_keyframe:
                self.enter(packet, by_key.pop(n_keys, []))
                n_keys += 1
            if not self.resting:
                yield from self.fed(packet)
            if not self.due:
                self.resting = True
                if not by_key:
                    return
        if not self.resting:
            yield from self.wanted(decoded_by(self.film.stream, None))

    def enter(self, packet: "av.Packet", moments: list[float]) -> None:
        """Take what is due after a key frame; where frames were left out before it, the decoder begins anew."""
        key_s = self.film.packet_s(packet)
        self.due = sorted({*self.due, *(max(key_s, moment) for moment in moments)})
        if self.resting and self.due:
            self.film.stream.codec_context.flush_buffers()
            self.resting = False

    def fed(self, packet: "av.Packet") -> Iterator[Frame]:
        """The wanted ones of the frames that a packet brings out."""
        stream, context = self.film.stream, self.film.stream.codec_context
        if not self.ends_with(packet):
            yield from self.wanted(decoded_by(stream, packet))
            return
        context.skip_frame = "DEFAULT"  # it may be one that no other builds on
        decoded = [*decoded_by(stream, packet), *decoded_by(stream, None)]
        context.skip_frame = "NONREF"
        yield from self.wanted(decoded)
        self.resting = True

    def ends_with(self, packet: "av.Packet") -> bool:
        """Whether a packet has the last frame due, which a decoder that reorders would hold back for some frames more."""
        if not (self.film.keys.stamps and len(self.due) == 1 and self.progressive and packet.pts is not None):
            return False
        late_s = self.film.packet_s(packet) - self.due[0]
        return self.film.stream.codec_context.has_b_frames and -_TICK_S <= late_s <= 0.5 / self.film.sampling.per_second

    def wanted(self, decoded: "list[av.VideoFrame]") -> Iterator[Frame]:
        """Those at or after a moment due."""
        for frame in decoded:
            at_s = self.film.at_s(frame, self.n_decoded)
            self.n_decoded += 1
            self.progressive = not frame.interlaced_frame
            if self.due and at_s >= self.due[0] - _TICK_S:
                self.due = [moment for moment in self.due if moment > at_s + _TICK_S]
                self.last_s = at_s
                yield at_s, self.film.painter.picture(frame)
