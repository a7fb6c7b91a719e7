"""Sounds of eight kinds that go with the pictures, made with numpy alone: a seed decides pitch, pace, loudness and noise."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Sound = NDArray[np.float32]
"""Mono samples in [-1, 1]."""

_Times = NDArray[np.float64]


def sound(kind: str, seed: int, duration_s: float, sample_rate_hz: int) -> Sound:
    """The sound of `kind`: float32 (duration_s * sample_rate_hz,), peak between 0.2 and 0.8.

    Args:
        kind: One of `VOICES`.
        seed: Decides everything that varies between two clips of one kind.
        duration_s: Length in seconds.
        sample_rate_hz: Samples per second.
    """
    rng = np.random.default_rng([seed, sorted(VOICES).index(kind), 2])
    t = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    wave = VOICES[kind](rng, t)
    wave = wave / max(float(np.abs(wave).max(initial=0)), 1e-9) * rng.uniform(0.2, 0.75)
    return np.clip(wave + rng.normal(0, rng.uniform(0.001, 0.01), len(t)), -0.99, 0.99).astype(np.float32)


def _pitch(rng: np.random.Generator, low_hz: float, high_hz: float) -> float:
    return float(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz))))


def _sawtooth(rng: np.random.Generator, t: _Times) -> _Times:
    return 2 * ((_pitch(rng, 90, 400) * t) % 1) - 1


def _clicks(rng: np.random.Generator, t: _Times) -> _Times:
    since = t % (1 / rng.uniform(4, 12))
    return np.exp(-since * rng.uniform(300, 900)) * np.sin(2 * np.pi * _pitch(rng, 1500, 5000) * since)


def _square(rng: np.random.Generator, t: _Times) -> _Times:
    notes = _pitch(rng, 200, 600) * 2 ** (rng.integers(0, 12, 64) / 12)
    step = np.minimum((t * rng.uniform(2, 6)).astype(int), 63)
    return np.sign(np.sin(2 * np.pi * notes[step] * t))


def _wind(rng: np.random.Generator, t: _Times) -> _Times:
    slow = np.asarray(lfilter([1], [1, -rng.uniform(0.95, 0.985)], rng.normal(size=len(t))))
    return slow * (0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.15, 0.6) * t + rng.uniform(0, 6)))


def _sweep(rng: np.random.Generator, t: _Times) -> _Times:
    low, octaves, period = _pitch(rng, 150, 500), rng.uniform(1.5, 4), rng.uniform(0.5, 2)
    within = t % period
    return np.sin(2 * np.pi * low * period / (octaves * np.log(2)) * (2 ** (octaves * within / period) - 1))


def _drums(rng: np.random.Generator, t: _Times) -> _Times:
    beat = 1 / rng.uniform(1.5, 3)
    low, off = t % beat, (t + beat / 2) % beat
    kick = np.exp(-low * 18) * np.sin(2 * np.pi * (50 + 90 * np.exp(-low * 35)) * low)
    return kick + 0.5 * np.exp(-off * rng.uniform(20, 45)) * rng.normal(size=len(t))


def _hiss(rng: np.random.Generator, t: _Times) -> _Times:
    return np.asarray(lfilter([1, -rng.uniform(0, 0.4)], [1], rng.normal(size=len(t))))


def _vowels(rng: np.random.Generator, t: _Times) -> _Times:
    f0 = _pitch(rng, 95, 240)
    phase = 2 * np.pi * np.cumsum(f0 * (1 + 0.04 * np.sin(2 * np.pi * 5 * t))) / max(1.0, 1 / (t[1] - t[0]) if len(t) > 1 else 1.0)
    formants = np.array([[730, 1090], [270, 2290], [300, 870], [530, 1840]])[rng.permutation(4)]
    syllable = t * rng.uniform(2.5, 5)
    out = np.zeros_like(t)
    for which, (first, second) in enumerate(formants):
        wave = np.zeros_like(t)
        for harmonic in range(1, int(3000 / f0)):
            strength = np.exp(-(((harmonic * f0 - first) / 120) ** 2)) + 0.5 * np.exp(-(((harmonic * f0 - second) / 160) ** 2))
            if strength > 1e-3:
                wave += strength * np.sin(harmonic * phase)
        out += wave * (syllable.astype(int) % 4 == which)
    return out * np.clip(np.sin(np.pi * (syllable % 1)) * 1.5, 0, 1)


VOICES: dict[str, Callable[[np.random.Generator, _Times], _Times]] = {
    "stripes": _sawtooth,
    "dots": _clicks,
    "checkers": _square,
    "waves": _wind,
    "rings": _sweep,
    "bars": _drums,
    "snow": _hiss,
    "face": _vowels,
}
"""Kind -> its sound."""
