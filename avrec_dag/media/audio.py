"""Sound as float32 blocks: all channels at the file's own rate for measuring, and mono at 16 kHz for listening models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import MediaError
from avrec_dag.media.opening import opened, sound_stream

if TYPE_CHECKING:
    import av

Waveform = NDArray[np.float32]
"""Samples in [-1, 1]; what decodes beyond (lossy codecs overshoot) stays up to 4 in channel blocks and is cut in mono ones."""

_BLOCK_S = 5
_CEILING = 4.0
# FFmpeg's sample formats, without the mark for planar: what full scale is, and where zero lies.
_SCALE = {"u8": (128.0, 128.0), "s16": (2.0**15, 0.0), "s32": (2.0**31, 0.0), "s64": (2.0**63, 0.0), "flt": (1.0, 0.0), "dbl": (1.0, 0.0)}


@dataclass(frozen=True, slots=True)
class Block:
    """About five seconds of sound.

    Attributes:
        samples: float32 (channels, n).
        sample_rate_hz: The same for every block of a file.
        channel_names: FFmpeg's names (FL, FR, LFE, ...), one per row of samples; empty where the file does not say.
    """

    samples: Waveform
    sample_rate_hz: int
    channel_names: tuple[str, ...]


def decode_blocks(file: BinaryIO, name: str = "upload") -> Iterator[Block]:
    """All channels of the first audio stream, block by block; memory is bounded by one block.

    Args:
        file: Seekable binary file.
        name: What messages call it.

    Raises:
        MediaError: Not one sample can be decoded.
    """
    pending: list[np.ndarray] = []
    pending_n = 0
    first: av.AudioFrame | None = None
    for frame in _alike(_frames(file, name)):
        first = first or frame
        pending.append(frame.to_ndarray())
        pending_n += frame.samples
        if pending_n >= _BLOCK_S * first.sample_rate:
            yield _block(pending, first)
            pending, pending_n = [], 0
    if first is None:
        raise MediaError(f"{name}: no sound of it can be decoded; the data is damaged, so upload it again")
    if pending:
        yield _block(pending, first)


def decode_mono(file: BinaryIO, sample_rate_hz: int = 16000, name: str = "upload") -> Iterator[Waveform]:
    """The mean of all channels, resampled: float32 blocks in [-1, 1]; arguments and errors as in `decode_blocks`."""
    mono = Mono(sample_rate_hz)
    for block in decode_blocks(file, name):
        yield mono.of(block)
    yield mono.rest()


class Mono:
    """Mixes blocks down to one channel at one rate, without seams between blocks."""

    def __init__(self, sample_rate_hz: int = 16000) -> None:
        from av import AudioResampler

        self._resampler = AudioResampler("flt", "mono", sample_rate_hz)
        self._started = False

    def of(self, block: Block) -> Waveform:
        """The mono samples that `block` completes: float32 (m,)."""
        import av

        mean = np.clip(block.samples.mean(axis=0, keepdims=True, dtype=np.float32), -1, 1)
        frame = av.AudioFrame.from_ndarray(mean, format="flt", layout="mono")
        frame.sample_rate = block.sample_rate_hz
        self._started = True
        return self._joined(frame)

    def rest(self) -> Waveform:
        """What the resampler still holds at the end."""
        return self._joined(None) if self._started else np.zeros(0, np.float32)

    def _joined(self, frame: "av.AudioFrame | None") -> Waveform:
        parts = [part.to_ndarray().reshape(-1) for part in self._resampler.resample(frame)]
        return np.clip(np.concatenate(parts), -1, 1).astype(np.float32, copy=False) if parts else np.zeros(0, np.float32)


def _alike(frames: "Iterator[av.AudioFrame]") -> "Iterator[av.AudioFrame]":
    """The frames in the format of the first: a broadcast may change rate or channels on its way."""
    from av import AudioResampler

    first = next(frames, None)
    if first is None:
        return
    yield first
    shape = (first.sample_rate, first.layout.nb_channels, first.format.name)
    adapter: AudioResampler | None = None
    for frame in frames:
        if (frame.sample_rate, frame.layout.nb_channels, frame.format.name) == shape:
            yield frame
        else:
            adapter = adapter or AudioResampler(first.format, first.layout, first.sample_rate)
            yield from adapter.resample(frame)


def _frames(file: BinaryIO, name: str) -> "Iterator[av.AudioFrame]":
    import av

    with opened(file, name) as container:
        stream = sound_stream(container)
        if stream is None:
            raise MediaError(f"{name}: holds no sound that can be decoded")
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except av.FFmpegError:  # a file that breaks off simply ends
                packet = None
            try:
                yield from stream.decode(packet if packet is not None and packet.size else None)
            except MemoryError:
                raise
            except av.FFmpegError:  # one damaged packet costs its own milliseconds
                if packet is None:
                    return
            if packet is None or not packet.size:
                return


def _block(raw: "list[np.ndarray]", like: "av.AudioFrame") -> Block:
    """Decoded samples, in the format of `like`, as one float32 block."""
    channels = like.layout.nb_channels
    whole = np.concatenate(raw, axis=1)
    if not like.format.is_planar:
        whole = whole.reshape(-1, channels).T
    scale, zero = _SCALE[like.format.name.removesuffix("p")]
    samples = whole.astype(np.float32)
    if (scale, zero) != (1.0, 0.0):
        samples = (samples - np.float32(zero)) / np.float32(scale)
    samples = np.clip(np.nan_to_num(samples, copy=False), -_CEILING, _CEILING)
    names = tuple(channel.name for channel in like.layout.channels)
    return Block(samples, like.sample_rate, names if len(set(names)) == channels else ())
