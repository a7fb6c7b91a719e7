"""The one door to FFmpeg: uploads are opened from bytes alone, so that no upload can name another file or an address."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, cast

from avrec_dag import limits
from avrec_dag.errors import MediaError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: a cover, not a moving picture

# Demuxers that open further files or devices, or take any text for pictures.
_REFUSED = frozenset({
    "hls", "applehttp", "concat", "concatf", "dash", "webm_dash_manifest", "sdp", "rtsp", "rtp", "image2", "lavfi", "vobsub", "imf",
    "tty", "bin", "xbin", "adf", "idf", "ffmetadata", "alsa", "fbdev", "kmsgrab", "video4linux2", "v4l2", "x11grab", "oss", "pulse",
    "sndio", "jack", "iec61883", "openal", "libcdio", "libdc1394", "vapoursynth", "avisynth",
})  # fmt: skip

_NOT_MEDIA: tuple[tuple[bytes, str], ...] = (
    (b"#EXTM3U", "a playlist (HLS), which names other files; upload the film itself"),
    (b"ffconcat", "a playlist (concat), which names other files; upload the film itself"),
    (b"PK\x03\x04", "a ZIP archive; unpack it and upload what is inside"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"Rar!", "a RAR archive; unpack it and upload what is inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it and upload what is inside"),
    (b"\x1f\x8b", "a gzip archive; unpack it and upload what is inside"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


class _Bytes:
    """What FFmpeg may see of an upload: its bytes, and neither its name nor its folder."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # A broken index asks for places before the beginning; Python's own error for that would look like a failing disk.
        if whence == io.SEEK_SET and offset < 0:
            return -1
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def opened(file: BinaryIO, name: str) -> "Iterator[InputContainer]":
    """Open an upload for demuxing; whatever FFmpeg cannot read inside the block becomes a `MediaError` too.

    Args:
        file: Seekable binary file; its name is never looked at.
        name: What messages call the upload.

    Raises:
        MediaError: Empty, no known container, a playlist, an archive, or broken beyond reading.
    """
    import av

    _refuse_what_is_no_media(file, name)
    try:
        with av.open(
            _Bytes(file),
            "r",
            metadata_errors="replace",
            container_options=_options(),
            options=_codec_options(),
            io_open=_no_other_file,
            buffer_size=1 << 18,
        ) as it:
            yield cast("InputContainer", it)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise MediaError(
            f"{name}: FFmpeg cannot read it as sound, film or picture ({error.strerror}); convert it and upload again"
        ) from error
    except _OtherFileError as error:
        raise MediaError(f"{name}: names another file ({error}), which is never opened; upload the film itself") from error


class _OtherFileError(Exception):
    """An upload asked for another file or an address."""


def _no_other_file(url: str, _flags: int, _options: Mapping[str, str]) -> BinaryIO:
    raise _OtherFileError(url[:200])


def _options() -> dict[str, str]:
    return {"protocol_whitelist": "", "format_whitelist": _allowed_formats()}


def _codec_options() -> dict[str, str]:
    """A picture that claims more pixels than the limit is refused before memory is taken for it."""
    return {"max_pixels": str(limits.in_force().pixels)}


@lru_cache(maxsize=1)
def _allowed_formats() -> str:
    import av

    return ",".join(sorted({name for names in av.formats_available for name in names.split(",")} - _REFUSED))


def _refuse_what_is_no_media(file: BinaryIO, name: str) -> None:
    file.seek(0)
    head = file.read(4096)
    if not head:
        raise MediaError(f"{name}: the file is empty; upload it again")
    file.seek(0)
    for magic, what in _NOT_MEDIA:
        if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(magic):
            raise MediaError(f"{name}: is {what}")
    if not head.strip(b"\0") and not file.read(1 << 20).strip(b"\0"):
        raise MediaError(f"{name}: holds only zero bytes; the upload was cut off or never written, so upload it again")
    file.seek(0)
    if _is_text(head):
        raise MediaError(f"{name}: is text, not media; give it a .json, .jsonl or .csv name if it describes a clip, or remove it")


def _is_text(head: bytes) -> bool:
    """Whether the first bytes are plain text; subtitle and playlist formats of FFmpeg are text, no film is."""
    if head.startswith((b"YUV4MPEG2", b"P7", b"P6", b"P5", b"/* XPM")):
        return False
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) - error.start < 4 and len(head) > 4
    return True


def picture_stream(container: "InputContainer") -> "av.VideoStream | None":
    """The film or picture of an upload: the first decodable video stream that is not a cover, or None."""
    streams = [s for s in container.streams.video if s.codec_context is not None and not int(s.disposition) & _ATTACHED_PICTURE]
    stream = max(streams, key=lambda s: s.codec_context.width * s.codec_context.height, default=None)
    if stream is not None:  # what `av.open` is given guards its own look at the streams, not the decoder used later
        stream.codec_context.options = {**stream.codec_context.options, **_codec_options()}
    return stream


def sound_stream(container: "InputContainer") -> "av.AudioStream | None":
    """The first decodable audio stream, or None."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)
