import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avrec_dag.recommend import content, linear
from avrec_dag.recommend.blend import Views, blend, standardise
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.model import Model
from avrec_dag.recommend.popularity import popularity, support


def histories(weights: np.ndarray) -> Histories:
    matrix = sp.csr_matrix(np.asarray(weights, np.float32))
    last_s = matrix.copy().astype(np.float64)
    people, items = matrix.shape
    return Histories(tuple(f"u{row}" for row in range(people)), tuple(f"i{column}" for column in range(items)), matrix, last_s)


def two_tastes(people: int = 40, items: int = 20, seed: int = 0) -> np.ndarray:
    """Even people like even items, odd people odd ones; half of their taste is met."""
    rng = np.random.default_rng(seed)
    alike = (np.arange(people)[:, None] + np.arange(items)[None, :]) % 2 == 0
    return (alike & (rng.random((people, items)) < 0.5)).astype(np.float32)


def test_the_linear_model_is_the_closed_form_of_the_paper():
    x = two_tastes().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + 5.0 * np.eye(x.shape[1]))
    expected = inverse / -np.diag(inverse)[None, :]
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(linear.fit(sp.csr_matrix(x), l2=5.0).toarray(), expected, atol=1e-5)


def test_the_linear_model_minimises_what_it_says_it_does():
    x, l2 = two_tastes(40, 6).astype(np.float64), 3.0
    best = linear.fit(sp.csr_matrix(x), l2=l2).toarray().astype(np.float64)

    def loss(b: np.ndarray) -> float:
        return float(((x - x @ b) ** 2).sum() + l2 * (b**2).sum())

    rng = np.random.default_rng(0)
    for _ in range(50):
        nudge = rng.normal(scale=1e-2, size=best.shape)
        np.fill_diagonal(nudge, 0)
        assert loss(best) <= loss(best + nudge)


def test_the_linear_model_finds_the_taste():
    x = two_tastes()
    scores = x @ linear.fit(sp.csr_matrix(x), l2=5.0).toarray()
    even = np.arange(20) % 2 == 0
    assert (scores[0][even].mean() > scores[0][~even].mean()) and (scores[1][even].mean() < scores[1][~even].mean())


def test_items_liked_by_one_person_and_the_rarest_beyond_the_limit_stay_out():
    assert linear.candidates(np.array([1, 5, 2, 9, 0, 3]), max_items=3).tolist() == [1, 3, 5]
    x = sp.csr_matrix(two_tastes())
    limited = linear.fit(x, l2=5.0, max_items=4)
    assert len(set(limited.indices)) <= 4
    assert limited.shape == (20, 20)


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((4, 3)), np.eye(3)])
def test_where_there_is_nothing_to_learn_the_linear_model_is_empty(x):
    assert linear.fit(sp.csr_matrix(x.astype(np.float32)), l2=1.0).nnz == 0


def test_only_the_strongest_weights_are_kept_per_item(monkeypatch):
    whole = linear.fit(sp.csr_matrix(two_tastes()), l2=5.0).toarray()
    monkeypatch.setattr(linear, "KEPT_PER_ITEM", 3)
    thin = linear.fit(sp.csr_matrix(two_tastes()), l2=5.0).toarray()
    assert ((thin != 0).sum(axis=0) <= 3).all()
    np.testing.assert_allclose(np.abs(thin).max(axis=0), np.abs(whole).max(axis=0))


def test_dislikes_stay_out_of_popularity_support_and_the_linear_model():
    liked = two_tastes()
    with_dislikes = np.where(liked > 0, liked, -0.5 * (np.arange(20) < 4))
    for part in (popularity, support):
        np.testing.assert_array_equal(part(histories(with_dislikes).liked), part(histories(liked).liked))
    assert (linear.fit(histories(with_dislikes).liked, l2=5.0) != linear.fit(histories(liked).liked, l2=5.0)).nnz == 0


def test_centring_removes_what_all_items_share_and_keeps_unit_length():
    rng = np.random.default_rng(0)
    centred = content.centred((rng.normal(size=(30, 8)) + 10).astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(centred, axis=1), 1, atol=1e-5)
    assert np.abs(centred.mean(axis=0)).max() < 0.2
    assert content.centred(np.ones((3, 4), np.float32)).tolist() == np.zeros((3, 4)).tolist()
    assert content.centred(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_content_likes_what_is_like_the_liked_and_unlike_the_disliked():
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2]]
    scores = content.score(sp.csr_matrix(np.array([[0.9, 0, -0.2, 0, 0], [0, 0, 0, 0, 0]], np.float32)), vectors)
    disliked = 0.2 * content.DISLIKED_COUNTS
    np.testing.assert_allclose(scores[0], np.array([0.9, 0.9, -disliked, -disliked, 0]) / (0.9 + disliked), rtol=1e-5)
    assert scores[1].tolist() == [0, 0, 0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(
    raw=hnp.arrays(np.float32, (3, 6), elements=st.floats(-1e3, 1e3, width=32)),
    open_to=hnp.arrays(bool, (3, 6)),
)
def test_standard_scores_have_mean_zero_and_keep_the_order(raw, open_to):
    z, scale = standardise(raw, open_to)
    assert np.isfinite(z).all()
    for row, cells, factor in zip(z, open_to, scale, strict=True):
        if factor > 0:
            assert abs(row[cells].mean()) < 1e-2
            assert row[cells].std() == pytest.approx(1, abs=1e-2)
        else:
            assert np.ptp(row[cells]) == 0 if cells.any() else True
    order = np.argsort(raw, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(z, order, axis=1), axis=1) >= -1e-5).all()


