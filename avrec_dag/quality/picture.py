"""What one frame measures: sharpness, exposure, contrast, noise, coding blocks, bars; and at a closer look naturalness, detail, bands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.quality import niqe
from avrec_dag.quality.banding import banding
from avrec_dag.quality.detail import Lit, Spectrum, lit_shares, spectrum

Luma = NDArray[np.uint8]
Grid = NDArray[np.float64]

_BLACK_LUMA = 26
"""FFmpeg's blackdetect calls a pixel black at 10 % of the range,"""
_BLACK_SHARE = 0.98
"""and a picture black when 98 % of its pixels are."""
_FROZEN_STEP = 0.25
"""FFmpeg's freezedetect calls two pictures equal at a mean difference of -60 dB, which is 0.25 of 255."""
_WAVER, _LEAST_WAVER, _MOST_WAVER = 0.05, 0.3, 1.0
"""Share of the quantiser's step by which coding moves a still picture from one frame to the next; its bounds in levels of 255, since
what was coded once wavers, however finely it is coded now."""
_SETTLING, _MOST_SETTLING = 0.13, 2.2
"""The same of frames seconds apart, between which all of it may be coded anew; errors of a whole step in every coefficient give 0.33."""
_USUAL_LUMA, _MOST_EVENING = 110.0, 8.0
"""Mean of an ordinary picture, in levels of 255, and how much darker than that light is still evened out."""
_DARKEST, _BRIGHTEST = 2, 253
"""A pixel at or beyond these has lost what was there."""
NOISY = 1.5
"""Standard deviation in levels of 255 above which noise can be told from fine texture, and is taken off what it would pass for."""
_NOISE_STEP = 0.8
"""Steps between neighbours, as a multiple of the noise, that a median of 3 x 3 pixels leaves of it: few are larger."""
_FLAT_STEP = 0.2
"""Mean step between neighbours, in levels of 255, under which a picture shows nothing that could be blurred or blocky."""


@dataclass(frozen=True)
class FrameFacts:
    """What one frame measures.

    Attributes:
        mean: Luma in [0, 1].
        contrast: Standard deviation of luma without that of its noise, in [0, 0.5].
        highlights: Luma that a hundredth of the pixels pass, in [0, 1].
        clipped: Share of the lit pixels that have lost their lights, and a sixth of the share that is wholly black.
        black: Whether the frame is black.
        blur: As `blur`; None in a flat frame.
        noise: As `noise`.
        grid: As `grid`.
        lit: As `lit_shares`.
    """

    mean: float
    contrast: float
    highlights: float
    clipped: float
    black: bool
    blur: float | None
    noise: float
    grid: Grid
    lit: Lit


@dataclass(frozen=True)
class CloserLook:
    """What takes too long to measure in every frame.

    Attributes:
        patches: As `niqe.features`.
        spectrum: As `detail.spectrum`.
        banding: As `banding.banding`.
    """

    patches: niqe.Features
    spectrum: Spectrum | None
    banding: float


def closer_look(luma: Luma) -> CloserLook:
    """Look closely at one frame, uint8 (h, w)."""
    return CloserLook(niqe.features(luma), spectrum(luma), banding(luma))


def facts(luma: Luma) -> FrameFacts:
    """Measure one frame, uint8 (h, w)."""
    counts = np.bincount(luma.ravel(), minlength=256) / luma.size
    levels = np.arange(256) / 255
    mean, grain = float(counts @ levels), noise(luma)
    variance = max(counts @ (levels - mean) ** 2 - (_visible(grain) / 255) ** 2, 0.0)
    return FrameFacts(
        mean=mean,
        contrast=float(np.sqrt(variance)),
        highlights=float(np.searchsorted(np.cumsum(counts), 0.99)) / 255,
        clipped=_clipped(counts),
        black=float(counts[:_BLACK_LUMA].sum()) >= _BLACK_SHARE,
        blur=blur(luma, _visible(grain)),
        noise=grain,
        grid=grid(luma),
        lit=lit_shares(luma),
    )


def _visible(grain: float) -> float:
    return grain if grain > NOISY else 0.0


def _clipped(counts: NDArray[np.float64]) -> float:
    # A night is mostly black and has lost nothing: lights are counted among what is lit, and blacks for less.
    black, burnt = float(counts[: _DARKEST + 1].sum()), float(counts[_BRIGHTEST:].sum())
    return min(burnt / max(1 - black, 0.05) + black / 6, 1.0)


def change(one: Luma, other: Luma) -> float:
    """Mean absolute difference of two frames, uint8 (h, w), in levels of 255; infinite where their sizes differ."""
    import cv2

    return cv2.norm(one, other, cv2.NORM_L1) / one.size if one.shape == other.shape else math.inf


