"""What is remembered of a frame so that a copy of it is known again: keypoints that survive crops and watermarks, and a small picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import Picture

SIDE_PX = 320
"""Long side at which keypoints are looked for: what an upload at half the size still shows."""
KEYPOINTS = 120
SMALL_PX = 80
"""Long side of the small picture, in which aligned frames are compared block by block."""
_LEAST_CONTRAST = 0.02


@dataclass(frozen=True)
class PicturePrint:
    """One frame.

    Attributes:
        xy: float32 (k, 2), k <= `KEYPOINTS`: places of keypoints in units of the frame's long side.
        descriptors: uint8 (k, 128): SIFT.
        small: RGB uint8 (h, w, 3), long side `SMALL_PX`.
    """

    xy: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    small: Picture


def picture_print(picture: Picture) -> PicturePrint:
    """SIFT keypoints (Lowe, IJCV 2004), the strongest first, and the frame made small.

    Args:
        picture: RGB uint8 (h, w, 3).
    """
    import cv2

    scaled = _fitted(picture, SIDE_PX)
    grey = cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT_create(nfeatures=KEYPOINTS, contrastThreshold=_LEAST_CONTRAST)  # type: ignore[attr-defined]
    points, descriptors = detector.detectAndCompute(grey, None)
    xy = np.array([point.pt for point in points], np.float32).reshape(-1, 2)[:KEYPOINTS] / np.float32(SIDE_PX)
    found = np.zeros((0, 128), np.uint8) if descriptors is None else np.asarray(descriptors)[:KEYPOINTS].round().astype(np.uint8)
    return PicturePrint(xy, found, _fitted(scaled, SMALL_PX))


def mirrored(one: PicturePrint) -> PicturePrint:
    """The print of the same frame seen in a mirror (left and right exchanged), without looking at the frame.

    A mirror exchanges the rows of SIFT's 4 x 4 cells and turns its 8 directions the other way round (MIFT: Guo et al., 2010).
    """
    height, width = one.small.shape[:2]
    cells = one.descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., (-np.arange(8)) % 8]
    xy = one.xy * np.array([-1, 1], np.float32) + np.array([width / max(height, width), 0], np.float32)
    return PicturePrint(xy, np.ascontiguousarray(cells).reshape(-1, 128), np.ascontiguousarray(one.small[:, ::-1]))


def _fitted(picture: Picture, long_side_px: int) -> Picture:
    import cv2

    height, width = picture.shape[:2]
    scale = long_side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
