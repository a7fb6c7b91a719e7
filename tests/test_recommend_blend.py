"""The score that lists are made by: the trained blend and quality."""

import numpy as np
import pytest
import scipy.sparse as sp

from avrec_dag.errors import SettingError
from avrec_dag.recommend import model
from avrec_dag.recommend.blend import Views, blend
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.models.base import Interactions

VECTORS = np.random.default_rng(5).normal(size=(20, 6)).astype(np.float32)


def two_tastes(people: int = 40, items: int = 20, seed: int = 0) -> np.ndarray:
    """Even people like even items, odd people odd ones; half of their taste is met."""
    rng = np.random.default_rng(seed)
    alike = (np.arange(people)[:, None] + np.arange(items)[None, :]) % 2 == 0
    return (alike & (rng.random((people, items)) < 0.5)).astype(np.float32)


def interactions(weights: np.ndarray | sp.csr_matrix, vectors: np.ndarray = VECTORS) -> Interactions:
    matrix = sp.csr_matrix(weights, dtype=np.float32)
    times = sp.csr_matrix((np.arange(matrix.nnz, dtype=np.float64), matrix.indices, matrix.indptr), shape=matrix.shape)
    people, items = matrix.shape
    found = Histories(tuple(f"u{row}" for row in range(people)), tuple(f"i{column}" for column in range(items)), matrix, times)
    return found.interactions(vectors)


def views(weights: np.ndarray, vectors: np.ndarray = VECTORS, quality: np.ndarray | None = None) -> Views:
    trained = model.unfitted(model.DEFAULT)
    data = interactions(weights, vectors)
    trained.fit(data)
    rated = np.full(weights.shape[1], 0.5, np.float32) if quality is None else quality.astype(np.float32)
    return Views(data.items, trained, vectors, rated)


def test_the_parts_add_up_to_the_score_and_nothing_met_is_scored():
    weights = two_tastes()
    weights[:, 0] = -1
    scores = blend(views(weights, VECTORS, np.linspace(0, 1, 20)), interactions(weights), quality=0.3)
    total = sum(scores.parts.values())
    for person in range(len(weights)):
        left = scores.final[person] - total[person]
        assert np.ptp(left[weights[person] == 0]) < 1e-4  # a constant per person
    assert (scores.final[weights != 0] == -np.inf).all()
    assert np.isfinite(scores.relevance).all()


def test_an_item_met_without_an_opinion_is_met():
    history = sp.csr_matrix((np.array([1.0, 0.0], np.float32), np.array([0, 7]), np.array([0, 2])), shape=(1, 20))
    assert np.isneginf(blend(views(two_tastes()), interactions(history)).final[0, [0, 7]]).all()


def test_taste_is_found_and_what_nobody_liked_is_carried_by_content():
    weights = two_tastes(400)
    weights[:, 18:] = 0
    even = np.arange(20) % 2 == 0
    vectors = np.where(even[:, None], VECTORS[0], VECTORS[1]) + 0.5 * VECTORS
    scores = blend(views(weights, vectors), interactions(weights[:1], vectors))
    known = np.isfinite(scores.final[0]) & (np.arange(20) < 18)
    assert scores.final[0][even & known].min() > scores.final[0][~even & known].max()
    assert scores.parts["content"][0, 18] > 0 > scores.parts["content"][0, 19]
    assert scores.final[0, 18] > scores.final[0, 19]


def test_somebody_new_gets_what_is_popular_and_by_the_knob_what_is_good():
    weights, quality = two_tastes(), np.linspace(0, 1, 20)
    nobody = interactions(sp.csr_matrix((1, 20), dtype=np.float32))
    known = views(weights, VECTORS, quality)
    assert blend(known, nobody).final[0].argmax() == (weights > 0).sum(axis=0).argmax()
    assert blend(known, nobody, quality=1.0).final[0].argsort().tolist() == list(range(20))


@pytest.mark.parametrize(("people", "items"), [(0, 3), (0, 0), (1, 1), (3, 1)])
def test_an_empty_library_and_an_empty_log_score_without_complaint(people, items):
    nothing = views(np.ones((people, items), np.float32), np.ones((items, 2), np.float32))
    nobody = interactions(sp.csr_matrix((1, items), dtype=np.float32), np.ones((items, 2), np.float32))
    assert blend(nothing, nobody, quality=0.5).final.tolist() == [[0] * items]


@pytest.mark.parametrize("setting", ["", "fortune", "linear+", "ease+ease", "blend", "ease,content"])
def test_a_setting_that_names_no_models_is_refused(setting):
    with pytest.raises(SettingError, match="AVREC_RECOMMENDER"):
        model.names_of(setting)


def test_a_setting_names_models_in_its_order():
    assert [one.name for one in model.unfitted("content + popularity").components] == ["content", "popularity"]
