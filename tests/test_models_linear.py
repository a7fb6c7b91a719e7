"""What every model without a network promises, whichever it is; what each computes is in the files next to this one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.errors import ModelError
from avrec_dag.recommend.evaluation import accuracy, ranking, splits
from avrec_dag.recommend.models.als import Als, AlsSettings
from avrec_dag.recommend.models.base import Interactions, Model
from avrec_dag.recommend.models.ease import Ease, EaseSettings
from avrec_dag.recommend.models.item_knn import ItemKnn, ItemKnnSettings
from avrec_dag.recommend.models.linear import Linear, LinearSettings
from avrec_dag.recommend.models.popularity import Popularity, PopularitySettings
from tests.made_histories import interactions, two_tastes

MAKERS = {
    "popularity": lambda: Popularity(PopularitySettings(half_life_days=7.0)),
    "item_knn": lambda: ItemKnn(ItemKnnSettings(neighbours=5)),
    "item_knn bm25": lambda: ItemKnn(ItemKnnSettings("bm25", neighbours=5)),
    "ease": lambda: Ease(),
    "ease restricted": lambda: Ease(EaseSettings(l2=5.0, sources=4, exact_items=0)),
    "linear": lambda: Linear(LinearSettings(window=3)),
    "linear restricted": lambda: Linear(LinearSettings(sources=4, exact_items=0)),
    "als": lambda: Als(AlsSettings(factors=4, iterations=3)),
}
every = pytest.mark.parametrize("made", MAKERS)


def fitted(made: str, data: Interactions) -> Model:
    model = MAKERS[made]()
    model.fit(data, seed=1)
    return model


@every
def test_it_is_a_model_that_names_its_source(made):
    model = MAKERS[made]()
    assert isinstance(model, Model)
    assert model.name == made.split()[0]
    assert len(model.source) > 20


@every
def test_it_comes_back_from_its_files_and_nothing_in_them_runs(made):
    data = two_tastes()
    model = fitted(made, data)
    files = model.save()
    again = type(model).load(files)
    np.testing.assert_array_equal(again.score(data), model.score(data))
    assert again.save() == files
    assert sorted(files) == ["model.json", "model.safetensors"]


@every
def test_the_same_seed_gives_the_same_files(made):
    assert fitted(made, two_tastes()).save() == fitted(made, two_tastes()).save()


@every
def test_people_unknown_at_fitting_are_scored_and_candidates_are_columns(made):
    model = fitted(made, two_tastes())
    strangers = interactions([[0, 2], [], [5]], 20)
    scores = model.score(strangers)
    assert scores.shape == (3, 20)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(model.score(strangers, np.array([7, 3])), scores[:, [7, 3]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("made", [made for made in MAKERS if made != "popularity"])
def test_taste_is_told_from_taste(made):
    model = fitted(made, two_tastes(200))
    even, odd = model.score(interactions([[0, 2, 4], [1, 3, 5]], 20))
    assert even[6::2].mean() > even[7::2].mean()
    assert odd[7::2].mean() > odd[6::2].mean()


@every
@pytest.mark.parametrize(("histories", "n_items"), [([], 0), ([], 3), ([[]], 3), ([[], []], 1), ([[0]], 1), ([[0, 0, 0]], 2)], ids=str)
def test_where_there_is_nothing_to_learn_everything_scores_alike_and_files_are_read_back(made, histories, n_items):
    data = interactions(histories, n_items)
    model = fitted(made, data)
    model.fit_partial(data)
    scores = type(model).load(model.save()).score(data)
    assert scores.shape == (len(histories), n_items)
    assert np.isfinite(scores).all()


@every
def test_dislikes_alone_teach_nothing(made):
    model = fitted(made, interactions([[0, 1], [1, 2]], 3, [[-1, -0.5], [-1, 0]]))
    np.testing.assert_allclose(model.score(interactions([[0]], 3)), 0, atol=1e-6)


@every
@pytest.mark.parametrize("field", ["weights", "at_s"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused_with_their_count(made, field, value):
    data = two_tastes(4)
    getattr(data, field)[[1, 3]] = value
    with pytest.raises(ModelError, match="2 of 24 events"):
        MAKERS[made]().fit(data)


@every
def test_histories_over_other_items_are_refused(made):
    with pytest.raises(ModelError, match="over 19 items with a model of 20"):
        fitted(made, two_tastes()).score(interactions([[0]], 19))


@every
def test_events_on_items_that_do_not_exist_are_refused(made):
    with pytest.raises(ModelError, match="outside of the 2 there are"):
        MAKERS[made]().fit(interactions([[0, 2]], 2))


@every
@pytest.mark.parametrize("changed", ["", "{}", "[]", "nonsense", "[" * 100_000, '{"format": 1}'])
def test_hostile_json_is_refused_with_a_sentence(made, changed):
    files = {**fitted(made, two_tastes()).save(), "model.json": changed.encode()}
    with pytest.raises(ModelError, match="fit it again"):
        type(MAKERS[made]()).load(files)


@every
def test_each_missing_or_strange_fact_is_refused(made):
    files = dict(fitted(made, two_tastes()).save())
    facts = json.loads(files["model.json"])
    strange = [{**facts, key: value} for key in facts for value in (None, -1, "x", [1], ["a", "a"], {"a": 1})]
    strange += [{**facts, "settings": {**facts["settings"], key: float("nan")}} for key in facts["settings"]]
    for said in strange:
        with pytest.raises(ModelError):
            type(MAKERS[made]()).load({**files, "model.json": json.dumps(said).encode()})


@every
@settings(max_examples=25, deadline=None)
@given(drawn=st.data())
def test_damaged_arrays_are_refused_or_read_as_finite_numbers(made, drawn):
    data = two_tastes(10)
    files = dict(_files(made))
    content = bytearray(files["model.safetensors"])
    for _ in range(drawn.draw(st.integers(1, 4))):
        content[drawn.draw(st.integers(0, len(content) - 1))] = drawn.draw(st.integers(0, 255))
    cut = drawn.draw(st.integers(0, len(content)))
    files["model.safetensors"] = bytes(content if drawn.draw(st.booleans()) else content[:cut])
    try:
        model = type(MAKERS[made]()).load(files)
    except ModelError:
        return
    assert model.score(data).shape == (10, 20)


_MEMORY: dict[str, dict[str, bytes]] = {}


def _files(made: str) -> dict[str, bytes]:
    if made not in _MEMORY:
        _MEMORY[made] = dict(fitted(made, two_tastes()).save())
    return _MEMORY[made]


@every
def test_new_events_people_and_items_are_learned(made):
    before, after = two_tastes(40, 20), two_tastes(60, 24)
    model = fitted(made, before)
    model.fit_partial(after)
    assert model.score(after).shape == (60, 24)
    assert model.score(interactions([[16, 18]], 24))[0, 20:23:2].max() > 0


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: ItemKnn(ItemKnnSettings("jaccard")),
        lambda: ItemKnn(ItemKnnSettings(neighbours=0)),
        lambda: Ease(EaseSettings(l2=-1.0)),
        lambda: Linear(LinearSettings(l2=0.0)),
        lambda: Linear(LinearSettings(decay=1.5)),
        lambda: Linear(LinearSettings(window=0)),
        lambda: Als(AlsSettings(regularization=0.0)),
        lambda: Als(AlsSettings(recency=2.0)),
        lambda: Popularity(PopularitySettings(half_life_days=-1.0)),
    ],
)
def test_impossible_settings_are_refused(impossible):
    with pytest.raises(ModelError, match="cannot work"):
        impossible()


def test_popularity_counts_people_and_a_half_life_ago_counts_half():
    data = interactions([[0, 0, 1], [0, 2]], 3)
    flat = Popularity()
    flat.fit(data)
    assert flat.score(interactions([[]], 3)).tolist() == [[2, 1, 1]]
    data.at_s[:] = np.array([0, 14, 14, 7, 0]) * 86400.0
    fading = Popularity(PopularitySettings(half_life_days=7.0))
    fading.fit(data)
    np.testing.assert_allclose(fading.score(interactions([[]], 3)), [[1.5, 1, 0.25]])


def test_popularity_within_a_class_is_a_share_of_the_class():
    model = Popularity()
    model.fit(interactions([[0, 1], [0, 2], [0]], 3))
    shares = model.per_class([{"a"}, {"a", "b"}, {"b"}])
    np.testing.assert_allclose(shares["a"], [0.75, 0.25, 0])
    np.testing.assert_allclose(shares["b"], [0, 0.5, 0.5])


@pytest.mark.parametrize("made", ["item_knn", "ease", "linear", "linear restricted"])
@settings(max_examples=20, deadline=None)
@given(
    histories=st.lists(st.lists(st.tuples(st.integers(0, 19), st.sampled_from([-1.0, 0.5, 1.0])), max_size=6), min_size=1, max_size=4),
    k=st.integers(1, 25),
)
def test_lists_made_sparsely_are_those_of_all_scores(made, histories, k):
    if made not in _MODELS:
        _MODELS[made] = fitted(made, two_tastes(100))
    rows = [[item for item, _ in history] for history in histories]
    people = interactions(rows, 20, [[weight for _, weight in history] for history in histories])
    columns, scores = _MODELS[made].top(people, k)
    dense = _MODELS[made].score(people).astype(np.float64)
    dense[people.rows, people.columns] = -np.inf
    for own, listed, told in zip(dense, columns, scores, strict=True):
        expected = np.sort(own[own > 1e-6])[::-1][:k]
        clear = slice(0, len(expected))
        np.testing.assert_allclose(told[clear], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(own[listed[clear]], expected, rtol=1e-4, atol=1e-6)
        assert (told[len(expected) :] < 1e-5).all()
        assert len(set(listed[listed >= 0])) == (listed >= 0).sum() == (told > 0).sum()


_MODELS: dict[str, ItemKnn | Ease | Linear] = {}


def test_item_knn_is_the_cosine_of_who_liked_both():
    data = two_tastes(30, 12)
    model = ItemKnn(ItemKnnSettings(neighbours=12, recency=0.5))
    model.fit(data)
    x = data.liked.toarray()
    lengths = np.maximum(np.linalg.norm(x, axis=0), 1e-9)
    cosine = x.T @ x / np.outer(lengths, lengths)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(model.similar.toarray(), cosine, atol=1e-5)
    np.testing.assert_allclose(model.score(interactions([[3, 8]], 12))[0], 0.5 * cosine[3] + cosine[8], atol=1e-5)


def test_somebody_folded_in_by_als_minimises_what_als_minimises():
    model = Als(AlsSettings(factors=3, iterations=5, alpha=2.0, regularization=0.5))
    model.fit(two_tastes(), seed=3)
    person = model.folded(interactions([[0, 4]], 20))[0].astype(np.float64)
    items, confidence, liked = model.factors.astype(np.float64), np.ones(20), np.zeros(20)
    confidence[[0, 4]], liked[[0, 4]] = 2.0, 1.0
    best = np.linalg.solve(items.T @ (confidence[:, None] * items) + 0.5 * np.eye(3), items.T @ (confidence * liked))
    np.testing.assert_allclose(person, best, rtol=1e-3, atol=1e-4)


def walks(people: int, items: int, length: int, seed: int) -> Interactions:
    """People of six tastes, each liking the items of the taste at random, popular ones more often."""
    rng = np.random.default_rng(seed)
    share = 1.0 / np.arange(1, items // 6 + 1)
    histories = [rng.choice(items // 6, length, replace=False, p=share / share.sum()) * 6 + person % 6 for person in range(people)]
    return interactions([history.tolist() for history in histories], items)


def test_als_folding_in_is_within_a_hundredth_of_the_ndcg_of_a_refit():
    """A tenth of the people are new, and everybody else has done something since."""
    parts = splits.split(walks(1500, 240, 12, 0), "leave-one-out")
    old = parts.train.of(np.arange(1350))
    kept = np.ones(len(old), bool)
    kept[old.indptr[1:] - 1] = False
    learning, anew = Als(AlsSettings(factors=16)), Als(AlsSettings(factors=16))
    learning.fit(old.only(kept), seed=0)
    learning.fit_partial(parts.known)
    anew.fit(parts.known, seed=0)
    sought = ranking.wanted(parts.known, parts.test)
    folded, refitted = (
        accuracy.per_user(ranking.ranked(model.score, parts.known, sought), 10)["ndcg@10"].mean() for model in (learning, anew)
    )
    assert refitted > 0.1
    assert folded >= 0.99 * refitted
