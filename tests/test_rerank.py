from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.recommend.metrics import intra_list_distance
from avrec_dag.recommend.rerank import Method, rerank

METHODS = get_args(Method)


def unit(n: int, seed: int, dim: int = 8) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(max_examples=80, deadline=None)
@given(
    scores=st.lists(st.one_of(st.floats(-5, 5, width=32), st.just(float("-inf"))), min_size=0, max_size=60),
    k=st.integers(0, 25),
    diversity=st.floats(0, 1),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 50),
)
def test_a_list_is_as_long_as_it_can_be_repeats_nothing_and_shows_nothing_barred(scores, k, diversity, method, seed):
    final = np.array(scores, np.float32)
    chosen = rerank(final, unit(len(scores), seed), k, diversity=diversity, method=method)
    assert len(chosen) == min(k, int(np.isfinite(final).sum()))
    assert len(set(chosen)) == len(chosen)
    assert np.isfinite(final[chosen]).all()


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40), k=st.integers(1, 20), method=st.sampled_from(METHODS))
def test_without_diversity_the_order_is_that_of_the_scores(scores, k, method):
    final = np.array(scores, np.float32)
    chosen = rerank(final, unit(len(scores), 0), k, diversity=0.0, method=method)
    assert final[chosen].tolist() == np.sort(final)[::-1][:k].tolist()


@pytest.mark.parametrize("method", METHODS)
def test_diversity_spreads_the_list_over_content(method):
    vectors = np.repeat(unit(8, 3), 10, axis=0) + 0.01 * unit(80, 4)
    final = np.linspace(1, 0, 80)
    plain, spread = (rerank(final, vectors, 8, diversity=diversity, method=method) for diversity in (0.0, 0.7))
    assert intra_list_distance(vectors[spread]) > intra_list_distance(vectors[plain]) + 0.2


@pytest.mark.parametrize("method", METHODS)
def test_items_without_content_and_equal_scores_are_no_trouble(method):
    assert sorted(rerank(np.ones(5), np.zeros((5, 4), np.float32), 5, diversity=0.5, method=method)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_question_gets_the_same_answer(method):
    final, vectors = np.random.default_rng(1).normal(size=50), unit(50, 2)
    assert rerank(final, vectors, 10, diversity=0.5, method=method) == rerank(final, vectors, 10, diversity=0.5, method=method)


@pytest.mark.parametrize(("k", "diversity"), [(-1, 0.0), (5, -0.1), (5, 1.1), (5, float("nan"))])
def test_a_knob_outside_its_range_is_refused(k, diversity):
    with pytest.raises(ValueError, match="diversity"):
        rerank(np.ones(5), unit(5, 0), k, diversity=diversity)
