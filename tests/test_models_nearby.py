import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import connected_components

from avrec_dag.recommend.models import nearby


@given(
    arrays(
        np.float32, st.integers(0, 12).map(lambda n: (n, n)), elements=st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 4.0]), fill=st.nothing()
    )
)
def test_every_row_has_one_place_and_what_is_linked_strongly_lies_together(dense):
    links = sp.csr_matrix(dense)
    order = nearby.order(links)
    assert sorted(order.tolist()) == list(range(len(dense)))
    strong = dense >= 0.5 * np.maximum(dense.max(axis=1, keepdims=True, initial=0), 1e-9)
    _, part = connected_components(sp.csr_matrix(strong), directed=False)
    told = part[order]
    assert 1 + np.count_nonzero(told[1:] != told[:-1]) == len(set(told.tolist())) or not len(dense)


def test_neighbours_on_a_line_are_found_whatever_they_are_called():
    n = 2000
    called = np.random.default_rng(4).permutation(n)
    one, other, strength = np.arange(n - 1), np.arange(1, n), np.random.default_rng(5).uniform(0.6, 1.0, n - 1)
    place = np.empty(n, np.int64)
    place[nearby.order(sp.csr_matrix((strength, (called[one], called[other])), shape=(n, n)))] = np.arange(n)
    apart = np.abs(place[called[one]] - place[called[other]])
    assert np.median(apart) <= 3
    assert np.median(np.abs(called[one] - called[other])) > 100
