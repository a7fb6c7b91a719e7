"""Small pictures for the report, as data addresses: the file needs no other file and no network."""

import base64
import io
import zipfile
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from avrec_dag.storage import Blobs

THUMBNAIL_PX = (320, 180)
RIBBON_PX = (320, 36)


class Pictures:
    """Pictures of a store's items; what is asked for twice is read once.

    Args:
        blobs: The store's blobs.
    """

    def __init__(self, blobs: "Blobs") -> None:
        self._blobs = blobs
        self.thumbnail = cache(self._thumbnail)
        self.ribbon = cache(self._ribbon)

    def whole(self, path: str | None) -> str:
        """A stored PNG as it is; empty without one."""
        return _address(self._blobs.get(path), "image/png") if path and self._blobs.exists(path) else ""

    def _thumbnail(self, prefix: str) -> str:
        """The still of an item; empty without frames."""
        picture = still(self._blobs, prefix)
        return _address(picture, "image/jpeg") if picture else ""

    def _ribbon(self, prefix: str) -> str:
        """The spectrogram of an item as a narrow ribbon, time from left to right."""
        import numpy as np
        from PIL import Image

        with self._blobs.open(f"{prefix}/log_mel.npy") as file:
            level = np.load(file, allow_pickle=False)
        if not len(level):
            return ""
        picked = level[np.linspace(0, len(level) - 1, RIBBON_PX[0]).astype(int)].astype(np.float32)
        # Fixed limits: two ribbons side by side are as loud as they look.
        shade = np.clip((picked.T[::-1] + 60) / 90, 0, 1)
        colours = np.array([[16, 20, 32], [38, 54, 92], [28, 122, 124], [226, 160, 66], [255, 243, 214]], np.float32)
        place = shade * (len(colours) - 1)
        low = np.minimum(place.astype(int), len(colours) - 2)
        mixed = colours[low] + (colours[low + 1] - colours[low]) * (place - low)[..., None]
        return _address(_jpeg(Image.fromarray(mixed.astype(np.uint8)).resize(RIBBON_PX), 70), "image/jpeg")


def still(blobs: "Blobs", prefix: str) -> bytes | None:
    """The middle frame of an item as a small JPEG, cropped to 16:9; None without frames.

    Args:
        blobs: The store's blobs.
        prefix: `blob` of the item's row of frames.
    """
    from PIL import Image, ImageOps

    with blobs.open(f"{prefix}/frames.zip") as file, zipfile.ZipFile(file) as archive:
        names = sorted(archive.namelist())
        if not names:
            return None
        with Image.open(io.BytesIO(archive.read(names[len(names) // 2]))) as frame:
            return _jpeg(ImageOps.fit(frame.convert("RGB"), THUMBNAIL_PX), 72)


def _jpeg(picture: "Image.Image", quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
