"""The frames of every item: shot boundaries, well-spread JPEGs with their times, and a contact sheet."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avrec_dag.items import DecodesUploads, Item, Row, each
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.sheet import contact_sheet
from avrec_dag.media.shots import colours, shots
from avrec_dag.media.uploads import MediaSource
from avrec_dag.media.video import Decoding, Method
from avrec_dag.storage import Blobs


@dataclass
class _Seen:
    """The frames of one item as they come by, already small."""

    t_s: list[float] = field(default_factory=list)
    jpegs: list[bytes] = field(default_factory=list)
    histograms: list[NDArray[np.float32]] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    method: Method = "all"


@dataclass(frozen=True)
class SampleFrames(DecodesUploads):
    """Task of frames: decodes each item once and keeps its JPEGs in one blob.

    Attributes:
        media_uri: The media library.
        store_uri: Where blobs go.
        sampling: Which frames are kept.
    """

    media_uri: str
    store_uri: str
    sampling: Sampling = field(default_factory=Sampling)

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; an item of which no frame decodes becomes a failed row that says why."""
        return each(items, self._row)

    def _row(self, item: Item) -> Row:
        media = item.parents["raw_media"]
        duration_s = None if media["kind"] == "image" else float(media["duration_s"] or 0)  # type: ignore[arg-type]
        seen = self._seen(item, duration_s)
        shot = shots(seen.histograms)
        kept = self.sampling.choose(shot, duration_s or 0)
        t_s, jpegs = [seen.t_s[i] for i in kept], [seen.jpegs[i] for i in kept]
        blobs = Blobs(self.store_uri)
        blobs.put("frames", item.key, item.version, "frames.zip", _zipped(jpegs))
        blobs.put("frames", item.key, item.version, "sheet.jpg", contact_sheet(jpegs, t_s))
        told = {
            "t_s": t_s,
            "shot": [shot[i] for i in kept],
            "shot_starts_s": [0.0, *(seen.t_s[i] for i in range(1, len(shot)) if shot[i] != shot[i - 1])],
        }
        times = json.dumps([told, duration_s]).encode()  # answers name moments, so that the same pictures at other times are others
        return item.done(
            {"frames": hashlib.sha256(b"".join([*jpegs, times])).hexdigest()},
            {
                "n_frames": len(kept),
                **told,
                "width": seen.size[0],
                "height": seen.size[1],
                "method": seen.method,
                "blob": blobs.prefix("frames", item.key, item.version),
            },
        )

    def _seen(self, item: Item, duration_s: float | None) -> _Seen:
        import cv2

        seen = _Seen()
        name = PurePosixPath(item.key).name
        with MediaSource(self.media_uri).open_planned(item) as file:
            decoding = Decoding(file, self.sampling, duration_s, name, exact=False)
            for at_s, rgb in decoding.frames():
                seen.t_s.append(at_s)
                seen.histograms.append(colours(rgb))
                seen.jpegs.append(cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.sampling.jpeg_quality])[1].tobytes())
                seen.size = rgb.shape[1], rgb.shape[0]
            seen.method = decoding.method
        return seen


def _zipped(jpegs: Sequence[bytes]) -> bytes:
    """The frames as 0000.jpg, 0001.jpg, ...; stored, so that one can be read without the others; the same bytes for the same frames."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, jpeg in enumerate(jpegs):
            archive.writestr(zipfile.ZipInfo(f"{number:04d}.jpg"), jpeg)
    return buffer.getvalue()
