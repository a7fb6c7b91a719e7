"""One upload over HTTP with byte ranges (RFC 9110, section 14), so that a player can seek."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from fastapi import Response
from fastapi.responses import StreamingResponse

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Types are told from this list alone: an upload never decides what a browser takes it for.
TYPES_BY_SUFFIX = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/webm", ".ogv": "video/ogg",
    ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".opus": "audio/ogg",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
}  # fmt: skip
UNKNOWN = "application/octet-stream"
TYPES = (*dict.fromkeys(TYPES_BY_SUFFIX.values()), UNKNOWN)
"""Whatever a stream may be sent as."""


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte asked for; None for the whole file (no header, or one that this server does not know).

    Raises:
        ValueError: No byte of the file is in the range.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
        if int(match[2]) == 0:
            raise ValueError("an empty range")
    else:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first >= size:
        raise ValueError("a range behind the end")
    return first, last


def kind_of(name: str) -> str:
    """The media type of an upload, by the suffix of its name alone."""
    return TYPES_BY_SUFFIX.get(PurePosixPath(name).suffix.lower(), UNKNOWN)


def respond(file: BinaryIO, name: str, size: int, etag: str, header: str | None, *, body: bool = True) -> Response:
    """The response for one file; `file` is closed when it is sent, or at once where nothing is.

    Args:
        file: Seekable.
        name: Its suffix decides the type.
        size: Bytes.
        etag: Changes with the bytes.
        header: The request's Range.
        body: False for HEAD.
    """
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{etag}"', "Cache-Control": "private, max-age=60"}
    kind = kind_of(name)
    try:
        part = wanted(header, size)
    except ValueError:
        file.close()
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    first, last = part or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 206 if part else 200
    if not body:
        file.close()
        return Response(status_code=status, headers=headers, media_type=kind)
    return StreamingResponse(_bytes(file, first, last - first + 1), status, headers, kind)


def _bytes(file: BinaryIO, first: int, count: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while count > 0 and (chunk := file.read(min(_CHUNK, count))):
            count -= len(chunk)
            yield chunk