def unchanged(luma: float, grain: float, quantiser: float | None) -> float:
    """The most that two frames of one picture differ by, in levels of 255, as far as noise and coding let one tell.

    Args:
        luma: Their mean, in levels of 255.
        grain: Standard deviation of their noise as `noise` measures it; two frames of it differ by 2 / sqrt(pi) times as much.
        quantiser: Mean step of the encoder's quantiser, which makes a still picture waver by a small part of itself.
    """
    return _FROZEN_STEP / evening(luma) + 1.2 * _visible(grain) + max(waver(quantiser), min(_SETTLING * (quantiser or 0.0), _MOST_SETTLING))


def evening(luma: float) -> float:
    """Factor from a change at this mean luma, in levels of 255, to what it is at the usual one: what moves in the dark moves too."""
    return _USUAL_LUMA / max(luma, _USUAL_LUMA / _MOST_EVENING)


def waver(quantiser: float | None) -> float:
    """Change that coding alone makes from one frame to the next of a picture that stands, at most, in levels of 255."""
    return min(max(_WAVER * (quantiser or 0.0), _LEAST_WAVER), _MOST_WAVER)


def blur(luma: Luma, grain: float = 0.0) -> float | None:
    """Share of the local contrast that survives a 9-pixel blur, in [0, 1].

    Crete et al. 2007, "The blur effect": a picture that is blurred already hardly changes when blurred again. It is
    measured against itself, so it does not depend on what it shows. A median over 3 x 3 pixels comes first, and steps that its noise
    could make are left out, or noise would pass for detail. The blurrier of the two directions counts. None where there is no
    contrast to lose.

    Args:
        luma: uint8 (h, w).
        grain: Standard deviation of its noise, in levels of 255.
    """
    import cv2

    grey = np.asarray(cv2.medianBlur(luma, 3))
    found = []
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        if luma.shape[axis] < 2:
            continue
        noise_step: Any = round(_NOISE_STEP * grain)  # OpenCV's types know no number here
        before = np.asarray(cv2.subtract(_steps(grey, axis), noise_step))
        total = float(before.mean())
        if total > _FLAT_STEP:
            lost = cv2.subtract(before, _steps(np.asarray(cv2.blur(grey, kernel)), axis))
            found.append(1 - float(lost.mean()) / total)
    return max(found, default=None)


def noise(luma: Luma) -> float:
    """Standard deviation of white noise, in levels of 255.

    Immerkaer 1996, "Fast noise variance estimation": a mask that structures do not answer to. The median of its
    answers in place of the mean (Donoho's robust estimate) keeps fine texture from counting as noise. Pixels at either end
    of the range are left out: noise is clipped away there.

    Args:
        luma: uint8 (h, w).
    """
    import cv2

    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    answers = np.abs(cv2.filter2D(luma, cv2.CV_16S, mask))
    answers = answers[1:-1, 1:-1][(luma[1:-1, 1:-1] > _DARKEST) & (luma[1:-1, 1:-1] < _BRIGHTEST)]
    if not answers.size:
        return 0.0
    counts = np.bincount(answers)
    level = int(np.searchsorted(np.cumsum(counts), answers.size / 2))
    # Answers are whole numbers: the place of the median inside its own step keeps the estimate from jumping.
    inside = (answers.size / 2 - counts[:level].sum()) / counts[level]
    return (level - 0.5 + inside) / 0.6745 / 6 if level else 0.0


def grid(luma: Luma) -> Grid:
    """Mean step between neighbours by place modulo 8, float64 (2, 8): downwards, then across; NaN where the frame is too small.

    Args:
        luma: uint8 (h, w).
    """
    found = np.full((2, 8), np.nan)
    for axis in (0, 1):
        profile = _steps(luma, axis).mean(axis=1 - axis) if min(luma.shape) > 1 else np.empty(0)
        whole = len(profile) // 8 * 8
        if whole:
            found[axis] = profile[:whole].reshape(-1, 8).mean(axis=0)
    return found


def blockiness(grids: Sequence[Grid]) -> float | None:
    """How much steeper an item's pictures are across a grid of 8 pixels than elsewhere; 0: not at all, 1: twice as steep.

    After Wang, Sheikh and Bovik 2002, "No-reference perceptual quality assessment of JPEG compressed images". Scaling and
    cropping move the grid, so its place is searched for: the steepest of the eight against the next steepest. Frames are
    averaged first, because chance makes one place steepest in one frame and coding makes it steepest in all. None
    where the pictures are too flat or too small to tell.

    Args:
        grids: As `grid` measures each frame; at least one.
    """
    places = np.sort(np.mean(grids, axis=0), axis=1)
    told = [row for row in places if np.isfinite(row).all() and row.mean() > _FLAT_STEP]
    return float(np.mean([row[-1] / max(row[-2], _FLAT_STEP) - 1 for row in told])) if told else None


def _steps(luma: NDArray[Any], axis: int) -> NDArray[Any]:
    """Absolute differences between neighbours along an axis, uint8."""
    import cv2

    return np.asarray(cv2.absdiff(luma[1:], luma[:-1]) if axis == 0 else cv2.absdiff(luma[:, 1:], luma[:, :-1]))
