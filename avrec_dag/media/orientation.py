"""How a decoded frame is meant to be shown: turned, mirrored and with square pixels."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av


@dataclass(frozen=True, slots=True)
class Orientation:
    """The display matrix of a frame, reduced to what a picture can show exactly.

    Attributes:
        transpose: Rows and columns change places, before the flips.
        flip_rows: Upside down.
        flip_columns: Left becomes right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def rotation_deg(self) -> int:
        """Counter-clockwise turn for display: 0, 90, 180 or 270 (a mirrored frame counts its turn without the mirror)."""
        if self.transpose:
            return 90 if self.flip_rows else 270
        return 180 if self.flip_rows else 0

    def shown(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`picture` (h, w, channels) as a viewer sees it; contiguous."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        return np.ascontiguousarray(picture[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1])


def orientation(frame: "av.VideoFrame") -> Orientation:
    """The orientation that a frame's display matrix (container or EXIF) asks for; upright where there is none."""
    matrix = _display_matrix(frame)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(matrix, "<i4")[:5]
    # FFmpeg maps (x, y) to (a x + c y, b x + d y).
    if abs(int(b)) > abs(int(a)):
        return Orientation(True, flip_rows=bool(b < 0), flip_columns=bool(c < 0))
    return Orientation(False, flip_rows=bool(d < 0), flip_columns=bool(a < 0))


def _display_matrix(frame: "av.VideoFrame") -> bytes | None:
    _tolerate_unnamed_side_data()
    for side in cast("Iterable[Any]", frame.side_data):
        if side.type.name == "DISPLAYMATRIX":
            return bytes(side)
    return None


@lru_cache(maxsize=1)
def _tolerate_unnamed_side_data() -> None:
    """Let PyAV list the side data of pictures with EXIF.

    PyAV 18 has no name for that kind and then refuses the whole list, the display matrix with it; `frame.rotation` alone
    would turn a mirrored picture upside down. Kinds without a name get that of one that nothing here reads.
    """
    from av.sidedata.sidedata import Type

    setattr(Type, "_missing_", classmethod(lambda cls, _value: cls.VIDEO_HINT))  # noqa: B010 - a type checker allows no assignment


def displayed_size(frame: "av.VideoFrame", pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height in square pixels, after rotation.

    Args:
        frame: A decoded frame.
        pixel_aspect: Width of a pixel by its height; values outside [1/8, 8] are taken for a broken header and ignored.
    """
    aspect = float(pixel_aspect or 1)
    width = round(frame.width * aspect) if 0.125 <= aspect <= 8 else frame.width
    return (frame.height, width) if orientation(frame).transpose else (width, frame.height)
