"""Taking MP4 files apart and putting them together wrongly."""

import struct
from collections.abc import Iterator

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"udta", b"edts", b"moof", b"traf", b"mvex")


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """(path such as moov/trak/tkhd, where it begins, where it ends), parents before what they hold."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        name = data[start + 4 : start + 8]
        size = size if 8 <= size <= end - start else end - start
        yield name.decode("latin-1"), start, start + size
        if name in PARENTS:
            yield from ((f"{name.decode()}/{inner}", a, b) for inner, a, b in boxes(data, start + 8, start + size))
        start += size


def box(name: bytes, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack(">I", 8 + len(content)) + name + content


def patched(data: bytes, name: str, offset: int, value: bytes) -> bytes:
    """The file with `value` at `offset` in the content of the first box of this name."""
    start = next(a for path, a, _ in boxes(data) if path.endswith(name)) + 8 + offset
    return data[:start] + value + data[start + len(value) :]


def nested(depth: int, name: bytes = b"moov") -> bytes:
    """Boxes in boxes."""
    data = b""
    for _ in range(depth):
        data = box(name, data)
    return data
