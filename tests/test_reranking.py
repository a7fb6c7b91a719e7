"""Lists from scores: what may stand on them, how far they are spread, whose mix of classes they have."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avrec_dag.recommend.metrics import intra_list_distance
from avrec_dag.recommend.reranking.calibrating import calibrated, divergence, lift
from avrec_dag.recommend.reranking.candidates import best, of_scores
from avrec_dag.recommend.reranking.curve import Case, best_within, measure, picture
from avrec_dag.recommend.reranking.knobs import METHODS, Knobs
from avrec_dag.recommend.reranking.listing import Reranker, Shelf
from avrec_dag.recommend.reranking.personal import Population, _variety, shares, strength, varieties
from avrec_dag.recommend.reranking.spreading import discounts, spread, swapped


def unit(n: int, seed: int, dim: int = 8) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clustered(seed: int, n: int = 120, classes: int = 12, noise: float = 0.8, dim: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that follow a person's taste for classes, vectors around the classes, the class of each."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.dirichlet(np.full(classes, 0.4)), rng.integers(0, classes, n)
    vectors = unit(classes, seed, dim)[kind] + noise * rng.normal(size=(n, dim)).astype(np.float32) / np.sqrt(dim)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return (3 * taste[kind] + rng.gamma(1, 0.3, n)).astype(np.float32), vectors.astype(np.float32), kind


def shelf_of(vectors, groups=None, creators=None, kind=None) -> Shelf:
    items = [str(place) for place in range(len(vectors))]
    makers = None if creators is None else {item: f"maker {one}" for item, one in zip(items, creators, strict=True) if one >= 0}
    classes = None if kind is None else {item: {f"class {one:02d}": 1.0} for item, one in zip(items, kind, strict=True)}
    return Shelf.of(items, vectors, groups=None if groups is None else np.asarray(groups), creators=makers, classes=classes)


def row_of(weights: dict[int, float], n: int) -> sp.csr_matrix:
    return sp.csr_matrix((np.array(list(weights.values()), np.float32), ([0] * len(weights), list(weights))), shape=(1, n))


scores_of = st.lists(st.one_of(st.floats(-5, 5, width=32), st.just(float("-inf"))), min_size=0, max_size=60)
knobs_of = st.builds(
    Knobs,
    relevance=st.floats(0.01, 1),
    quality=st.floats(0, 1),
    diversity=st.floats(0, 1),
    personal=st.floats(0, 1),
    calibration=st.floats(0, 1),
    per_creator=st.integers(1, 6),
    method=st.sampled_from(METHODS),
)


@settings(max_examples=150, deadline=None)
@given(scores=scores_of, k=st.integers(0, 25), knobs=knobs_of, seed=st.integers(0, 50), makers=st.integers(1, 8))
@example(  # the copy whose class is lifted is another creator's
    scores=[0.0, -np.inf, -np.inf, 0.0, 0.0, 0.0, -np.inf], k=2, seed=13, makers=1,
    knobs=Knobs(relevance=1.0, quality=0.0, diversity=0.0, personal=0.0, calibration=1.0, per_creator=1, method="swap"),
)  # fmt: skip
def test_a_list_repeats_nothing_shows_nothing_barred_is_as_long_as_it_can_be_and_keeps_to_the_cap(scores, k, knobs, seed, makers):
    n, final, rng = len(scores), np.array(scores, np.float32), np.random.default_rng(seed)
    groups, creators, kind = rng.integers(0, max(n - 5, 1), n), rng.integers(-1, makers, n), rng.integers(0, 5, n)
    liked = row_of(dict.fromkeys(rng.integers(0, n, 4).tolist(), 1.0), n) if n else row_of({}, 0)
    reranker = Reranker.of(shelf_of(unit(n, seed), groups, creators, kind), liked)
    listed = reranker.listed(final, liked, k, knobs)
    chosen = [one.position for one in listed]
    open_to = np.flatnonzero(np.isfinite(final))
    assert len(chosen) == min(k, len(set(groups[open_to].tolist())))
    assert len(set(groups[chosen].tolist())) == len(chosen)
    assert np.isfinite(final[chosen]).all()
    counts = np.bincount(creators[chosen][creators[chosen] >= 0], minlength=1)
    assert counts.max(initial=0) <= knobs.per_creator or any(one.beyond_cap for one in listed)
    # A cap gives way only where the best of each group, capped, would leave places empty.
    firsts = [
        int(members[np.argmax(final[members])]) for members in (open_to[groups[open_to] == one] for one in set(groups[open_to].tolist()))
    ]
    makers_left = creators[firsts]
    allowed = sum(min(int((makers_left == one).sum()), knobs.per_creator) for one in set(makers_left[makers_left >= 0].tolist()))
    allowed += int((makers_left < 0).sum())
    assert not any(one.beyond_cap for one in listed) or allowed < len(chosen)


@settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=60), k=st.integers(1, 20), method=st.sampled_from(METHODS))
def test_without_diversity_and_calibration_the_order_is_that_of_the_scores(scores, k, method):
    final, n = np.array(scores, np.float32), len(scores)
    reranker = Reranker.of(shelf_of(unit(n, 0), creators=np.arange(n)), row_of({0: 1.0}, n))
    listed = reranker.listed(final, row_of({0: 1.0}, n), k, Knobs(diversity=0.0, calibration=0.0, method=method))
    assert final[[one.position for one in listed]].tolist() == np.sort(final)[::-1][:k].tolist()
    assert {one.because for one in listed} == {"score"}


@settings(max_examples=60, deadline=None)
@given(scores=scores_of, width=st.integers(1, 30))
def test_the_best_are_those_that_a_full_sort_puts_first(scores, width):
    final = np.array(scores, np.float32)
    everything = [place for place in np.argsort(-final, kind="stable").tolist() if np.isfinite(final[place])]
    assert best(final, width)[:width].tolist() == everything[:width]


def test_of_a_group_of_copies_the_best_scored_stands_on_the_list():
    found = of_scores(np.array([3, 9, 8, 1.0]), np.array([0, 0, 1, 1]), np.full(4, -1), 4, per_creator=9, decay=0.0)
    assert found.positions.tolist() == [1, 2]


def test_further_items_of_a_creator_count_less_the_more_variety_is_wanted_and_deep_creators_are_found_under_a_cap():
    n = 5000
    scores = np.linspace(1, 0, n)
    creators = np.where(np.arange(n) < 4900, 0, np.arange(n))
    np.testing.assert_allclose(
        of_scores(scores, np.arange(n), np.full(n, -1), 20, per_creator=2, decay=0.0, chances=True).relevance[:9],
        np.exp(np.sort(scores)[::-1][:9] - scores.max()),
        rtol=1e-5,
    )
    capped = of_scores(scores, np.arange(n), creators, 20, per_creator=2, decay=0.0)
    assert capped.positions[:3].tolist() == [0, 1, 4900]
    assert (capped.nth < 2).all()
    plain, decayed = (of_scores(scores[:100], np.arange(100), np.zeros(100, int), 9, per_creator=9, decay=d) for d in (0.0, 1.0))
    np.testing.assert_allclose(decayed.relevance[:3] / plain.relevance[:3], [1, 0.625, 0.4375], rtol=1e-6)


POOLS = [clustered(seed) for seed in range(12)]
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


def curve(method) -> np.ndarray:
    """Mean distance within lists of ten for each setting of the knob."""
    ordered = [(scores[order], vectors[order]) for scores, vectors, _ in POOLS for order in [np.argsort(-scores)]]
    scaled = [((scores - scores.min()) / np.ptp(scores), vectors) for scores, vectors in ordered]
    return np.array(
        [np.mean([intra_list_distance(v[spread(s, v, 10, diversity=step, method=method)]) for s, v in scaled]) for step in STEPS]
    )


def test_each_method_spreads_more_the_further_its_knob_is_turned_and_all_of_them_about_as_far():
    curves = np.array([curve(method) for method in METHODS])
    assert (np.diff(curves, axis=1) > -0.01).all()
    assert (curves[:, -1] > curves[:, 0] + 0.2).all()
    reach = (curves - curves[:, :1]) / (curves[:, -1:] - curves[:, :1])
    assert np.ptp(reach[:, 1:-1], axis=0).max() < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_items_without_content_and_equal_scores_are_no_trouble(method):
    assert sorted(spread(np.ones(5, np.float32), np.zeros((5, 4), np.float32), 5, diversity=0.5, method=method)) == [0, 1, 2, 3, 4]


def worth_of(chosen: tuple[int, ...], relevance: np.ndarray, vectors: np.ndarray, odds: float) -> float:
    others = len(chosen) - 1
    apart = sum((1 - float(vectors[a] @ vectors[b])) / others for a in chosen for b in chosen if a != b)
    return float(-np.sort(-relevance[list(chosen)]) @ discounts(len(chosen))) + odds * apart


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 9), k=st.integers(2, 5), odds=st.floats(0, 8), seed=st.integers(0, 10_000))
def test_local_search_ends_where_no_swap_helps_and_near_the_best_of_all_sets(n, k, odds, seed):
    k, rng = min(k, n), np.random.default_rng(seed)
    relevance, vectors = -np.sort(-rng.random(n)).astype(np.float32), unit(n, seed)
    chosen = tuple(swapped(relevance, vectors, k, odds=odds))
    assert list(chosen) == sorted(set(chosen)) and len(chosen) == k
    reached = worth_of(chosen, relevance, vectors, odds)
    every = {one: worth_of(one, relevance, vectors, odds) for one in combinations(range(n), k)}
    assert reached >= max(value for one, value in every.items() if len(set(one) & set(chosen)) == k - 1 or one == chosen) - 1e-5
    assert reached >= max(every.values()) / 2 - 1e-5


@pytest.mark.parametrize("diversity", [1e-4, 0.01, 0.5, 0.999, 1.0])
def test_the_determinantal_process_stays_finite_however_steep_the_scores(diversity):
    relevance = np.array([1.0] + [0.0] * 99, np.float32)
    assert len(spread(relevance, unit(100, 3), 20, diversity=diversity, method="dpp")) == 20


@pytest.mark.parametrize(
    "wrong",
    [{"diversity": -0.1}, {"diversity": 1.1}, {"diversity": float("nan")}, {"per_creator": 0}, {"method": "magic"}, {"calibration": 2},
     {"relevance": 0, "quality": 0, "diversity": 0}],
)  # fmt: skip
def test_a_knob_outside_its_range_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must|nothing is left"):
        Knobs().turned(**wrong)
    with pytest.raises(ValueError, match="k must be at least 0"):
        Reranker.of(shelf_of(unit(3, 0)), row_of({}, 3)).listed(np.ones(3), row_of({}, 3), -1, Knobs())


def test_relevance_shifts_weight_to_quality_and_variety_and_at_one_leaves_both_knobs_as_they_are():
    assert (Knobs(quality=0.2, diversity=0.3).quality_share, Knobs(quality=0.2, diversity=0.3).variety_share) == pytest.approx((0.2, 0.3))
    halves = [Knobs(relevance=r, quality=0.2, diversity=0.3) for r in (1.0, 0.5, 0.1, 0.0)]
    for share in ("quality_share", "variety_share"):
        found = [getattr(one, share) for one in halves]
        assert found == sorted(found) and len(set(found)) == 4
    assert halves[-1].quality_share == 1.0


def slow_variety(weights: np.ndarray, vectors: np.ndarray) -> float:
    pairs = [(a, b) for a in range(len(weights)) for b in range(len(weights)) if a != b]
    total = sum(weights[a] * weights[b] for a, b in pairs)
    return sum(weights[a] * weights[b] * (1 - float(vectors[a] @ vectors[b])) for a, b in pairs) / total


@settings(max_examples=40, deadline=None)
@given(weights=st.lists(st.floats(0.0625, 1, width=32), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_variety_is_the_mean_distance_of_two_different_items_drawn_by_weight(weights, seed):
    vectors = unit(len(weights), seed)
    variety, worth = varieties(shares(row_of(dict(enumerate(weights)), len(weights))), vectors)
    assert variety[0] == pytest.approx(slow_variety(np.array(weights), vectors), abs=1e-5)
    assert 1 <= worth[0] <= len(weights) + 1e-6


def test_who_watches_all_sorts_of_things_gets_more_variety_and_little_history_moves_little():
    vectors = np.repeat(np.eye(10, dtype=np.float32), 4, axis=0)
    narrow, broad = row_of(dict.fromkeys(range(4), 1.0), 40), row_of(dict.fromkeys(range(0, 40, 4), 1.0), 40)
    short, nobody = row_of(dict.fromkeys((0, 4), 1.0), 40), row_of({}, 40)
    usual = Population.of(sp.vstack([narrow, broad, narrow, broad]).tocsr(), vectors, sp.csr_matrix((40, 0)))
    at = [strength(0.3, one, vectors, usual, personal=1.0) for one in (narrow, nobody, short, broad)]
    assert at[1] == 0.3
    assert at[0] < 0.3 < at[2] < at[3]
    assert [strength(0.3, one, vectors, usual, personal=0.0) for one in (narrow, broad)] == [0.3, 0.3]
    for end in (0.0, 1.0):
        assert strength(end, broad, vectors, usual, personal=1.0) == end
    knobs = [strength(knob, broad, vectors, usual, personal=0.7) for knob in (0.1, 0.3, 0.5, 0.9)]
    assert knobs == sorted(knobs)


def test_a_calibrated_list_has_the_mix_that_was_asked_for():
    kind = np.array([0] * 40 + [1] * 40 + [2] * 40)
    classes = np.eye(3, dtype=np.float32)[kind]
    wanted = np.array([0.5, 0.3, 0.2], np.float32)
    found = [np.bincount(kind[calibrated(classes, wanted, 10, strength=s)], minlength=3) / 10 for s in (0.0, 0.5, 0.9)]
    away = [float(divergence(wanted, one[None])[0]) for one in found]
    assert found[0].tolist() == [1, 0, 0]
    assert away[0] > away[1] >= away[2]
    np.testing.assert_allclose(found[2], wanted, atol=0.1)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.integers(1, 9), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_divergence_is_zero_for_the_same_mix_and_positive_else_and_scipy_agrees(parts, seed):
    from scipy.stats import entropy

    wanted, other = np.array(parts) / sum(parts), np.random.default_rng(seed).dirichlet(np.ones(len(parts)))
    same, apart = divergence(wanted, np.stack([wanted, other]))
    assert same == pytest.approx(0, abs=1e-12)
    assert apart == pytest.approx(entropy(wanted, 0.99 * other + 0.01 * wanted), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=30),
    parts=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    shut=st.booleans(),
)
def test_lifted_chances_of_classes_add_up_to_the_mix_and_what_is_barred_has_none(scores, parts, shut):
    kind, wanted = np.arange(len(scores)) % 3, np.array(parts) / sum(parts)
    final = np.array(scores, np.float64)
    final[0] = -np.inf if shut else final[0]
    found = lift(final, sp.csr_matrix(np.eye(3, dtype=np.float32)[kind]), wanted)
    chances = np.exp(final) * found[kind]
    mix = np.bincount(kind, chances, minlength=3) / chances.sum()
    expected = np.bincount(kind, np.exp(final), minlength=3) / np.exp(final).sum()
    if (np.abs(np.log(wanted / expected)) < np.log(100)).all():
        np.testing.assert_allclose(mix, wanted, atol=1e-6)
    assert ((found >= 0.01) & (found <= 100)).all()
    assert lift(np.full(len(scores), -np.inf), sp.csr_matrix(np.eye(3, dtype=np.float32)[kind]), wanted).tolist() == [1.0] * 3


def test_calibration_before_local_search_raises_a_class_that_was_liked_and_says_so():
    scores, vectors, kind = POOLS[0]
    other = next(one for one in kind[np.argsort(-scores)[10:30]] if one not in kind[np.argsort(-scores)[:10]])
    liked = row_of(dict.fromkeys(np.flatnonzero(kind == other)[:6].tolist(), 1.0), len(scores))
    reranker, plain = Reranker.of(shelf_of(vectors, kind=kind), liked), set(np.argsort(-scores)[:10].tolist())
    listed = reranker.listed(scores, liked, 10, Knobs(diversity=0.0, calibration=1.0, method="swap"))
    assert {one.because for one in listed} <= {"score", "mix"}
    assert all((one.because == "score") == (one.position in plain) for one in listed)
    assert {one.missing for one in listed if one.because == "mix"} == {f"class {other:02d}"}
    varied = reranker.listed(scores, liked, 10, Knobs(diversity=0.7, calibration=0.5, method="swap"))
    assert "variety" in {one.because for one in varied}


def test_what_stands_on_a_list_says_whether_its_score_variety_or_the_mix_put_it_there():
    scores, vectors, kind = POOLS[0]
    order = np.argsort(-scores)
    other = next(one for one in kind[order[10:30]] if one not in kind[order[:10]])
    liked = row_of(dict.fromkeys(np.flatnonzero(kind == other)[:6].tolist(), 1.0), len(scores))
    reranker = Reranker.of(shelf_of(vectors, kind=kind), liked)
    plain = set(np.argsort(-scores)[:10].tolist())
    for one in reranker.listed(scores, liked, 10, Knobs(diversity=0.6, calibration=0.0)):
        assert one.because == ("score" if one.position in plain else "variety")
    mixed = [one for one in reranker.listed(scores, liked, 10, Knobs(diversity=0.0, calibration=0.9)) if one.because == "mix"]
    assert mixed
    assert all(one.missing == f"class {kind[one.position]:02d}" for one in mixed)
    again = Reranker.of(shelf_of(vectors, kind=kind), liked)
    assert reranker.listed(scores, liked, 10, Knobs()) == again.listed(scores, liked, 10, Knobs())


def test_lists_are_varied_by_what_stands_on_them_and_ordered_by_score():
    scores, vectors, kind = POOLS[1]
    liked = row_of({0: 1.0}, len(scores))
    listed = Reranker.of(shelf_of(vectors, kind=kind), liked).listed(scores, liked, 10, Knobs(diversity=0.7, calibration=0.5))
    assert scores[[one.position for one in listed]].tolist() == sorted((scores[one.position] for one in listed), reverse=True)


def test_the_curve_tells_what_variety_costs_and_the_furthest_setting_within_a_share_of_the_best():
    cases = []
    for seed in range(6):
        scores, _, kind = clustered(seed)
        scores = scores.astype(np.float64)
        relevant = frozenset(np.argsort(-scores)[:12:2].tolist())
        cases.append(Case(scores, row_of(dict.fromkeys(np.flatnonzero(kind == 1)[:3].tolist(), 1.0), len(scores)), relevant))
    _, vectors, kind = POOLS[0]
    reranker = Reranker.of(shelf_of(vectors, kind=kind), sp.vstack([case.liked for case in cases]).tocsr())
    turned = {f"{step:g}": Knobs(diversity=step, quality=0.0) for step in (0.0, 0.3, 0.9)}
    points = measure(reranker, cases, turned, np.linspace(0, 1, 120), 10)
    plain = [np.argsort(-case.scores)[:10] for case in cases]
    assert points["0"].distance == pytest.approx(np.mean([intra_list_distance(vectors[one]) for one in plain]))
    assert points["0"].coverage == len({item for one in plain for item in one.tolist()}) / 120
    gained = [sum(1 / np.log2(place + 2) for place in range(10) if place % 2 == 0) for _ in cases]
    assert points["0"].ndcg == pytest.approx(np.mean(gained) / sum(1 / np.log2(place + 2) for place in range(6)))
    assert points["0"].distance < points["0.3"].distance < points["0.9"].distance
    assert points["0"].ndcg > points["0.9"].ndcg
    assert best_within(points, 0.0) == "0.9" and best_within(points, 1.0) == "0"
    assert picture({"mmr": list(points.values())}).startswith(b"\x89PNG")


@settings(max_examples=60, deadline=None)
@given(weights=st.lists(st.floats(-1, 1, width=32), max_size=12), seed=st.integers(0, 30))
def test_the_variety_of_one_person_is_that_of_one_among_many(weights, seed):
    vectors, liked = unit(12, seed), row_of(dict(enumerate(weights)), 12)
    variety, worth = varieties(shares(liked), vectors)
    assert _variety(liked, vectors) == pytest.approx((variety[0], worth[0]), rel=1e-5, abs=1e-6)
