"""False contours where a gradient has too few levels, after CAMBI."""

import numpy as np
from numpy.typing import NDArray

_LINES = 540
_WINDOW_PX = 65
_MASK_PX, _MASK_SHARE = 7, 0.6
_STEPS = (1, 2, 3, 4)
"""Contrast of a band in levels of 255, and its weight."""
_WORST_SHARE = 0.6
"""CAMBI averages over the worst part of a picture, since bands in the sky spoil it whatever the ground is like."""


def banding(luma: NDArray[np.uint8]) -> float:
    """How visible bands are, from 0 to about 24; above 5 they annoy.

    Tandon et al. 2021, "CAMBI: Contrast-aware multiscale banding index" (Netflix), at one of its five scales: in each
    window of 65 pixels, how much of the smooth area has one level and how much the next but one to four, each
    contrast by its weight. Plain areas alone, or steps alone, give nothing.

    Args:
        luma: uint8 (h, w).
    """
    import cv2

    stride = max(1, round(min(luma.shape) / _LINES))
    small = np.ascontiguousarray(luma[::stride, ::stride])
    if min(small.shape) < _WINDOW_PX:
        return 0.0
    smooth = _smooth(small)
    if smooth.mean() < 0.01:
        return 0.0
    here = np.zeros(small.shape, np.float32)
    levels = np.unique(small[smooth])
    size = (_WINDOW_PX, _WINDOW_PX)
    near: dict[int, NDArray[np.float32]] = {}

    def share(level: int) -> NDArray[np.float32]:
        if level not in near:
            near[level] = np.asarray(cv2.boxFilter(((small == level) & smooth).astype(np.float32), -1, size))
        return near[level]

    present = set(levels.tolist())
    for level in levels.tolist():
        for gone in [one for one in near if one < level - max(_STEPS)]:
            del near[gone]
        own = share(level)
        worst = np.zeros(small.shape, np.float32)
        for step in _STEPS:
            for other in (level - step, level + step):
                if other in present:
                    there = share(other)
                    worst = np.maximum(worst, step * own * there / np.maximum(own + there, 1e-6))
        mine = (small == level) & smooth
        here[mine] = worst[mine]
    worst_first = np.sort(here.ravel())[::-1]
    # 24: makes 1 level between halves of a window count 6, near the scale of the published index.
    return float(24 * worst_first[: max(1, int(_WORST_SHARE * worst_first.size))].mean())


def _smooth(luma: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels in whose window most pixels equal their right and lower neighbours."""
    import cv2

    level = np.zeros(luma.shape, np.float32)
    level[:-1, :-1] = (luma[:-1, :-1] == luma[:-1, 1:]) & (luma[:-1, :-1] == luma[1:, :-1])
    return np.asarray(cv2.boxFilter(level, -1, (_MASK_PX, _MASK_PX))) > _MASK_SHARE