def views(weights: np.ndarray, vectors: np.ndarray, quality: np.ndarray | None = None) -> Views:
    model = Model.fit(histories(weights))
    rated = np.full(weights.shape[1], 0.5, np.float32) if quality is None else quality.astype(np.float32)
    return Views(model.linear, content.centred(vectors), model.popularity, model.support, rated)


VECTORS = np.random.default_rng(5).normal(size=(20, 6)).astype(np.float32)


def test_the_parts_add_up_to_the_score_and_nothing_met_is_scored():
    weights = two_tastes()
    weights[:, 0] = -1
    scores = blend(views(weights, VECTORS, np.linspace(0, 1, 20)), sp.csr_matrix(weights), quality=0.3)
    total = scores.linear + scores.content + scores.popularity + scores.quality
    met = weights != 0
    np.testing.assert_allclose(scores.final[~met], total[~met], atol=1e-5)
    assert (scores.final[met] == -np.inf).all()


def test_an_item_met_without_an_opinion_is_met():
    weights = sp.csr_matrix((np.array([1.0, 0.0], np.float32), np.array([0, 7]), np.array([0, 2])), shape=(1, 20))
    assert np.isneginf(blend(views(two_tastes(), VECTORS), weights).final[0, [0, 7]]).all()


def test_what_nobody_liked_is_carried_by_content_and_what_many_liked_by_behaviour():
    weights = two_tastes(400)
    weights[:, 19] = 0
    known = views(weights, VECTORS).known
    assert known[19] == 0
    assert known[:19].min() > 0.9
    scores = blend(views(weights, VECTORS), sp.csr_matrix(weights[[0]]))
    assert scores.linear[0, 19] == 0
    assert scores.content[0, 19] != 0


def test_somebody_new_gets_what_is_popular_and_by_the_knob_what_is_good():
    weights, quality = two_tastes(), np.linspace(0, 1, 20)
    nobody = sp.csr_matrix((1, 20), dtype=np.float32)
    known = views(weights, VECTORS, quality)
    assert blend(known, nobody).final[0].argmax() == known.popularity.argmax()
    assert blend(known, nobody, quality=1.0).final[0].argsort().tolist() == list(range(20))


def test_an_empty_library_and_an_empty_log_score_without_complaint():
    nothing = views(np.zeros((0, 3), np.float32), np.ones((3, 2), np.float32))
    assert blend(nothing, sp.csr_matrix((1, 3), dtype=np.float32), quality=0.5).final.tolist() == [[0, 0, 0]]
    no_items = views(np.zeros((0, 0), np.float32), np.zeros((0, 2), np.float32))
    assert blend(no_items, sp.csr_matrix((1, 0), dtype=np.float32)).final.shape == (1, 0)


def test_a_model_read_back_is_the_model_and_holds_nothing_but_numbers_and_json():
    fitted = Model.fit(histories(two_tastes()))
    files = fitted.files()
    again = Model.read(files)
    assert again.digest == fitted.digest == Model.fit(histories(two_tastes())).digest
    assert (again.linear != fitted.linear).nnz == 0
    assert again.items == fitted.items
    np.testing.assert_array_equal(again.popularity, fitted.popularity)
    assert sorted(files) == ["model.json", "model.safetensors"]
    assert json.loads(files["model.json"])["items"] == list(fitted.items)


def test_a_model_follows_the_catalogue_items_leave_arrive_and_move():
    fitted = Model.fit(histories(two_tastes()))
    moved = fitted.aligned(["new", "i3", "i0", "i5"])
    assert moved.items == ("new", "i3", "i0", "i5")
    assert moved.linear[1, 3] == fitted.linear[3, 5] != 0
    assert moved.linear[[0]].nnz == 0
    assert moved.support.tolist() == [0, *fitted.support[[3, 0, 5]]]
    np.testing.assert_array_equal(moved.popularity[1:], fitted.popularity[[3, 0, 5]])
