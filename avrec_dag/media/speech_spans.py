"""Where somebody speaks in a sound that comes in blocks, cut at silences, so that a film of hours needs no more memory than a clip."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from avrec_dag.media.audio import Waveform

Detect = Callable[[Waveform], list[tuple[float, float]]]
"""16 kHz mono samples -> where somebody speaks, seconds, ascending."""

SAMPLE_RATE_HZ = 16000
WINDOW_S = 20.0
"""Sound looked at together; a stretch of speech without a pause is cut here, or up to a second later."""
PACK_S = 28.0
"""Speech transcribed together: Whisper listens to 30 seconds at a time, however few of them are filled."""
PAD_S = 0.2
"""Kept before and after speech: detectors begin late in soft consonants."""
_JOIN_S = 0.6
_OPEN_S = 0.3
_SEARCH_S, _STEP_S = 3.0, 0.05


@dataclass(frozen=True)
class Piece:
    """A stretch of speech.

    Attributes:
        start_s: When it begins in the sound.
        samples: 16 kHz mono.
    """

    start_s: float
    samples: Waveform

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE_HZ


def pieces(blocks: Iterable[Waveform], detect: Detect) -> Iterator[Piece]:
    """The stretches of speech in a sound, ascending, apart from each other, none longer than a window and a second.

    Holds one window and one block.

    Args:
        blocks: 16 kHz mono, of any length.
        detect: Finds speech in one window.
    """
    held, start_n = np.zeros(0, np.float32), 0
    seconds = (block[at : at + SAMPLE_RATE_HZ] for block in blocks for at in range(0, len(block), SAMPLE_RATE_HZ))
    for second in seconds:
        held = np.concatenate([held, second])
        if len(held) >= WINDOW_S * SAMPLE_RATE_HZ:
            found, used = _speech(held, detect, final=False)
            yield from (Piece((start_n + a) / SAMPLE_RATE_HZ, held[a:b].copy()) for a, b in found)
            held, start_n = held[used:], start_n + used
    found, _ = _speech(held, detect, final=True)
    yield from (Piece((start_n + a) / SAMPLE_RATE_HZ, held[a:b].copy()) for a, b in found)


def _speech(held: Waveform, detect: Detect, *, final: bool) -> tuple[list[tuple[int, int]], int]:
    """Stretches of speech as sample numbers, and how many samples are done with: what may go on in the next window is left for it."""
    if len(held) < SAMPLE_RATE_HZ // 10:
        return [], 0
    spans = _joined([(int(a * SAMPLE_RATE_HZ), int(b * SAMPLE_RATE_HZ)) for a, b in detect(held)])
    end, pad = len(held), int(PAD_S * SAMPLE_RATE_HZ)
    if not final:
        end = max(0, len(held) - pad)
        if spans and spans[-1][1] > len(held) - int(_OPEN_S * SAMPLE_RATE_HZ):
            end = spans[-1][0] - pad if spans[-1][0] > pad + SAMPLE_RATE_HZ else _quietest(held)
    kept = [(max(0, a - pad), min(end, b + pad)) for a, b in spans if a < end]
    return [(a, b) for a, b in _joined(kept, 0) if b > a], end


def _joined(spans: list[tuple[int, int]], gap: int = int(_JOIN_S * SAMPLE_RATE_HZ)) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _quietest(held: Waveform) -> int:
    """Where to cut speech that does not pause: the quietest twentieth of a second of the last three."""
    step = int(_STEP_S * SAMPLE_RATE_HZ)
    tail = held[-int(_SEARCH_S * SAMPLE_RATE_HZ) :]
    power = np.square(tail[: len(tail) // step * step].reshape(-1, step)).mean(axis=1)
    return len(held) - len(tail) + int(np.argmin(power)) * step + step // 2


@dataclass(frozen=True)
class Pack:
    """Pieces of speech side by side, at most `PACK_S` of them together (or one longer piece).

    Attributes:
        pieces: In order.
    """

    pieces: tuple[Piece, ...]

    @property
    def samples(self) -> Waveform:
        """All of them, one after the other."""
        return np.concatenate([piece.samples for piece in self.pieces])

    def place(self, at_s: float) -> tuple[int, float]:
        """The piece in which a second of `samples` lies, and that second in the sound itself."""
        passed_s = 0.0
        for number, piece in enumerate(self.pieces):
            if at_s < passed_s + piece.duration_s or number == len(self.pieces) - 1:
                return number, piece.start_s + min(max(0.0, at_s - passed_s), piece.duration_s)
            passed_s += piece.duration_s
        raise AssertionError("a pack has at least one piece")


def packs(found: Iterable[Piece]) -> Iterator[Pack]:
    """Pieces put together as far as they fit: the fewer packs, the less there is to compute."""
    held: list[Piece] = []
    for piece in found:
        if held and sum(one.duration_s for one in held) + piece.duration_s > PACK_S:
            yield Pack(tuple(held))
            held = []
        held.append(piece)
    if held:
        yield Pack(tuple(held))
