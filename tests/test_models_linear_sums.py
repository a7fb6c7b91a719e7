"""The running sums of the linear model and the regressions made of them, against the same in plain loops and dense algebra."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.recommend.models import gram, learned, regression, restricted
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.ease import Ease, EaseSettings
from avrec_dag.recommend.models.gram import Pairs
from avrec_dag.recommend.models.linear import Linear, LinearSettings
from tests.made_histories import interactions, two_tastes

N_ITEMS = 6
_event = st.tuples(st.integers(0, N_ITEMS - 1), st.sampled_from([-1.0, 0.25, 0.5, 1.0]))
_histories = st.lists(st.lists(_event, max_size=7), max_size=5)


def built(histories, n_items: int = N_ITEMS) -> Interactions:
    columns = [[item for item, _ in history] for history in histories]
    return interactions(columns, n_items, [[weight for _, weight in history] for history in histories])


def mirrored(together: sp.csr_matrix) -> np.ndarray:
    dense = together.toarray()
    return dense + dense.T - np.diag(np.diag(dense))


def by_hand(histories, decay: float, window: int) -> tuple[np.ndarray, np.ndarray]:
    """G and C, one example after the other."""
    together, after = np.zeros((N_ITEMS, N_ITEMS)), np.zeros((N_ITEMS, N_ITEMS))
    for history in histories:
        liked = [(item, weight) for item, weight in history if weight > 0]
        for at, (item, weight) in enumerate(liked):
            x = np.zeros(N_ITEMS)
            for gap in range(1, min(window, at) + 1):
                before, much = liked[at - gap]
                x[before] += decay ** (gap - 1) * much
            together += weight * np.outer(x, x)
            after[:, item] += weight * x
    return together, after


@settings(max_examples=50, deadline=None)
@given(_histories, st.sampled_from([0.3, 0.8, 1.0]), st.integers(1, 9), st.integers(1, 40))
def test_the_sums_are_those_of_the_examples_one_by_one(histories, decay, window, at_once):
    whole = gram._CELLS_AT_ONCE
    gram._CELLS_AT_ONCE = at_once
    try:
        pairs = Pairs.of(built(histories), decay=decay, window=window)
    finally:
        gram._CELLS_AT_ONCE = whole
    together, after = by_hand(histories, decay, window)
    np.testing.assert_allclose(mirrored(pairs.together), together, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(pairs.after.toarray(), after, rtol=1e-6, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(before=_histories, after=_histories, kept=st.integers(0, 5), more=st.integers(0, 2))
def test_ease_learning_on_equals_fitting_anew(before, after, kept, more):
    learning, anew = Ease(EaseSettings(l2=2.0)), Ease(EaseSettings(l2=2.0))
    learning.fit(built(before))
    learning = Ease.load(learning.save())
    learning.fit_partial(built(before[:kept] + after, N_ITEMS + more))
    anew.fit(built(before[:kept] + after, N_ITEMS + more))
    np.testing.assert_allclose(learning.gram.toarray(), anew.gram.toarray(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(learning.weights.toarray(), anew.weights.toarray(), atol=1e-5)


def test_ease_is_the_closed_form_of_the_paper():
    data = two_tastes(60, 12)
    model = Ease(EaseSettings(l2=3.0))
    model.fit(data)
    x = data.liked.toarray().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + 3.0 * np.eye(12))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.weights.toarray(), expected, atol=1e-5)


def test_ease_restricted_to_all_sources_but_oneself_is_ease():
    rng = np.random.default_rng(0)
    data = interactions([rng.permutation(8)[:4].tolist() for _ in range(200)], 8)
    exact, restrained = Ease(EaseSettings(l2=3.0)), Ease(EaseSettings(l2=3.0, sources=7, exact_items=0))
    exact.fit(data)
    restrained.fit(data)
    np.testing.assert_allclose(restrained.weights.toarray(), exact.weights.toarray(), atol=1e-4)


def test_what_somebody_has_come_to_dislike_teaches_nothing():
    model = Linear()
    model.fit(interactions([[0, 1, 2, 1]], 3, [[1, 1, 1, -1]]))
    assert model.learned.columns.tolist() == [0, 2]


@pytest.mark.parametrize("kind", [{"exact_items": 100}, {"exact_items": 0, "sources": 3}], ids=["exact", "restricted"])
@settings(max_examples=25, deadline=None)
@given(before=_histories, after=_histories, kept=st.integers(0, 5), more=st.integers(0, 2))
def test_learning_on_equals_fitting_anew(kind, before, after, kept, more):
    """Histories stay, change, grow, go and come; items come."""
    now = built(before[:kept] + after, N_ITEMS + more)
    learning, anew = Linear(LinearSettings(l2=2.0, **kind)), Linear(LinearSettings(l2=2.0, **kind))
    learning.fit(built(before))
    learning.fit_partial(now)
    anew.fit(now)
    for one, other in ((learning.pairs.together, anew.pairs.together), (learning.pairs.after, anew.pairs.after)):
        np.testing.assert_allclose(one.toarray(), other.toarray(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(learning.weights.toarray(), anew.weights.toarray(), atol=1e-5)
    again = Linear.load(learning.save())
    again.fit_partial(built(before))
    learning.fit(built(before))
    np.testing.assert_allclose(again.pairs.after.toarray()[:N_ITEMS, :N_ITEMS], learning.pairs.after.toarray(), atol=1e-9)


def test_histories_that_did_not_change_are_not_counted_again(monkeypatch):
    model = Linear()
    model.fit(two_tastes(50))
    counted = []
    whole = Pairs.of

    def counting(data: Interactions, **settings) -> Pairs:
        counted.append(len(data))
        return whole(data, **settings)

    monkeypatch.setattr(Pairs, "of", counting)
    model.fit_partial(two_tastes(50))
    assert counted == []
    now = two_tastes(51)
    now.columns[0] = 8
    model.fit_partial(now)
    assert counted == [6, 12]  # one history out; it and the new one in


def test_files_name_nobody():
    data = two_tastes(3)
    model = Linear()
    model.fit(data)
    assert all(user.encode() not in content for content in model.save().values() for user in ("u0", "u1", "u2"))
    assert learned.remembered(data).users[0] != learned.remembered(data).users[1]


def sums(seed: int = 0, n: int = 30) -> tuple[sp.csr_matrix, sp.csr_matrix, np.ndarray, np.ndarray]:
    pairs = Pairs.of(two_tastes(80, n, length=9, seed=seed), decay=0.7, window=5)
    return pairs.together, pairs.after, mirrored(pairs.together), pairs.after.toarray()


def test_the_exact_solution_is_that_of_the_normal_equations():
    together, after, g, c = sums()
    expected = np.linalg.solve(g + 2.0 * np.eye(len(g)), c)
    np.testing.assert_allclose(regression.solve(together, after, l2=2.0, kept=100).toarray(), expected, atol=1e-4)


def test_only_the_strongest_weights_towards_an_item_are_kept():
    together, after, _, _ = sums()
    whole = regression.solve(together, after, l2=2.0, kept=100).toarray()
    thin = regression.solve(together, after, l2=2.0, kept=3).toarray()
    assert ((thin != 0).sum(axis=0) <= 3).all()
    np.testing.assert_allclose(np.abs(thin).max(axis=0), np.abs(whole).max(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("block", "looked_up", "triangles", "columns", "sources"),
    [(1, 1, 1, 1, 4), (100, 30, 17, 7, 4), (200, 1000, 50, 29, 9), (10**6, 10**6, 10**6, 10**6, 1000)],
)
def test_the_restricted_solution_is_exact_within_the_sources_with_the_largest_gain(
    block, looked_up, triangles, columns, sources, monkeypatch
):
    at_once = {"_BLOCK": block, "_LOOKED_UP_AT_ONCE": looked_up, "_TRIANGLES": triangles, "_COLUMNS_AT_ONCE": columns}
    for name, cells in at_once.items():
        monkeypatch.setattr(restricted, name, cells)
    together, after, g, c = sums(3)
    found = restricted.solve(together, lambda start, end: sp.csc_matrix(after[:, start:end]), l2=2.0, sources=sources).toarray()
    gain = c**2 / (np.diag(g) + 2.0)[:, None]
    for item in range(len(g)):
        used = np.flatnonzero(found[:, item])
        assert len(used) == min(sources, np.count_nonzero(c[:, item]))
        others = np.setdiff1d(np.arange(len(g)), used)
        assert gain[used, item].min(initial=np.inf) >= gain[others, item].max(initial=0) - 1e-6
        expected = np.linalg.solve(g[np.ix_(used, used)] + 2.0 * np.eye(len(used)), c[used, item])
        np.testing.assert_allclose(found[used, item], expected, atol=1e-4)


def test_what_comes_next_is_told_from_what_came_before():
    model = Linear(LinearSettings(l2=1.0, window=2))
    model.fit(two_tastes(200))
    scores = model.score(interactions([[4, 6]], 20))[0]
    assert scores[8] > scores[2]
