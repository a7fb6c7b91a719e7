"""Whether two frames show the same picture: keypoints give the alignment, the pictures laid over one another give the verdict."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.duplicates.picture_print import SIDE_PX, SMALL_PX, PicturePrint

LEAST_INLIERS = 6
_RATIO = 0.85
_INLIER_PX = 4.0
_SCALES = (1 / 1.8, 1.8)
"""How much larger one frame may show the picture: a crop to 80 % shows it 1.25 times larger; with room for a moving camera."""
_BLOCK = 8
_LEAST_SHARED = 0.4
_FLAT = 3.0
_COLOUR_FREE, _COLOUR_WIDTH = 14.0, 25.0
Moved = NDArray[np.float64]
"""(2, 3): takes places of one frame to places of the other, both in units of the long side."""


@dataclass(frozen=True)
class PictureMatch:
    """How two frames compare.

    Attributes:
        agreement: 0 to 1: correlation of brightness, block by block, where the aligned frames overlap.
        n_inliers: Keypoints that one shift, turn and scaling explains; 0 where the alignment is a guess.
        scale: How much larger the second frame shows the picture.
        shared: Share of the smaller frame's area that the other shows too.
    """

    agreement: float = 0.0
    n_inliers: int = 0
    scale: float = 1.0
    shared: float = 0.0


def compare(a: PicturePrint, b: PicturePrint) -> PictureMatch:
    """The best alignment found of two frames, and how well they agree under it; no agreement where there is none."""
    best = PictureMatch()
    for moved, n_inliers in _alignments(a, b):
        agreement, shared = laid_over(a, b, moved)
        if agreement > best.agreement and shared >= _LEAST_SHARED:
            best = PictureMatch(agreement, n_inliers, float(np.hypot(moved[0, 0], moved[1, 0])), shared)
    return best


def _alignments(a: PicturePrint, b: PicturePrint) -> list[tuple[Moved, int]]:
    found = aligned(a, b)
    return [(np.eye(2, 3), 0), *([found] if found else [])]


def aligned(a: PicturePrint, b: PicturePrint) -> tuple[Moved, int] | None:
    """Shift, turn and scaling on which most keypoints agree (RANSAC; Fischler and Bolles, 1981), and how many do; None without one."""
    import cv2

    first, second = _matched(a.descriptors, b.descriptors)
    if len(first) < LEAST_INLIERS:
        return None
    limit = _INLIER_PX / SIDE_PX
    # OpenCV seeds this RANSAC itself, equally for every call.
    moved, inliers = cv2.estimateAffinePartial2D(a.xy[first], b.xy[second], method=cv2.RANSAC, ransacReprojThreshold=limit, maxIters=1000)
    n = 0 if moved is None else int(inliers.sum())
    if moved is None or n < LEAST_INLIERS or not _SCALES[0] <= np.hypot(moved[0, 0], moved[1, 0]) <= _SCALES[1]:
        return None
    return np.asarray(moved, np.float64), n


def _matched(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that are each other's nearest, clearly nearer than the second nearest (Lowe's ratio)."""
    if len(a) < 2 or len(b) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    x, y = a.astype(np.float32), b.astype(np.float32)
    squared = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T
    nearest = squared.argmin(1)
    two = np.partition(squared, 1, axis=1)[:, :2]
    rows = np.arange(len(a))
    good = (two[:, 0] < _RATIO**2 * two[:, 1]) & (squared.argmin(0)[nearest] == rows)
    return rows[good], nearest[good]


def laid_over(a: PicturePrint, b: PicturePrint, moved: Moved) -> tuple[float, float]:
    """Agreement in [0, 1] of the first small picture, moved, with the second; and the share of the smaller one that overlaps."""
    import cv2

    height, width = b.small.shape[:2]
    shift = moved.copy()
    shift[:, 2] *= SMALL_PX
    over = cv2.warpAffine(a.small, shift, (width, height), flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones(a.small.shape[:2], np.float32), shift, (width, height), flags=cv2.INTER_LINEAR) > 0.99
    scale = float(np.hypot(moved[0, 0], moved[1, 0]))
    shared = float(inside.sum() / max(1.0, min(inside.size, a.small.shape[0] * a.small.shape[1] * scale**2)))
    return _agreement(over.astype(np.float32), b.small.astype(np.float32), inside), shared


def _agreement(a: NDArray[np.float32], b: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    grey_a, grey_b = a @ np.array([0.299, 0.587, 0.114], np.float32), b @ np.array([0.299, 0.587, 0.114], np.float32)
    blocks = _blocks(inside.astype(np.float32)).mean(1) > 0.9
    if not blocks.any():
        return 0.0
    x, y = _blocks(grey_a)[blocks], _blocks(grey_b)[blocks]
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    # Each block weighs as much as there is to see in it; what is flat in both says nothing, what is flat in one disagrees.
    weight = np.maximum(x.std(1), y.std(1))
    weight[weight < _FLAT] = 0
    if weight.sum() < _FLAT * 0.1 * len(weight):
        return 0.0
    correlation = (x * y).mean(1) / (np.maximum(x.std(1) * y.std(1), _FLAT**2 / 4))
    return float((weight * correlation.clip(0, 1)).sum() / weight.sum()) * _colour(a, b, inside)


def _colour(a: NDArray[np.float32], b: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """1 where the colours differ as little as cameras and encoders make them differ, less the further they are apart."""
    x, y = a[inside], b[inside]
    apart = np.abs(np.diff(x, axis=1) - np.diff(y, axis=1)).mean()
    return float(np.exp(-max(0.0, float(apart) - _COLOUR_FREE) / _COLOUR_WIDTH))


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_blocks, 64): the plane cut into squares; what is left at the right and below is dropped."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, _BLOCK * _BLOCK)
