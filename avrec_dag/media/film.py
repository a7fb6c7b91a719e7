"""A film being decoded: its packets, its frames with their times, its key frames."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avrec_dag.media.painter import Painter
from avrec_dag.media.sampling import Sampling

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

Frame = tuple[float, NDArray[np.uint8]]
"""Seconds from the beginning, and RGB uint8 (h, w, 3)."""


@dataclass(frozen=True)
class Keys:
    """Timestamps of the key frames, and whether the container can be entered at each."""

    stamps: list[int] = field(default_factory=list)
    indexed: bool = False


@dataclass(frozen=True)
class Film:
    """An opened film and what is wanted of it.

    Attributes:
        container: Where its packets come from.
        stream: The picture, with its decoder.
        painter: Makes pictures of its frames.
        start_s: The container's own beginning; times count from there.
        sampling: Which moments are looked at.
        duration_s: As probed; 0 for a still picture.
        keys: Its key frames; none where frames cannot be decoded from them on.
    """

    container: "InputContainer"
    stream: "av.VideoStream"
    painter: Painter
    start_s: float
    sampling: Sampling
    duration_s: float
    keys: Keys

    def keys_s(self) -> NDArray[np.float64]:
        """About when each key frame is shown: some indexes tell when it is decoded, a few frames earlier."""
        return np.maximum(0.0, np.array(self.keys.stamps) * float(self.stream.time_base or 1) - self.start_s)

    def packet_s(self, packet: "av.Packet") -> float:
        """When a packet's frame is shown, seconds from the beginning."""
        return max(0.0, float((stamp_of(packet) or 0) * (packet.time_base or 0)) - self.start_s)

    def frame(self, decoded: "av.VideoFrame", number: int) -> Frame:
        """Time and picture of a decoded frame, the `number`-th from 0."""
        return self.at_s(decoded, number), self.painter.picture(decoded)

    def at_s(self, decoded: "av.VideoFrame", number: int) -> float:
        """When a decoded frame is shown, seconds from the beginning."""
        if decoded.pts is None:  # a raw stream or a picture, without timestamps
            return number / float(self.stream.average_rate or self.stream.guessed_rate or 25)
        # PyAV gives no time base to the frames that a flush brings out.
        base = decoded.time_base or self.stream.time_base or Fraction(1)
        return max(0.0, float(decoded.pts * base) - self.start_s)


def stamp_of(packet: "av.Packet") -> int | None:
    """When a packet's frame is shown, or where the container does not say, decoded; in units of its time base."""
    return packet.pts if packet.pts is not None else packet.dts


def packets_of(container: "InputContainer", stream: "av.VideoStream") -> "Iterator[av.Packet]":
    """The stream's packets as far as they can be read; a file that breaks off simply ends."""
    import av

    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except MemoryError:
        raise
    except av.FFmpegError:
        return


def decoded_by(stream: "av.VideoStream", packet: "av.Packet | None") -> "list[av.VideoFrame]":
    """The frames that a packet, or None for the end, brings out; none where it is damaged."""
    import av

    try:
        return stream.decode(packet)
    except MemoryError:
        raise
    except av.FFmpegError:
        return []
