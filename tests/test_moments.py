"""Moments: what of an item an answer points at."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.moments import FILE, KINDS, Moment, Moments, Told, term_hash, told
from avrec_dag.schema import TABLES

DIM = 8


def unit(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pictures(media_id: str, n: int, seed: int) -> Told:
    starts = np.arange(n, dtype=np.float32)
    return Told(media_id, np.zeros(n, np.uint8), starts, starts + 1, unit(n, seed).astype(np.float16))


def speech(media_id: str, *said: str, seed: int = 0) -> Told:
    """Sentences of two seconds from second 100 on, a word every tenth of a second."""
    words = [(word, number, 100 + 2 * number + place / 10) for number, one in enumerate(said) for place, word in enumerate(one.split())]
    starts = 100 + 2 * np.arange(len(said), dtype=np.float32)
    joints = unit(len(said), seed).astype(np.float16)
    return Told(
        media_id, np.ones(len(said), np.uint8), starts, starts + 2, joints, np.array([term_hash(word) for word, _, _ in words], np.uint64),
        np.array([number for _, number, _ in words], np.int32), np.array([at_s for *_, at_s in words], np.float32),
    )  # fmt: skip


@pytest.fixture(params=["in memory", "mapped from a file", "from bytes"])
def moments(request, tmp_path) -> Moments:
    parts = [pictures("b", 3, 1), pictures("gone", 2, 2), speech("b", "the cat sat", "on a mat"), pictures("a", 1, 3), speech("c", "a cat")]
    built = Moments.build(("a", "b", "c", "empty"), parts)
    content = built.files()[FILE]
    if request.param == "mapped from a file":
        (tmp_path / FILE).write_bytes(content)
        return Moments.read(tmp_path / FILE, built.items)
    return built if request.param == "in memory" else Moments.read(content, built.items)


def test_the_nearest_moment_of_an_item_is_the_one_of_plain_arithmetic(moments):
    for number, joint in enumerate(unit(3, 1)):
        assert moments.best("b", joint) == Moment(number, number + 1, "picture")
    assert moments.best("a", unit(3, 1)[0]) == Moment(0, 1, "picture")
    assert len(moments) == 7


def test_a_word_said_is_answered_with_its_second(moments):
    named = moments.named({"mat"})
    assert moments.best_shares(named) == {"b": 1.0}
    assert moments.best("b", None, named, 0.25) == Moment(pytest.approx(102.2, abs=1e-3), 104.0, "speech")
    assert moments.best("c", None, moments.named({"cat"}), 0.25) == Moment(pytest.approx(100.1, abs=1e-3), 102.0, "speech")


def test_words_count_as_far_as_one_moment_holds_them(moments):
    assert moments.best_shares(moments.named({"cat", "mat"})) == {"b": 0.5, "c": 0.5}
    assert moments.best_shares(moments.named({"cat", "sat"})) == {"b": 1.0, "c": 0.5}
    assert moments.best_shares(moments.named({"zebra"})) == moments.best_shares(moments.named(())) == {}


def test_exact_words_outweigh_a_slightly_nearer_picture(moments):
    asked = unit(3, 1)[0]
    assert moments.best("b", asked, moments.named({"cat"}), 5.0).kind == "speech"
    assert moments.best("b", asked, moments.named({"cat"}), 0.0).kind == "picture"


def test_what_has_no_moment_has_none_and_another_space_does_not_count(moments):
    assert moments.best("empty", unit(1, 0)[0]) is None
    assert moments.best("unknown", unit(1, 0)[0]) is None
    assert moments.best("b", np.ones(3, np.float32)) == Moment(0, 1, "picture")
    assert Moments.none().best("a", unit(1, 0)[0]) is None
    assert Moments.none().best_shares(Moments.none().named({"cat"})) == {}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 4), st.integers(0, 99)), max_size=8), st.sampled_from("abcd"))
def test_any_order_of_parts_gives_the_best_of_all_moments_of_the_item(drawn, media_id):
    parts = [pictures(name, n, seed) for name, n, seed in drawn]
    asked = unit(1, 1234)[0]
    mine = [part for part in parts if part.media_id == media_id and len(part.kinds)]
    found = Moments.build(tuple("abcd"), parts).best(media_id, asked)
    if not mine:
        assert found is None
        return
    scores = np.concatenate([part.joints.astype(np.float32) @ asked for part in mine])
    starts = np.concatenate([part.starts_s for part in mine])
    assert found is not None
    assert found.start_s in starts[scores >= scores.max() - 1e-6]
    assert len(Moments.build(tuple("abcd"), parts)) == sum(n for _, n, _ in drawn)


def test_shots_are_read_from_rows_and_broken_or_foreign_vectors_are_left_out():
    good = {"media_id": "a", "shot_starts_s": [0.0, 1.0], "shot_ends_s": [1.0, 2.0], "shot_joints": unit(2, 0).ravel().tolist()}
    rows = [
        good,
        {**good, "media_id": "nan", "shot_joints": [float("nan")] * 16},
        {**good, "media_id": "other space", "shot_joints": [1.0, 0.0]},
        {**good, "media_id": "no place", "shot_joints": None},
        {"media_id": "before there were shots", "shot_starts_s": None, "shot_ends_s": None, "shot_joints": None},
    ]
    columns = TABLES["frame_embeddings"].columns
    schema = pa.schema([("media_id", pa.string()), *((name, columns.field(name).type) for name in list(good)[1:])])
    (part,) = told(pa.Table.from_pylist(rows, schema), "frame_embeddings", DIM)
    assert (part.media_id, part.starts_s.tolist(), part.ends_s.tolist()) == ("a", [0.0, 1.0], [1.0, 2.0])
    np.testing.assert_allclose(part.joints, unit(2, 0), atol=1e-3)
    assert [KINDS[kind] for kind in part.kinds] == ["picture", "picture"]


def test_a_term_has_the_same_hash_everywhere_and_always():
    assert [term_hash(term) for term in ("cat", "猫")] == [3429664268601861939, 4140028929945838904]
