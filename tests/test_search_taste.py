from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.errors import SettingError
from avrec_dag.index import ItemIndex, LiveIndex
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.explain import Reason
from avrec_dag.recommend.matching import match
from avrec_dag.recommend.queries import Example, Query
from avrec_dag.recommend.searching import POOL, Searcher, Taste
from avrec_dag.recommend.words import BOOST, asked, boost, terms
from tests.test_index import features, unit

N, DIM, JOINT = 300, 12, 8
NAMES = [f"{number:03d}" for number in range(N)]
FUSED, PLACES = unit(N, DIM, 1), unit(N, JOINT, 2)
WORDS = {name: ("red cat" if number % 7 == 0 else "red" if number % 5 == 0 else "") for number, name in enumerate(NAMES)}


def catalogue(hidden: frozenset[str] = frozenset(), beside: int = 0) -> Catalogue:
    """Three hundred items, the last of them perhaps beside the stored index, some of them hidden."""
    cut = N - beside
    parts = [
        ItemIndex.build(
            features(dict(zip(NAMES[rows], FUSED[rows], strict=True)), dict(zip(NAMES[rows], PLACES[rows], strict=True))), dims=(DIM, JOINT)
        )
        for rows in (slice(0, cut), slice(cut, N))
    ]
    index = LiveIndex.of(parts[0], set(NAMES) - hidden, parts[1] if beside else None)
    return Catalogue(index, np.full(len(index.items), 0.5, np.float32), words=WORDS)


def example(seed: int, *, joint: bool = True, weight: float = 1.0) -> Example:
    return Example("picture", unit(1, DIM, seed)[0], unit(1, JOINT, seed + 1)[0] if joint else None, weight)


def plain(query: Query, joint: np.ndarray | None, name: str) -> float:
    """The score as the documentation has it, for one item."""
    place, told = NAMES.index(name), []
    if joint is not None:
        told.append(float(PLACES[place] @ joint))
    if query.fused is not None:
        told.append(float(FUSED[place] @ query.fused))
    return float(np.mean(told)) + (boost(asked(query.text), terms(WORDS[name])) if query.text else 0.0)


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(["", "cat", "red cat", "blue"]),
    seeds=st.lists(st.integers(10, 90), max_size=2),
    with_joint=st.booleans(),
    hidden=st.frozensets(st.sampled_from(NAMES), max_size=40),
    beside=st.sampled_from([0, 30]),
)
def test_matches_are_those_of_plain_arithmetic_over_every_item(text, seeds, with_joint, hidden, beside):
    query = Query(text, tuple(example(seed, joint=with_joint) for seed in seeds))
    joint = query.joint(lambda _: unit(1, JOINT, 5)[0])
    if query.empty:
        return
    items = catalogue(hidden, beside)
    found = match(items, query, joint, N)
    names = [items.index.items[row] for row in found.rows]
    assert set(names) == set(NAMES) - hidden
    np.testing.assert_allclose(found.scores, [plain(query, joint, name) for name in names], atol=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    assert found.threshold <= found.scores[0]


def taste(weight: float, seed: int = 0) -> Taste:
    relevance = np.random.default_rng(seed).normal(size=N)
    return Taste(weight, lambda rows: relevance[rows], lambda rows: [Reason(f"suits {row}", "linear", (f"cause {row}",)) for row in rows])


@settings(max_examples=40, deadline=None)
@given(weight=st.floats(0, 1), seed=st.integers(0, 50), k=st.integers(1, N))
def test_taste_moves_what_fits_among_itself_and_never_lifts_what_does_not(weight, seed, k):
    items, query = catalogue(), Query("", (example(seed),))
    pure, mine = Searcher(items).search(query, k), Searcher(items).search(query, k, taste(weight, seed))
    found = match(items, query, query.joint(lambda _: PLACES[0]), N)
    pool = [items.index.items[row] for row in found.rows[:POOL][found.scores[:POOL] >= found.threshold]]
    assert len(mine) == len(pure) == k
    assert {one.media_id for one in mine[: len(pool)]} <= set(pool)
    assert [one.media_id for one in mine[len(pool) :]] == [one.media_id for one in pure[len(pool) :]]
    scores = [one.score for one in mine]
    assert scores == sorted(scores, reverse=True)
    if weight == 0:
        assert mine == pure
    if weight == 1:
        suits = [taste(1, seed).relevance(np.array([NAMES.index(one.media_id)]))[0] for one in mine[: len(pool)]]
        assert suits == sorted(suits, reverse=True)


def test_an_explanation_says_how_it_fits_and_why_it_suits():
    first = Searcher(catalogue()).search(Query("", (example(3),)), 1, taste(0.5))[0]
    row = NAMES.index(first.media_id)
    assert first.reason in {f"looks like the picture; suits {row}", f"fits by meaning; suits {row}"}
    assert first.causes == (f"cause {row}",)


def test_words_and_examples_are_one_query_by_their_weights():
    words, one, two = unit(1, JOINT, 50)[0] * 3, example(51, weight=2.0), example(52)
    query = Query("anything", (one, two))
    joint = query.joint(lambda _: words)
    assert joint is not None
    assert one.joint is not None
    assert two.joint is not None
    mean = words / 3 + 2 * one.joint + two.joint
    np.testing.assert_allclose(joint, 3 * mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(query.fused, (two_thirds := 2 * one.fused + two.fused) / np.linalg.norm(two_thirds), atol=1e-5)
    assert Query("", (example(1, joint=False),)).joint(lambda _: words) is None


def test_a_query_of_another_size_is_refused_and_one_of_nothing_finds_nothing():
    with pytest.raises(SettingError, match="was built with another"):
        Searcher(catalogue()).search(Query("", (Example("sound", np.ones(99, np.float32)),)), 3)
    assert Searcher(catalogue()).search(Query("  "), 3) == []
    nothing = replace(catalogue(), index=ItemIndex.build(features({})))
    assert Searcher(nothing).search(Query("", (example(1),)), 3) == []
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="must lie in"):
            taste(weight)


def test_a_word_that_only_one_item_holds_raises_it_wherever_it_lies(recwarn):
    items = replace(catalogue(), words={"123": "zeppelin"})
    joint = -PLACES[123]
    found = match(items, Query("zeppelin"), joint, 1)
    by_name = dict(zip((items.index.items[row] for row in found.rows), found.scores, strict=True))
    assert by_name["123"] == pytest.approx(-1 + BOOST, abs=1e-5)
    assert not recwarn.list
