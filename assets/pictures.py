"""Pictures and hostile text inside Markdown, as Dagster's page shows it."""

import base64
import io
import re
import zipfile
from collections.abc import Iterable, Sequence

from avrec_dag.storage import Blobs

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+|!~:])")


def plain(text: object, longest: int = 120) -> str:
    """Text from outside as Markdown that says just that: one line, markup escaped, cut."""
    line = " ".join(str(text).split())
    return _MARKUP.sub(r"\\\1", line if len(line) <= longest else f"{line[: longest - 1]}…")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def embedded(data: bytes, width_px: int, alt: str = "") -> str:
    """A picture of ours as Markdown that needs no server: a small JPEG in a data URI, at most `width_px` wide."""
    from PIL import Image

    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.thumbnail((width_px, 4 * width_px))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return f"![{plain(alt)}](data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def thumbnail(blobs: Blobs, frames_blob: str | None) -> str:
    """The middle frame of one item, small; empty where it has none."""
    if not frames_blob or not blobs.exists(f"{frames_blob}/frames.zip"):
        return ""
    with blobs.open(f"{frames_blob}/frames.zip") as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        return embedded(archive.read(names[len(names) // 2]), 120) if names else ""
