"""What an upload is: streams, lengths, size as displayed, and a content hash of each stream that no retagging changes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal

from avrec_dag import limits
from avrec_dag.errors import MediaError
from avrec_dag.media.opening import opened, picture_stream, sound_stream
from avrec_dag.media.orientation import Orientation, displayed_size, orientation

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

# A damaged beginning may be followed by a good film; a stream that gives nothing for this long gives nothing at all.
_TRIES = {"video": 300, "audio": 50}


@dataclass(frozen=True, slots=True)
class Video:
    """The picture of an upload.

    Attributes:
        codec: FFmpeg's decoder name.
        width: Pixels as displayed: after rotation, in square pixels.
        height: As `width`.
        fps: Frames a second on average; None for a still picture.
        rotation_deg: Counter-clockwise turn for display that was applied to width and height.
        hash: sha256 of codec, orientation and the packets' bytes.
    """

    codec: str
    width: int
    height: int
    fps: float | None
    rotation_deg: int
    hash: str


@dataclass(frozen=True, slots=True)
class Audio:
    """The sound of an upload; `hash` is the sha256 of codec and packets' bytes."""

    codec: str
    sample_rate_hz: int
    channels: int
    layout: str
    hash: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What an upload is.

    Attributes:
        kind: A film (with or without sound), a sound, or a still picture.
        container: FFmpeg's name of the container format.
        duration_s: By the timestamps found, not by what the header claims; None for a still picture.
        video: None when there is no picture that decodes.
        audio: None when there is no sound that decodes.
        warnings: What is odd but does not prevent using it.
    """

    kind: Literal["video", "audio", "image"]
    container: str
    duration_s: float | None
    video: Video | None
    audio: Audio | None
    warnings: tuple[str, ...]


@dataclass
class _Seen:
    """What the packets of one stream have told so far."""

    stream: "av.VideoStream | av.AudioStream"
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    n_packets: int = 0
    n_damaged: int = 0
    encrypted: bool = False
    start_s: float | None = None
    end_s: float = 0.0
    frame: "av.VideoFrame | av.AudioFrame | None" = None

    def take(self, packet: "av.Packet") -> None:
        self.n_packets += 1
        self.digest.update(packet)
        self.n_damaged += packet.is_corrupt
        self.encrypted = self.encrypted or packet.has_sidedata("encryption_info")
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.time_base:
            at_s = float(stamp * packet.time_base)
            self.start_s = at_s if self.start_s is None else min(self.start_s, at_s)
            self.end_s = max(self.end_s, at_s + float((packet.duration or 0) * packet.time_base))
        if self.frame is None and self.n_packets <= _TRIES[self.stream.type]:
            self.decode(packet)

    def decode(self, packet: "av.Packet | None") -> None:
        import av

        try:
            self.frame = next(iter(self.stream.decode(packet)), None)
        except MemoryError:
            raise
        except av.FFmpegError:
            self.n_damaged += 1


def probe(file: BinaryIO, name: str) -> Probe:
    """Read an upload once from end to end and say what it is; memory is bounded by one packet and one frame.

    Args:
        file: Seekable binary file.
        name: What messages call it.

    Raises:
        MediaError: Nothing in it can be decoded; the message says why.
    """
    with opened(file, name) as container:
        seen = {s.index: _Seen(s) for s in (picture_stream(container), sound_stream(container)) if s is not None}
        if not seen:
            found = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise MediaError(f"{name}: holds neither picture nor sound that can be decoded (found: {found}); convert it and upload again")
        warnings = list(_read(name, container, seen))
        return _concluded(name, container, list(seen.values()), warnings)


def _read(name: str, container: "InputContainer", seen: dict[int, _Seen]) -> Iterator[str]:
    import av

    most = limits.in_force().packets
    try:
        for number, packet in enumerate(container.demux([one.stream for one in seen.values()]), 1):
            if number > most:
                raise MediaError(f"{name}: has more than {most} packets; cut it into parts, or raise packets in AVREC_LIMITS")
            if packet.size:
                seen[packet.stream_index].take(packet)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        yield f"reading stopped after {max(one.end_s for one in seen.values()):.1f} s ({error.strerror}); what came before is kept"
    for one in seen.values():
        if one.frame is None:  # a decoder that holds its first frame back gives it at the end
            one.decode(None)


def _concluded(name: str, container: "InputContainer", seen: list[_Seen], warnings: list[str]) -> Probe:
    import av

    if any(one.encrypted for one in seen):
        raise MediaError(f"{name}: is encrypted (DRM); upload it without protection")
    pictures = [one for one in seen if isinstance(one.frame, av.VideoFrame)]
    sounds = [one for one in seen if isinstance(one.frame, av.AudioFrame)]
    if not pictures and not sounds:
        raise MediaError(_nothing_decodes(name, seen))
    warnings += [
        f"the {one.stream.type} stream ({one.stream.codec_context.name}) cannot be decoded and is left out" for one in seen if not one.frame
    ]
    warnings += [f"{one.n_damaged} damaged {one.stream.type} packets" for one in seen if one.frame and one.n_damaged]
    usable = pictures + sounds
    still = not sounds and (container.format.name.endswith("_pipe") or pictures[0].n_packets == 1)
    # Packets before the container's own beginning only prime a decoder.
    first_s = min((one.start_s for one in usable if one.start_s is not None), default=0.0)
    start_s = max(first_s, (container.start_time or 0) / 1e6)
    duration_s = None if still else max(max(one.end_s for one in usable) - start_s, _by_count(usable))
    claimed_s = (container.duration or 0) / 1e6
    if duration_s is not None and claimed_s > 1.1 * duration_s + 1:
        warnings.append(f"the header claims {claimed_s:.1f} s but the data ends after {duration_s:.1f} s; the upload was cut off")
    return Probe(
        "image" if still else "video" if pictures else "audio",
        container.format.name,
        duration_s,
        _video(pictures[0], duration_s) if pictures else None,
        _audio(sounds[0]) if sounds else None,
        tuple(warnings),
    )


def _nothing_decodes(name: str, seen: list[_Seen]) -> str:
    codecs = ", ".join(f"{one.stream.type} {one.stream.codec_context.name}" for one in seen)
    for one in seen:
        if one.stream.codec_context.name == "webp":
            return f"{name}: is damaged or an animated WebP, which FFmpeg cannot decode; upload it as GIF or MP4"
        if one.stream.type == "video" and not one.stream.codec_context.width:
            most = limits.in_force().pixels
            return f"{name}: the size of the picture cannot be read or passes {most} pixels ({codecs}); upload it again, smaller"
    return f"{name}: nothing in it can be decoded ({codecs}); the data is damaged, so upload it again"


def _by_count(seen: list[_Seen]) -> float:
    """Length by the number of frames, for raw streams without timestamps."""
    return max((float(one.n_packets / rate) for one in seen if one.end_s == 0 and (rate := _rate(one))), default=0.0)


def _rate(one: _Seen) -> float | None:
    import av

    rate = isinstance(one.stream, av.VideoStream) and (one.stream.average_rate or one.stream.guessed_rate)
    return float(rate) if rate and 0 < rate <= 1000 else None


def _video(one: _Seen, duration_s: float | None) -> Video:
    import av

    frame, stream = one.frame, one.stream
    assert isinstance(frame, av.VideoFrame) and isinstance(stream, av.VideoStream)
    width, height = displayed_size(frame, stream.sample_aspect_ratio)
    turned = orientation(frame)
    fps = None if duration_s is None else _rate(one) or (one.n_packets / duration_s if duration_s else None)
    if turned != Orientation():
        one.digest.update(repr(turned).encode())
    one.digest.update(stream.codec_context.name.encode())
    return Video(stream.codec_context.name, width, height, fps, turned.rotation_deg, one.digest.hexdigest())


def _audio(one: _Seen) -> Audio:
    import av

    frame, name = one.frame, one.stream.codec_context.name
    assert isinstance(frame, av.AudioFrame)
    one.digest.update(name.encode())
    channels = frame.layout.nb_channels
    layout = {"1 channels": "mono", "2 channels": "stereo"}.get(frame.layout.name, frame.layout.name)
    return Audio(name, frame.sample_rate, channels, layout, one.digest.hexdigest())
