"""When an upload's pictures and sounds are shown, by its packets alone: gaps, repeats, ends, and where a decoder can begin."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avrec_dag.media.film import stamp_of
from avrec_dag.media.opening import sound_stream

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

MOST_PACKETS = 500_000
"""Read without an index: a feature film's pictures and sounds; of a longer one the beginning."""
_GAP = 1.6
"""A picture shown so many times longer than usual is followed by one that was dropped; rounding of timestamps stays below."""
_USUAL = 25
"""Percentile of the steps between pictures that counts as the film's own."""
_HELD_S = 1.0
"""A picture that stands longer is a slide, not a gap."""


@dataclass(frozen=True)
class Timeline:
    """What the packets tell.

    Attributes:
        shown_s: When each picture is shown, float64 (n,), ascending, on the container's clock; empty where it does not say.
        keys_s: When a decoder can begin.
        picture_end_s: End of the last picture, on the container's clock; None without times.
        sound_end_s: End of the last sound; None without sound or times.
        sound_start_s: Beginning of the first sound.
    """

    shown_s: NDArray[np.float64]
    keys_s: Sequence[float] = field(default_factory=list)
    picture_end_s: float | None = None
    sound_end_s: float | None = None
    sound_start_s: float | None = None

    def gap_share(self) -> float | None:
        """Share of pictures that are missing, in [0, 1): by how much too long their neighbours are shown; None for fewer than ten."""
        if len(self.shown_s) < 10:
            return None
        steps = np.diff(self.shown_s)
        # Not the median: where every second picture is missing, that is the length of a gap.
        usual = float(np.percentile(steps[steps > 0], _USUAL)) if (steps > 0).any() else 0.0
        if not usual:
            return None
        long = steps[(steps > _GAP * usual) & (steps < _HELD_S)]
        missing = float(np.sum(np.round(long / usual) - 1))
        return missing / (len(steps) + missing)

    def length_gap_s(self) -> float | None:
        """By how much picture and sound begin or end apart, whichever is more, in seconds; None unless there are both."""
        if self.picture_end_s is None or self.sound_end_s is None or self.sound_start_s is None or not len(self.shown_s):
            return None
        return max(abs(self.picture_end_s - self.sound_end_s), abs(float(self.shown_s[0]) - self.sound_start_s))


@dataclass
class _Track:
    """The packets of one stream."""

    stamps: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    end_s: float | None = None

    def take(self, at_s: float, length_s: float, *, key: bool) -> None:
        self.stamps.append(at_s)
        if key:
            self.keys.append(at_s)
        self.end_s = max(at_s + length_s, self.end_s if self.end_s is not None else -np.inf)


def timeline(container: "InputContainer", picture: "av.VideoStream") -> Timeline:
    """The timeline of an opened film: from its index where that names every picture, else from one pass over the packets.

    Memory is one number for each picture.
    """
    index = picture.index_entries
    if 0 < picture.frames <= len(index) and picture.time_base:
        return _from_index(container, picture)
    sound = sound_stream(container)
    tracks = _from_packets(container, picture, sound)
    shown, heard = tracks[picture.index], tracks[sound.index] if sound is not None else _Track()
    start = min(heard.stamps, default=None)
    return Timeline(np.sort(shown.stamps), sorted(shown.keys), shown.end_s, heard.end_s, start)


def _from_index(container: "InputContainer", picture: "av.VideoStream") -> Timeline:
    base = float(picture.time_base or 1)
    entries = picture.index_entries
    shown = np.sort([entry.timestamp * base for entry in entries])
    # An index tells when pictures are decoded, some frames before they are shown; the stream's own beginning says how many.
    begin_s = float(picture.start_time or 0) * base
    shown = shown + (begin_s - shown[0])
    keys = [entry.timestamp * base for entry in entries if entry.is_keyframe]
    sound = sound_stream(container)
    end_s = begin_s + float(picture.duration) * base if picture.duration else float(shown[-1])
    if sound is None or not sound.duration or not sound.time_base:
        return Timeline(shown, keys, end_s)
    start_s = float(sound.start_time or 0) * float(sound.time_base)
    return Timeline(shown, keys, end_s, start_s + float(sound.duration) * float(sound.time_base), start_s)


def _from_packets(container: "InputContainer", picture: "av.VideoStream", sound: "av.AudioStream | None") -> dict[int, _Track]:
    import av

    streams = [picture, sound] if sound is not None else [picture]
    tracks = {stream.index: _Track() for stream in streams}
    try:
        for number, packet in enumerate(container.demux(streams)):
            at, base = stamp_of(packet), float(packet.time_base or 0)
            if packet.size and at is not None:
                tracks[packet.stream_index].take(at * base, (packet.duration or 0) * base, key=packet.is_keyframe)
            if number >= MOST_PACKETS:
                return {index: _Track(track.stamps, track.keys) for index, track in tracks.items()}
    except MemoryError:
        raise
    except av.FFmpegError:  # a file that breaks off simply ends
        pass
    return tracks
