"""Moving pictures of eight kinds, drawn with numpy alone: a seed decides colours, size, speed, place and noise."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Painter = Callable[[float], Picture]
"""Time in seconds -> RGB uint8 (height, width, 3)."""

_Plane = NDArray[np.float32]
_Pattern = Callable[[float], _Plane]


def painter(kind: str, seed: int, size: tuple[int, int]) -> Painter:
    """A function that draws the picture of `kind` at any moment.

    Args:
        kind: One of `PATTERNS`.
        seed: Decides everything that varies between two clips of one kind.
        size: Width and height in pixels.
    """
    rng = np.random.default_rng([seed, sorted(PATTERNS).index(kind), 1])
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pattern = PATTERNS[kind](rng, (x - width / 2) / height, (y - height / 2) / height)
    dark, light = _colours(rng)
    noise = rng.normal(0, rng.uniform(2, 10), (4, height, width, 1)).astype(np.float32)
    drift = rng.uniform(-0.5, 0.5)

    def paint(t_s: float) -> Picture:
        mix = pattern(t_s)[..., None]
        picture = dark + (light - dark) * mix + noise[int(t_s * 25) % len(noise)] + 8 * np.float32(np.sin(drift * t_s))
        return np.clip(picture, 0, 255).astype(np.uint8)

    return paint


def _colours(rng: np.random.Generator) -> tuple[_Plane, _Plane]:
    dark = rng.uniform(0, 110, 3).astype(np.float32)
    light = rng.uniform(145, 255, 3).astype(np.float32)
    return dark, light


def _turned(rng: np.random.Generator, x: _Plane, y: _Plane) -> tuple[_Plane, _Plane]:
    angle = rng.uniform(0, np.pi)
    return (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32), (y * np.cos(angle) - x * np.sin(angle)).astype(np.float32)


def _stripes(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    along, _ = _turned(rng, x, y)
    count, speed = rng.uniform(5, 14), rng.uniform(0.3, 2) * rng.choice([-1, 1])
    return lambda t: ((along * count + speed * t) % 1 < 0.5).astype(np.float32)


def _dots(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    n = int(rng.integers(5, 14))
    place, speed = rng.uniform(-0.9, 0.9, (n, 2)), rng.uniform(-0.4, 0.4, (n, 2))
    radius = rng.uniform(0.04, 0.12, n).astype(np.float32)

    def pattern(t: float) -> _Plane:
        out = np.zeros_like(x)
        for (px, py), (vx, vy), r in zip(place, speed, radius, strict=True):
            cx, cy = _bounced(px + vx * t, 0.85), _bounced(py + vy * t, 0.45)
            out[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = 1
        return out

    return pattern


def _bounced(value: float, limit: float) -> np.float32:
    """`value` reflected at plus and minus `limit`, so that what moves stays in the picture."""
    return np.float32(limit - abs((value + limit) % (4 * limit) - 2 * limit))


def _checkers(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    across, down = _turned(rng, x, y)
    count, speed = rng.uniform(2.5, 7), rng.uniform(0.2, 1.2)
    return lambda t: ((np.floor(across * count + speed * t) + np.floor(down * count)) % 2).astype(np.float32)


def _waves(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    tall, long, speed = rng.uniform(0.03, 0.1), rng.uniform(3, 9), rng.uniform(1, 5)
    layers = int(rng.integers(3, 6))

    def pattern(t: float) -> _Plane:
        out = np.zeros_like(x)
        for layer in range(layers):
            crest = -0.35 + 0.8 * layer / layers + tall * np.sin(x * long * (1 + 0.3 * layer) + speed * t + 2 * layer)
            out = np.where(y > crest, np.float32((layer + 1) / layers), out)
        return out

    return pattern


def _rings(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    cx, cy = rng.uniform(-0.4, 0.4), rng.uniform(-0.25, 0.25)
    radius = np.hypot(x - np.float32(cx), y - np.float32(cy))
    count, speed = rng.uniform(4, 10), rng.uniform(0.5, 2.5) * rng.choice([-1, 1])
    return lambda t: (0.5 + 0.5 * np.sin(2 * np.pi * (radius * count - speed * t))).astype(np.float32)


def _bars(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    n = int(rng.integers(6, 16))
    rate, phase = rng.uniform(0.8, 2.5, n), rng.uniform(0, 2 * np.pi, n)
    column = np.clip(((x - x.min()) / (x.max() - x.min() + 1e-6) * n).astype(int), 0, n - 1)
    gap = ((x - x.min()) / (x.max() - x.min() + 1e-6) * n) % 1 < 0.75

    def pattern(t: float) -> _Plane:
        level = 0.1 + 0.8 * np.abs(np.sin(rate * np.pi * t + phase))
        return ((0.5 - y < level[column]) & gap).astype(np.float32)

    return pattern


def _snow(rng: np.random.Generator, x: _Plane, _y: _Plane) -> _Pattern:
    grain, share = int(rng.integers(1, 4)), rng.uniform(0.25, 0.6)
    seed = int(rng.integers(2**32))
    height, width = x.shape

    def pattern(t: float) -> _Plane:
        moment = np.random.default_rng([seed, round(t * 1000)])
        coarse = (moment.random((-(-height // grain), -(-width // grain)), dtype=np.float32) < share).astype(np.float32)
        return coarse.repeat(grain, 0).repeat(grain, 1)[:height, :width]

    return pattern


def _face(rng: np.random.Generator, x: _Plane, y: _Plane) -> _Pattern:
    size, sway, talk = rng.uniform(0.26, 0.38), rng.uniform(0.05, 0.2), rng.uniform(2, 5)

    def pattern(t: float) -> _Plane:
        u = (x - np.float32(sway * np.sin(1.7 * t))) / np.float32(size)
        v = y / np.float32(size)
        out = (u**2 + v**2 < 1).astype(np.float32)
        for side in (-0.35, 0.35):
            out[(u - side) ** 2 + (v + 0.3) ** 2 < 0.02] = 0
        mouth = 0.05 + 0.2 * abs(np.sin(talk * np.pi * t))
        out[(u / 0.45) ** 2 + ((v - 0.45) / mouth) ** 2 < 1] = 0.15
        return out

    return pattern


PATTERNS: dict[str, Callable[[np.random.Generator, _Plane, _Plane], _Pattern]] = {
    "stripes": _stripes,
    "dots": _dots,
    "checkers": _checkers,
    "waves": _waves,
    "rings": _rings,
    "bars": _bars,
    "snow": _snow,
    "face": _face,
}
"""Kind -> its pattern: a plane in [0, 1], which the painter turns into two colours and noise."""
