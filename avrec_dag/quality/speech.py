"""How good the speech in a sound is, by listening to a few windows of it in which somebody speaks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO

import numpy as np

from avrec_dag.encoders import events
from avrec_dag.encoders.packaged import dnsmos
from avrec_dag.media.audio import Waveform, decode_mono
from avrec_dag.media.speech_spans import Detect

MOST_WINDOWS = 6
"""Judged of one item, from all over it: 54 s of sound, about 1.5 s of a core."""
LEAST_SHARE, LEAST_S = 0.3, 3.0
"""Of an item, and of a window: where less is spoken, or for a shorter time, speech is not what it is about."""
MOST_MUSIC = 0.3
"""The model takes music for noise, which it is not where somebody put it under the speech."""

Judge = Callable[[Waveform], dnsmos.Opinion]


def worth_judging(sound: Mapping[str, object]) -> bool:
    """Whether an item's columns of audio_spectrograms say that somebody speaks in it, and nothing plays meanwhile."""
    shares = [sound.get(name) for name in ("speech_share", "music_share", "duration_s")]
    speech, music, duration_s = (float(one) if isinstance(one, int | float) and np.isfinite(one) else 0.0 for one in shares)
    return speech >= LEAST_SHARE and speech * duration_s >= LEAST_S and music <= MOST_MUSIC


def speech_mos(
    file: BinaryIO, duration_s: float, name: str = "upload", judge: Judge = dnsmos.opinion, detect: Detect = events.speech
) -> float | None:
    """Mean opinion score of the speech in a file, about 1 to 5: the mean over its windows; None where none of them holds enough.

    One pass over the sound, which ends with the last window wanted; holds two windows and one block.

    Args:
        file: Seekable binary file.
        duration_s: How long the sound is.
        name: What messages call it.
        judge: What listeners would say of one window.
        detect: Finds speech in one window.

    Raises:
        MediaError: Not one sample can be decoded.
    """
    found = [judge(window).mos for window in spoken(windows(decode_mono(file, dnsmos.SAMPLE_RATE_HZ, name)), duration_s, detect)]
    return float(np.mean(found)) if found else None


def spoken(found: Iterable[tuple[float, Waveform]], duration_s: float, detect: Detect) -> Iterator[Waveform]:
    """Of each of `MOST_WINDOWS` equal parts of a sound, the first window that begins in it and holds enough speech."""
    part_s, wanted = max(duration_s, 1e-3) / MOST_WINDOWS, 0
    for start_s, window in found:
        part = min(int(start_s / part_s), MOST_WINDOWS - 1)
        if part < wanted:
            continue
        spoken_s = sum(end - start for start, end in detect(window))
        if spoken_s >= max(LEAST_S, LEAST_SHARE * len(window) / dnsmos.SAMPLE_RATE_HZ):
            yield window
            wanted = part + 1
            if wanted == MOST_WINDOWS:
                return


def windows(blocks: Iterable[Waveform]) -> Iterator[tuple[float, Waveform]]:
    """A sound in windows of 9.01 s side by side, each with its second; the last one reaches back from the end, a short sound is one.

    Args:
        blocks: 16 kHz mono, of any length.
    """
    before, held, start_n = np.zeros(0, np.float32), np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= dnsmos.WINDOW:
            before, held = held[: dnsmos.WINDOW], held[dnsmos.WINDOW :]
            yield start_n / dnsmos.SAMPLE_RATE_HZ, before
            start_n += dnsmos.WINDOW
    if len(held):
        last = np.concatenate([before[len(held) :], held])
        yield (start_n + len(held) - len(last)) / dnsmos.SAMPLE_RATE_HZ, last
