"""Stretches of speech are found the same however a sound comes in, and no sound is too long."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.media import speech_spans
from avrec_dag.media.speech_spans import PACK_S, PAD_S, WINDOW_S, Pack, Piece, packs, pieces

RATE = 16000


def loud(samples: np.ndarray) -> list[tuple[float, float]]:
    """A detector that takes whatever is not silent for speech."""
    on = np.concatenate([[False], np.abs(samples) > 0.1, [False]])
    edges = np.flatnonzero(np.diff(on.astype(np.int8)))
    return [(start / RATE, end / RATE) for start, end in edges.reshape(-1, 2).tolist()]


def sound(spans: list[tuple[float, float]], length_s: float) -> np.ndarray:
    samples = np.zeros(int(length_s * RATE), np.float32)
    for start, end in spans:
        samples[int(start * RATE) : int(end * RATE)] = 0.5
    return samples


def cut(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    ends = list(itertools.takewhile(lambda end: end < len(samples), itertools.accumulate(itertools.cycle(sizes))))
    return np.split(samples, ends)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0.05, 12), st.floats(0.3, 60)), min_size=1, max_size=6), st.lists(st.integers(4000, 99_000), min_size=1)
)
def test_everything_said_is_in_a_piece_at_its_time_and_no_piece_is_long(drawn, sizes):
    spans, at_s = [], 0.0
    for pause_s, spoken_s in drawn:
        spans.append((at_s + pause_s, at_s + pause_s + spoken_s))
        at_s += pause_s + spoken_s
    whole = sound(spans, at_s + 1)
    found = list(pieces(cut(whole, sizes), loud))
    covered = np.zeros(len(whole), bool)
    for piece in found:
        start = round(piece.start_s * RATE)
        np.testing.assert_array_equal(piece.samples, whole[start : start + len(piece.samples)])
        assert not covered[start : start + len(piece.samples)].any()
        covered[start : start + len(piece.samples)] = True
        assert len(piece.samples) <= (WINDOW_S + 1) * RATE
    assert (np.abs(whole) > 0.1)[~covered].sum() == 0
    allowed = sum(end - start for start, end in spans) + len(found) * 2 * (PAD_S + speech_spans._JOIN_S) + 1
    assert covered.sum() / RATE <= allowed
    assert [one.start_s for one in found] == sorted(one.start_s for one in found)


def test_silence_and_no_sound_at_all_give_nothing():
    assert list(pieces([], loud)) == []
    assert list(pieces([np.zeros(0, np.float32), np.zeros(10, np.float32)], loud)) == []
    assert list(pieces([np.zeros(RATE * 50, np.float32)] * 2, loud)) == []


def test_speech_without_a_pause_is_cut_where_it_is_quietest():
    samples = sound([(0, 22)], 22)
    samples[int(18.5 * RATE) : int(18.6 * RATE)] = 0.2
    first = next(pieces([samples, samples], loud))
    assert 18.5 <= first.start_s + first.duration_s <= 18.6


def test_two_hours_are_held_a_window_at_a_time():
    minute = sound([(5, 12), (30, 58)], 60)
    tracemalloc.start()
    n = sum(1 for _ in pieces((minute[i : i + 80_000] for _ in range(120) for i in range(0, len(minute), 80_000)), loud))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n >= 240
    assert peak < 20e6


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 40)), max_size=12), st.data())
def test_packs_hold_every_piece_once_and_know_where_each_second_was(drawn, data):
    at_s, given_pieces = 0.0, []
    for pause_s, length_s in drawn:
        given_pieces.append(Piece(at_s + pause_s, np.zeros(int(length_s * RATE), np.float32)))
        at_s += pause_s + length_s
    made = list(packs(given_pieces))
    assert [piece for pack in made for piece in pack.pieces] == given_pieces
    for pack in made:
        assert len(pack.pieces) == 1 or sum(piece.duration_s for piece in pack.pieces) <= PACK_S
        number = data.draw(st.integers(0, len(pack.pieces) - 1))
        inside_s = data.draw(st.floats(0.001, max(0.001, pack.pieces[number].duration_s - 0.001)))
        before_s = sum(piece.duration_s for piece in pack.pieces[:number])
        assert pack.place(before_s + inside_s) == (number, pytest.approx(pack.pieces[number].start_s + inside_s, abs=2e-3))


def test_a_second_after_the_end_is_the_end():
    pack = Pack((Piece(10, np.zeros(RATE, np.float32)), Piece(20, np.zeros(RATE, np.float32))))
    assert pack.place(99) == (1, 21.0)
    assert pack.place(-1) == (0, 10.0)
