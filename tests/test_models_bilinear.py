"""Content as behaviour teaches it, against the same in dense algebra."""

from dataclasses import replace

import numpy as np
import pytest

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models.base import Interactions, Model
from avrec_dag.recommend.models.bilinear import Bilinear, BilinearSettings
from avrec_dag.recommend.models.blend import Blend
from avrec_dag.recommend.models.content import Content
from avrec_dag.recommend.models.effects import of_events

ITEMS, DIM, COLD = 120, 24, 20


def histories(lists: list[list[int]], vectors: np.ndarray | None) -> Interactions:
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    columns = np.array([item for one in lists for item in one], np.int32)
    people, names = tuple(f"u{n}" for n in range(len(lists))), tuple(f"i{n}" for n in range(ITEMS))
    return Interactions(
        people, names, indptr, columns, np.ones(len(columns), np.float32), np.arange(len(columns), dtype=np.float64), vectors
    )


def world(people: int = 400) -> tuple[Interactions, np.ndarray]:
    """Two tastes that content tells in one of its dimensions, behind much that tells nothing; nobody has met the last `COLD` items."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, ITEMS)
    vectors = rng.normal(size=(ITEMS, DIM)).astype(np.float32)
    vectors[:, 0] = 0.8 * (2 * kind - 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    of_kind = [np.flatnonzero(kind[:-COLD] == one) for one in (0, 1)]
    lists = [rng.choice(of_kind[person % 2], 6, replace=False).tolist() for person in range(people)]
    return histories(lists, vectors), kind


def told_apart(model: Content, data: Interactions, kind: np.ndarray) -> float:
    """How often a new item of the person's taste stands before a new one that is not."""
    scores = model.score(data)[:, -COLD:]
    own = kind[-COLD:][None, :] == kind[data.columns[data.indptr[:-1]]][:, None]
    return float(np.mean([(row[mine][:, None] > row[~mine][None, :]).mean() for row, mine in zip(scores, own, strict=True)]))


def test_what_tells_taste_on_known_items_tells_it_on_items_that_nobody_has_met():
    data, kind = world()
    learned, plain = Bilinear(), Content()
    learned.fit(data)
    plain.fit(data)
    assert told_apart(learned, data, kind) > 0.95 > told_apart(plain, data, kind) + 0.05


def test_the_matrix_is_the_ridge_regression_of_who_liked_what_on_both_contents():
    data, _ = world(60)
    model = Bilinear(BilinearSettings(ridge=0.5))
    model.fit(data)
    likes = data.liked.toarray().astype(np.float64)
    counts = likes.sum(axis=0)
    known = np.flatnonzero(counts > 3)
    assert 0 < len(known) < ITEMS - COLD  # some are cold, and not only those that nobody has met
    cosines = (likes.T @ likes / np.sqrt(np.outer(counts, counts) + 1e-300))[np.ix_(known, known)]
    np.fill_diagonal(cosines, 0)
    vectors = model.vectors(data)[known].astype(np.float64)
    gram = vectors.T @ vectors
    side = np.linalg.solve(gram + 0.5 * np.trace(gram) / DIM * np.eye(DIM), vectors.T)
    np.testing.assert_allclose(model.matrix, side @ cosines @ side.T, rtol=1e-4, atol=1e-5)


def test_learning_on_is_fitting_anew_and_what_is_read_back_scores_the_same():
    data, _ = world()
    model, anew = Bilinear(), Bilinear()
    assert isinstance(model, Model)
    model.fit(data.of(range(200)))
    model.fit_partial(data)
    anew.fit(data)
    np.testing.assert_array_equal(model.score(data), anew.score(data))
    np.testing.assert_array_equal(Bilinear.load(model.save()).score(data), model.score(data))
    np.testing.assert_array_equal(model.score(data, np.array([5, 3])), model.score(data)[:, [5, 3]])


def test_events_of_a_history_add_up_to_its_score():
    data, _ = world()
    blend = Blend()
    blend.compose({"bilinear": Bilinear()})
    blend.fit(data)
    one, items = data.of([7]), np.array([0, 50, ITEMS - 1])
    np.testing.assert_allclose(of_events(blend, one, items)["bilinear"].sum(axis=0), blend.components[0].score(one)[0, items], atol=1e-6)


@pytest.mark.parametrize("lists", [[], [[]], [[3]], [[3], []]])
def test_nobody_nothing_one_event_and_no_vectors_score_nothing(lists):
    for vectors in (None, np.zeros((ITEMS, DIM), np.float32)):
        model, data = Bilinear(), histories(lists, vectors)
        model.fit(data)
        assert (model.score(data) == np.zeros((len(lists), ITEMS))).all()


def test_vectors_of_another_encoder_and_bad_settings_and_damaged_files_are_refused():
    data, _ = world()
    model = Bilinear()
    model.fit(data)
    with pytest.raises(ModelError, match="vectors of 24 numbers and is given 3; fit it again"):
        model.score(replace(data, vectors=np.ones((ITEMS, 3), np.float32)))
    with pytest.raises(ModelError, match="ridge above 0"):
        Bilinear(BilinearSettings(ridge=0.0))
    with pytest.raises(ModelError, match="fit it again"):
        Bilinear.load({**model.save(), "model.json": b"{"})
