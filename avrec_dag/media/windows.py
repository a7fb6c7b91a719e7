"""Pieces of a sound's waveform, evenly spread, for models that do not listen to spectrograms of ours."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from avrec_dag.media.audio import Waveform, decode_mono

MOST_WINDOWS = 64
"""Of a longer sound (above ten minutes at ten seconds each) so many are heard: a film takes bounded time and memory."""


def windows(file: BinaryIO, name: str, sample_rate_hz: int, window_s: float, duration_s: float) -> Iterator[Waveform]:
    """Windows of a sound one after the other; a last one of full length covers what is left at the end.

    Args:
        file: Seekable binary file.
        name: What messages call it.
        sample_rate_hz: The rate of the waveforms.
        window_s: Length of a window.
        duration_s: Of the sound, as measured when it was decoded before; it decides where windows begin.

    Yields:
        float32 (n,) in [-1, 1], mono, n the window's length; of a shorter sound one shorter window. At least one, at most
        `MOST_WINDOWS`; memory holds one window and one block of decoding.

    Raises:
        MediaError: Not one sample can be decoded.
    """
    size = round(window_s * sample_rate_hz)
    yield from _cut(decode_mono(file, sample_rate_hz, PurePosixPath(name).name), starts(round(duration_s * sample_rate_hz), size), size)


def starts(n_samples: int, size: int) -> Sequence[int]:
    """Where windows of `size` samples begin in a sound of `n_samples`; ascending, at most `MOST_WINDOWS`."""
    if n_samples <= size:
        return [0]
    found = np.append(np.arange(0, n_samples - size, size), n_samples - size)
    if len(found) > MOST_WINDOWS:
        found = found[np.linspace(0, len(found) - 1, MOST_WINDOWS).round().astype(int)]
    return [int(start) for start in found]


def _cut(blocks: Iterator[Waveform], begin: Sequence[int], size: int) -> Iterator[Waveform]:
    held, held_from, place = np.zeros(0, np.float32), 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        while place < len(begin) and held_from + len(held) >= begin[place] + size:
            start = begin[place] - held_from
            yield held[start : start + size].copy()
            place += 1
        # What lies before the next window is not needed again.
        drop = min(len(held), (begin[place] if place < len(begin) else held_from + len(held)) - held_from)
        held, held_from = held[drop:], held_from + drop
    if place < len(begin) and (len(held) or place == 0):  # the decoder gave fewer samples than were counted before
        start = max(0, begin[place] - held_from)
        yield held[start:] if len(held) > start else np.zeros(size, np.float32)
