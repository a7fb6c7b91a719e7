"""The blend of models, against tables of scores whose worth is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avrec_dag.errors import SettingError
from avrec_dag.recommend.models import weighing
from avrec_dag.recommend.models.base import Files, Interactions, Model
from avrec_dag.recommend.models.blend import Blend, BlendSettings
from avrec_dag.recommend.models.content import Content, ContentSettings, centred
from avrec_dag.recommend.models.effects import of_events
from avrec_dag.recommend.models.item_knn import ItemKnn
from avrec_dag.recommend.models.popularity import Popularity
from avrec_dag.recommend.models.weighing import Examples, last_out, learn, standardise

N_ITEMS, DIM = 60, 8


def interactions(histories: list[list[int]], vectors: np.ndarray | None = None, weights: list[float] | None = None) -> Interactions:
    lengths = [len(one) for one in histories]
    return Interactions(
        users=tuple(f"u{n}" for n in range(len(histories))),
        items=tuple(f"i{n}" for n in range(N_ITEMS)),
        indptr=np.cumsum([0, *lengths]).astype(np.int64),
        columns=np.array([item for one in histories for item in one], np.int32),
        weights=np.array(weights or [1.0] * sum(lengths), np.float32),
        at_s=np.concatenate([np.arange(n, dtype=np.float64) for n in lengths] or [np.zeros(0)]),
        vectors=vectors,
    )


class Table:
    """Scores that stand in a table: one row for every user name."""

    name: ClassVar[str] = "table"
    source: ClassVar[str] = "this test"

    def __init__(self, score_of: Callable[[int], np.ndarray] | None = None) -> None:
        self.score_of = score_of or (lambda _: np.zeros(N_ITEMS))

    def fit(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002
        self.n = len(data.items)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002
        self.n = len(data.items)

    def score(self, histories: Interactions, candidates: np.ndarray | None = None) -> np.ndarray:  # noqa: ARG002
        rows = [self.score_of(int(user[1:])) for user in histories.users]
        return np.array(rows, np.float32).reshape(len(rows), N_ITEMS)

    def save(self) -> Files:
        return {"table.json": b"{}"}

    @classmethod
    def load(cls, files: Files) -> "Table":
        assert set(files) == {"table.json"}
        return cls()


class Noise(Table):
    name: ClassVar[str] = "noise"


class Other(Table):
    name: ClassVar[str] = "other"


def drawn(targets: np.ndarray, strength: float, seed: int) -> Callable[[int], np.ndarray]:
    """Noise for everybody, with the target raised."""

    def score_of(user: int) -> np.ndarray:
        scores = np.random.default_rng([seed, user]).normal(size=N_ITEMS)
        scores[targets[user]] += strength
        return scores

    return score_of


def people(n: int, seed: int = 0) -> tuple[Interactions, np.ndarray]:
    rng = np.random.default_rng(seed)
    histories = [rng.choice(N_ITEMS // 2, rng.integers(1, 6), replace=False).tolist() for _ in range(n)]
    return interactions(histories), rng.integers(N_ITEMS // 2, N_ITEMS, n)


def blended(*components: Model, people: int = 4000) -> Blend:
    blend = Blend(BlendSettings(top=15, people=people))
    blend.compose({one.name: one for one in components})
    return blend


def weighed(components: list[Model], histories: Interactions, targets: np.ndarray) -> Blend:
    blend = blended(*components)
    blend.known(histories)
    blend.weigh(histories, targets)
    return blend


def log_loss(blend: Blend, histories: Interactions, targets: np.ndarray) -> float:
    logits = np.where(histories.met.toarray() > 0, -np.inf, blend.score(histories))
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    return float(-np.log((shares / shares.sum(axis=1, keepdims=True))[np.arange(len(targets)), targets]).mean())


def test_of_a_good_and_a_useless_component_the_good_one_carries_and_the_other_costs_nothing():
    histories, targets = people(400)
    good, noise = Table(drawn(targets, 2.0, 1)), Noise(drawn(targets, 0.0, 2))
    alone, both = weighed([good], histories, targets), weighed([good, noise], histories, targets)
    unseen, wanted = people(400, seed=9)
    good.score_of, noise.score_of = drawn(wanted, 2.0, 3), drawn(wanted, 0.0, 4)
    assert log_loss(both, unseen, wanted) < log_loss(alone, unseen, wanted) + 0.02
    parts = both.parts(unseen).values
    assert parts["noise"].std() < 0.15 * parts["table"].std()


def test_two_components_that_see_different_halves_are_better_together_than_either():
    histories, targets = people(500)
    one, two = Table(drawn(targets, 1.5, 1)), Other(drawn(targets, 1.5, 2))
    losses = [log_loss(weighed(list(parts), histories, targets), histories, targets) for parts in ([one], [two], [one, two])]
    assert losses[2] < min(losses[:2]) - 0.2


def test_a_cold_item_is_carried_by_whoever_knows_it_and_a_known_one_by_behaviour():
    rng = np.random.default_rng(3)
    histories = interactions([rng.choice(40, 5, replace=False).tolist() for _ in range(900)])  # the last twenty items have no support
    targets = np.where(rng.random(900) < 0.3, rng.integers(40, N_ITEMS, 900), rng.integers(0, 40, 900))
    cold = targets >= 40
    behaviour, likeness = drawn(targets, 3.0, 1), drawn(targets, 3.0, 2)
    knows_known = Table(lambda user: np.where(np.arange(N_ITEMS) < 40, behaviour(user), 0.0))
    knows_cold = Other(lambda user: np.where(np.arange(N_ITEMS) >= 40, likeness(user), 0.0))
    blend = weighed([knows_known, knows_cold], histories, targets)
    factors = blend.parts(histories).factors
    assert cold.any()
    assert factors["other"][:, 40:].mean() > factors["other"][:, :40].mean()
    assert factors["table"][:, :40].mean() > 0


def slow_loss(theta: np.ndarray, e: Examples, l2: float) -> float:
    value = 0.0
    for u in range(len(e.target)):
        logits = np.full(e.z.shape[1], -np.inf)
        for m in np.flatnonzero(e.open_to[u]):
            logits[m] = sum(
                e.z[u, m, c] * e.users[u, f] * e.items[u, m, g] * theta[c, f, g]
                for c in range(theta.shape[0])
                for f in range(theta.shape[1])
                for g in range(theta.shape[2])
            )
        value -= e.importance[u] * (logits[e.target[u]] - np.log(np.exp(logits[np.isfinite(logits)]).sum()))
    shrunk = theta**2
    shrunk[:, 0, 0] /= 10
    return value + l2 * float((e.importance**2).sum() * shrunk.sum())


def test_no_theta_nearby_has_a_smaller_loss_by_a_plain_reimplementation():
    rng = np.random.default_rng(0)
    examples = Examples(
        z=rng.normal(size=(30, 7, 2)).astype(np.float32),
        items=rng.normal(size=(30, 7, 3)).astype(np.float32),
        users=rng.normal(size=(30, 2)).astype(np.float32),
        open_to=np.arange(7) < rng.integers(2, 8, (30, 1)),
        target=np.zeros(30, np.int64),
        importance=rng.dirichlet(np.ones(30)),
    )
    theta = learn(examples, l2=0.1).theta
    best = slow_loss(theta, examples, 0.1)
    for _ in range(25):
        assert slow_loss(theta + 0.05 * rng.normal(size=theta.shape), examples, 0.1) > best


@settings(max_examples=50, deadline=None)
@given(
    raw=hnp.arrays(np.float32, (1, 9), elements=st.floats(-100, 100, width=16)),
    open_to=hnp.arrays(bool, (1, 9)),
    stands_for=hnp.arrays(np.float32, 9, elements=st.sampled_from([1.0, 190.0])),
)
def test_one_person_is_standardised_as_of_many(raw, open_to, stands_for):
    alone, scale = standardise(raw, open_to, stands_for)
    among, scales = standardise(np.repeat(raw, 2, axis=0), np.repeat(open_to, 2, axis=0), stands_for)
    np.testing.assert_allclose(scale, scales[:1], rtol=1e-4)
    np.testing.assert_allclose(alone, among[:1], atol=1e-3)


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


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_candidates_hold_the_target_first_every_best_item_and_none_twice(data):
    n, components = data.draw(st.integers(2, 20)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    shut = rng.random((4, n)) < 0.3
    targets = rng.integers(0, n, 4)
    shut[np.arange(4), targets] = False
    z = [np.where(shut, -np.inf, rng.normal(size=(4, n))).astype(np.float32) for _ in range(components)]
    columns, open_to = weighing.drawn(z, targets, top=3, at_random=2, rng=rng)
    assert (columns[:, 0] == targets).all()
    assert open_to[:, 0].all()
    for row in range(4):
        chosen = columns[row][open_to[row]].tolist()
        assert len(set(chosen)) == len(chosen)
        assert not shut[row][chosen].any()
        assert {int(one[row].argmax()) for one in z} <= set(chosen)


def test_holding_out_takes_the_newest_like_and_what_came_after_and_leaves_who_has_only_one():
    data = interactions([[1, 2, 3], [4], [5, 6]], weights=[1, 1, -1, 1, 0.5, 0.5])
    early, rows, targets = last_out(data, 10)
    assert rows.tolist() == [0, 2]
    assert targets.tolist() == [2, 6]
    assert early.columns.tolist() == [1, 4, 5]


def test_a_blend_read_back_scores_the_same_and_a_model_it_does_not_know_is_named():
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, DIM)).astype(np.float32)
    data = replace(people(200)[0], vectors=vectors)
    blend = blended(Popularity(), Content())
    blend.fit(data)
    files = blend.save()
    assert all(name.endswith((".json", ".safetensors")) for name in files)
    np.testing.assert_array_equal(Blend.load(files).score(data), blend.score(data))
    unknown = {**files, "blend.json": files["blend.json"].replace(b'"popularity"', b'"fortune"')}
    with pytest.raises(SettingError, match="made of fortune"):
        Blend.load(unknown)


def test_tuned_on_what_came_next_it_knows_who_is_worth_hearing():
    train, targets = people(300)
    valid = replace(interactions([[int(target)] for target in targets]), users=train.users)
    good, noise = Table(drawn(targets, 2.0, 1)), Noise(drawn(targets, 0.0, 2))
    blend = blended(good, noise)
    blend.tune(train, valid)
    parts = blend.parts(train).values
    assert parts["table"].std() > 3 * parts["noise"].std()
    before = blend.weights
    blend.compose({"table": Table(good.score_of), "noise": Noise(noise.score_of)})
    assert blend.weights is before


def test_the_same_seed_learns_the_same_weights():
    data = people(300)[0]
    thetas = []
    for seed in (1, 1):
        blend = blended(Table(drawn(np.zeros(300, int), 1.0, 1)), people=50)
        blend.fit(data, seed=seed)
        thetas.append(blend.weights.theta)
    np.testing.assert_array_equal(*thetas)


def test_items_that_came_since_are_scored_by_content_and_items_that_left_by_nothing():
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, DIM)).astype(np.float32)
    vectors[1] = vectors[0]
    blend = blended(Table(lambda _: np.arange(N_ITEMS)), Content())
    blend.known(interactions([[0]], vectors))
    moved = interactions([[2]], vectors[[1, 5, 0, *range(3, N_ITEMS)]])  # over "new", i5, i0, i3 ...: i1 and i2 are gone
    moved = replace(moved, items=("new", "i5", "i0", *(f"i{n}" for n in range(3, N_ITEMS))))
    parts = blend.parts(moved)
    assert parts.values["content"][0].argmax() in {0, 2}  # "new" is the double of i0, which was liked
    assert parts.values["table"].shape == (1, N_ITEMS)
    raw = np.append(np.arange(N_ITEMS), np.arange(N_ITEMS).mean())[[60, 5, 0, *range(3, N_ITEMS)]].astype(np.float32)
    expected = standardise(raw[None], moved.met.toarray() == 0)[0] / 2
    np.testing.assert_allclose(parts.values["table"], expected, atol=1e-5)


@pytest.mark.parametrize("histories", [[], [[]], [[3]], [[3], []]])
def test_nobody_nothing_and_one_event_fit_and_score(histories):
    data = interactions(histories, np.zeros((N_ITEMS, DIM), np.float32))
    blend = blended(Table(), Content())
    blend.fit(data)
    assert blend.score(data).shape == (len(histories), N_ITEMS)
    assert np.isfinite(blend.score(data)).all()


def test_content_likes_what_is_like_the_liked_and_unlike_the_disliked():
    vectors = np.zeros((N_ITEMS, DIM), np.float32)
    vectors[np.arange(16), np.arange(16) % DIM] = 1
    data = interactions([[0, 2], []], vectors, [0.9, -0.2])
    scores = Content().score(data)
    assert scores[0].argmax() in {0, 8}
    assert scores[0].argmin() in {2, 10}
    assert (scores[1] == 0).all()
    assert (scores[:, 16:] == 0).all()  # of which nothing is known


def test_of_two_likes_the_newer_one_counts_more_where_older_ones_are_forgotten():
    vectors = centred(np.random.default_rng(1).normal(size=(N_ITEMS, DIM)).astype(np.float32))
    data = interactions([[0, 1]], vectors)
    even, recent = Content().score(data)[0], Content(ContentSettings(recency=0.5)).score(data)[0]
    assert recent[1] - recent[0] > even[1] - even[0]
    assert json.loads(Content(ContentSettings(recency=0.5)).save()["content.json"])["recency"] == 0.5


def test_centring_leaves_unknown_items_at_zero_and_out_of_the_mean():
    vectors = (np.random.default_rng(0).normal(size=(30, 8)) + 10).astype(np.float32)
    half = np.concatenate([vectors, np.zeros((30, 8), np.float32)])
    np.testing.assert_allclose(centred(half)[:30], centred(vectors), atol=1e-6)
    assert (centred(half)[30:] == 0).all()
    assert np.abs(centred(vectors).mean(axis=0)).max() < 0.2


def test_they_keep_the_protocol():
    assert isinstance(Content(), Model)
    assert isinstance(Blend(), Model)


def test_what_an_event_does_is_what_the_score_loses_without_it_and_for_content_its_share():
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, DIM)).astype(np.float32)
    data = interactions([[3, 7, 9]], vectors)
    blend = blended(ItemKnn(), Content())
    blend.fit(interactions([[3, 7, 9, 11], [3, 11], [7, 11, 12], [9, 12]] * 3, vectors))
    items = np.array([11, 12, 40])
    found = of_events(blend, data, items)
    content, knn = blend.components[1], blend.components[0]
    np.testing.assert_allclose(found["content"].sum(axis=0), content.score(data)[0, items], atol=1e-5)
    for event in range(3):
        without = interactions([[item for place, item in enumerate([3, 7, 9]) if place != event]], vectors)
        lost = (knn.score(data) - knn.score(without))[0, items]
        np.testing.assert_allclose(found["item_knn"][event], lost, atol=1e-6)
