from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.recommend import retrieving
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.models.effects import _without
from avrec_dag.recommend.models.linear import Linear
from avrec_dag.recommend.models.weighing import standardise
from avrec_dag.recommend.pool import Pool, quantile
from tests.made_library import made_library

PEOPLE = [f"made-user-{number:03d}" for number in range(40)]


@pytest.fixture(scope="module")
def recommender(tmp_path_factory):
    made = made_library(tmp_path_factory.mktemp("library"), n_items=320)
    made.refresh(measured=False)
    yield made.recommender()
    made.log.close()


@pytest.fixture
def narrow(monkeypatch):
    """As for a library of many more items."""
    for name, value in {"MOST_SCORED": 100, "EACH": 30, "PER_PLACE": 2, "SAMPLE": 60, "NEW": 10}.items():
        monkeypatch.setattr(retrieving, name, value)


def ids(answer) -> list[str]:
    return [one.media_id for one in answer]


@pytest.mark.parametrize(
    ("least", "asked"),
    [
        (0.9, {"exploration": 0.0}),
        (0.9, {"exploration": 0.0, "diversity": 0.0}),
        (0.8, {"exploration": 0.0, "quality": 0.6}),
        (0.8, {"exploration": 0.0, "method": "swap", "calibration": 0.5}),
        (0.8, {"exploration": 0.0, "context": Context(interests=("car",))}),
        (0.7, {}),
    ],
)
def test_lists_of_what_is_retrieved_are_nearly_those_of_everything(recommender, monkeypatch, least, asked):
    everything = {user: ids(recommender.recommend(user, 8, **asked)) for user in [*PEOPLE, "nobody"]}
    for name, value in {"MOST_SCORED": 100, "EACH": 30, "PER_PLACE": 2, "SAMPLE": 60, "NEW": 10}.items():
        monkeypatch.setattr(retrieving, name, value)
    shares, narrowed = [], 0
    for user, expected in everything.items():
        history = recommender.history(user)
        narrowed += len(recommender.retriever.pool(recommender.histories.of_user(user), history, Context(), 8) or range(320)) < 320
        shares.append(len(set(ids(recommender.recommend(user, 8, **asked))) & set(expected)) / len(expected))
    assert narrowed > 30
    assert np.mean(shares) >= least


@settings(max_examples=30, deadline=None)
@given(user=st.sampled_from([*PEOPLE, "nobody"]), k=st.integers(0, 12), n_excluded=st.integers(0, 10), quality=st.floats(0, 1))
def test_what_is_retrieved_repeats_nothing_and_holds_nothing_met_or_excluded(recommender, user, k, n_excluded, quality):
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"MOST_SCORED": 100, "EACH": 20, "PER_PLACE": 2, "SAMPLE": 40, "NEW": 10}.items():
            patched.setattr(retrieving, name, value)
        exclude = set(ids(recommender.recommend(user, n_excluded))) if n_excluded else set()
        met = set(recommender.histories.of_user(user).weights)
        answer = ids(recommender.recommend(user, k, exclude=exclude, quality=quality))
    assert len(answer) == len(set(answer)) == k
    assert not set(answer) & (met | exclude)


def test_whom_somebody_follows_is_retrieved(recommender, narrow):
    worst = recommender.catalogue.index.items[int(recommender.retriever._usual[2][-1])]
    catalogue = replace(recommender.catalogue, creators={worst: "ada"})
    fan = replace(recommender.histories.of_user("made-user-003"), creators=("ada",))
    followed = replace(recommender, catalogue=catalogue)
    pool = followed.retriever.pool(fan, followed._read(fan, "x"), Context(), 5)
    assert recommender.catalogue.index.place[worst] in pool.columns
    assert followed.signals.of_history(fan, pool)["follow"].added.sum() == pytest.approx(0.5)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(20, 400), n_retrieved=st.integers(0, 19), seed=st.integers(0, 1000))
def test_a_sample_stands_for_all_that_was_not_retrieved(n, n_retrieved, seed):
    rng = np.random.default_rng(seed)
    retrieved, values = rng.integers(0, n, n_retrieved), rng.normal(size=n).astype(np.float32)
    pool = Pool.of(retrieved, np.arange(n), n)
    assert pool.stands_for.sum() == pytest.approx(n)
    assert set(retrieved.tolist()) <= set(pool.columns.tolist())
    assert pool.positions(pool.columns).tolist() == list(range(len(pool)))
    some = rng.integers(0, n, 5)
    assert set(pool.columns[pool.holds(np.unique(some))].tolist()) == set(some.tolist()) & set(pool.columns.tolist())
    # A sample of everything tells exactly what everything does.
    whole = standardise(values[None], np.ones((1, n), bool))[0]
    np.testing.assert_allclose(standardise(values[None], np.ones((1, n), bool), pool.stands_for)[0], whole, atol=1e-4)


def test_a_quantile_counts_what_stands_for_many():
    values, stands_for = np.array([1.0, 5.0, 9.0]), np.array([1.0, 1.0, 98.0])
    assert quantile(values, 0.5, stands_for) == 9.0
    assert quantile(values, 0.5) == 5.0


def test_what_an_event_adds_in_closed_form_is_what_the_score_loses_without_it(recommender):
    linear = next(one for one in recommender.views.model.components if isinstance(one, Linear))
    for user in PEOPLE[:10]:
        history = recommender.history(user)
        columns = np.arange(0, 320, 7)
        rest = linear.score(_without(history, np.arange(len(history))), columns)
        np.testing.assert_allclose(linear.effects(history, columns), linear.score(history, columns) - rest, atol=1e-5)
