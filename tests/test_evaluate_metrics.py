"""Splits, ranks, metrics and tests of significance, each against a plain slow reimplementation or another library."""

from itertools import chain, combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.recommend.evaluation import accuracy, beyond, comparing, ranking, splits
from avrec_dag.recommend.evaluation.choosing import choose
from avrec_dag.recommend.models.base import Interactions


def made(
    histories: list[list[int]], n_items: int, at_s: list[list[float]] | None = None, vectors: np.ndarray | None = None
) -> Interactions:
    flat = [item for history in histories for item in history]
    times = at_s or [list(range(len(history))) for history in histories]
    return Interactions(
        users=tuple(f"u{place}" for place in range(len(histories))),
        items=tuple(f"i{place}" for place in range(n_items)),
        indptr=np.cumsum([0, *map(len, histories)]).astype(np.int64),
        columns=np.array(flat, np.int32),
        weights=np.ones(len(flat), np.float32),
        at_s=np.array([one for some in times for one in some], np.float64),
        vectors=vectors,
    )


def told(data: Interactions) -> list[list[int]]:
    return [data.columns[start:end].tolist() for start, end in zip(data.indptr, data.indptr[1:], strict=False)]


def test_leave_one_out_tests_the_last_item_and_validates_on_the_one_before():
    found = splits.split(made([[0, 1, 2, 3], [0, 1], [2], []], 4), "leave-one-out")
    assert told(found.train) == [[0, 1], [0], [2], []]
    assert told(found.valid) == [[2], [], [], []]
    assert told(found.test) == [[3], [1], [], []]
    assert told(found.known) == [[0, 1, 2], [0], [2], []]


def recbole_sizes(total: int) -> list[int]:
    """`_calcu_split_ids` of RecBole 1.2, as its source has it."""
    ratios = [0.8, 0.1, 0.1]
    cnt = [int(ratios[i] * total) for i in range(3)]
    cnt[0] = total - sum(cnt[1:])
    for i in range(1, 3):
        if cnt[0] <= 1:
            break
        if 0 < ratios[-i] * total < 1:
            cnt[-i] += 1
            cnt[0] -= 1
    return cnt


@pytest.mark.parametrize("kind", ["random", "user-time"])
def test_shares_within_each_user_are_those_of_recbole(kind):
    histories = [list(range(n)) for n in range(45)]
    found = splits.split(made(histories, 45), kind, seed=3)
    for n, parts in enumerate(zip(told(found.train), told(found.valid), told(found.test), strict=True)):
        assert [len(part) for part in parts] == recbole_sizes(n)
        assert sorted(chain(*parts)) == list(range(n))
        if kind == "user-time":
            assert list(chain(*parts)) == list(range(n))
    if kind == "random":
        assert told(splits.split(found.data, kind, seed=3).test) == told(found.test) != told(splits.split(found.data, kind, seed=4).test)
        assert any(test != sorted(test)[-len(test) :] or test[0] < n - 5 for n, test in enumerate(told(found.test)) if n > 20)


def test_global_time_cuts_everybody_at_the_same_moment_and_no_second_in_two():
    data = made([[0, 1, 2], [3, 0], [1, 2, 3, 0, 1]], 4, [[1, 2, 9], [9, 9], [3, 4, 5, 6, 8]])
    found = splits.split(data, "global-time")
    assert data.at_s[found.part == splits.TEST].tolist() == [9, 9, 9]
    assert data.at_s[found.part == splits.VALID].size == 0  # the ninth tenth begins within that second
    with pytest.raises(SettingError, match="needs timestamps"):
        splits.split(data, "global-time", clock=False)


def scored(scores: np.ndarray):
    """A model that gives each user, by name, a row."""
    return lambda some: scores[[int(name[1:]) for name in some.users]]


def expected_ranks(scores: np.ndarray, met: set[int], relevant: set[int]) -> list[float]:
    """Average places of the relevant items over all ways to break ties, group by group."""
    ranks = []
    candidates = [item for item in range(len(scores)) if item not in met]
    for value in sorted({scores[item] for item in relevant}, reverse=True):
        above = sum(scores[item] > value for item in candidates)
        tied = [item for item in candidates if scores[item] == value]
        r = sum(item in relevant for item in tied)
        # Of all sets of r places out of t, the mean of the j-th smallest.
        ways = np.array(list(combinations(range(1, len(tied) + 1), r)))
        ranks += (above + ways.mean(axis=0)).tolist()
    return [rank for rank in ranks if rank <= ranking.K]


_case = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-2, 2), min_size=n, max_size=n),
        st.sets(st.integers(0, n - 1), max_size=n - 1),
        st.sets(st.integers(0, n - 1), min_size=1, max_size=3),
    )
)


@settings(max_examples=150, deadline=None)
@given(_case)
def test_ranks_with_ties_are_the_average_over_all_ways_to_break_them(case):
    values, met, targets = case
    scores = np.array([values], np.float32)
    histories, sought = made([sorted(met)], len(values)), made([sorted(targets)], len(values))
    wanted = ranking.wanted(histories, sought)
    assert wanted.n_met == len(targets & met)
    found = ranking.ranked(scored(scores), histories, wanted)
    if targets <= met:
        assert not len(found.n_relevant)
        return
    assert found.ranks.tolist() == pytest.approx(expected_ranks(scores[0], met, targets - met))
    shown = [item for item in found.lists[0].tolist() if item >= 0]
    assert sorted(shown) == sorted(set(range(len(values))) - met)
    assert [values[item] for item in shown] == sorted((values[item] for item in shown), reverse=True)


def random_case(seed: int, users: int = 60, items: int = 80):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(users, items)).astype(np.float32)
    met = [rng.choice(items, rng.integers(0, 20), replace=False).tolist() for _ in range(users)]
    targets = [rng.choice(sorted(set(range(items)) - set(one)), rng.integers(1, 15), replace=False).tolist() for one in met]
    return scores, met, targets


def test_metrics_equal_plain_definitions_and_scikit_learn():
    from sklearn.metrics import ndcg_score

    scores, met, targets = random_case(0)
    histories = made(met, 80)
    found = ranking.ranked(scored(scores), histories, ranking.wanted(histories, made(targets, 80)))
    for k in accuracy.CUTOFFS:
        ours = accuracy.per_user(found, k)
        for user in range(60):
            open_to = np.array(sorted(set(range(80)) - set(met[user])))
            order = open_to[np.argsort(-scores[user, open_to])][:k].tolist()
            hits = [item in targets[user] for item in order]
            precisions = [sum(hits[: place + 1]) / (place + 1) for place in range(k) if hits[place]]
            truth = np.isin(open_to, targets[user]).astype(float)
            plain = {
                "hit": float(any(hits)),
                "ndcg": ndcg_score([truth], [scores[user, open_to]], k=k),
                "recall": sum(hits) / len(targets[user]),
                "precision": sum(hits) / k,
                "map": sum(precisions) / min(k, len(targets[user])),
                "mrr": next((1 / (place + 1) for place in range(k) if hits[place]), 0.0),
            }
            assert {f"{name}@{k}": pytest.approx(value, abs=1e-9) for name, value in plain.items()} == {
                name: values[user] for name, values in ours.items()
            }


def test_batches_change_nothing(monkeypatch):
    scores, met, targets = random_case(1)
    histories = made(met, 80)
    wanted = ranking.wanted(histories, made(targets, 80))
    steps: list[tuple[int, int]] = []
    whole = ranking.ranked(scored(scores), histories, wanted)
    monkeypatch.setattr(ranking, "CELLS", 560)
    parts = ranking.ranked(scored(scores), histories, wanted, told=lambda done, total: steps.append((done, total)))
    for name in ("n_relevant", "users", "ranks", "lists"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert steps[0] == (7, 60) and steps[-1] == (60, 60)


def test_everything_tied_hits_as_often_as_chance():
    n, k = 50, 10
    histories, wanted = made([[]] * 3, n), made([[4], [0, 49], list(range(30))], n)
    found = ranking.ranked(lambda some: np.zeros((len(some.users), n), np.float32), histories, ranking.wanted(histories, wanted))
    assert found.ranks[found.users == 0].tolist() == []  # 25.5, the middle
    assert found.ranks[found.users == 1].tolist() == [17.0]
    recall = accuracy.per_user(found, k)[f"recall@{k}"][2]
    assert recall == pytest.approx(k / n, abs=1 / 30)
    assert len(np.unique(found.lists[0])) == ranking.K
    assert found.lists[0].tolist() != list(range(ranking.K))  # not simply those that come first in the file


@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_scores_that_are_no_numbers_are_refused(value, said):
    histories = made([[0]], 3)
    with pytest.raises(AvrecError, match=said):
        ranking.ranked(scored(np.array([[1, value, 2]], np.float32)), histories, ranking.wanted(histories, made([[1]], 3)))
    with pytest.raises(AvrecError, match="shape"):
        ranking.ranked(lambda _: np.zeros((1, 2), np.float32), histories, ranking.wanted(histories, made([[1]], 3)))


def test_a_model_may_keep_the_array_it_gives():
    scores = np.arange(6, dtype=np.float32).reshape(2, 3)
    kept = scores.copy()
    histories = made([[0], [1]], 3)
    ranking.ranked(lambda _: scores, histories, ranking.wanted(histories, made([[1], [2]], 3)))
    np.testing.assert_array_equal(scores, kept)


def test_what_accuracy_does_not_see():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [-1, 0]], np.float32)
    known = made([[0, 1], [0], [0, 2], []], 5, vectors=vectors)
    base = beyond.background(known, np.array([5, 1, 5, 3, 5], np.float32))
    lists = np.array([[2, 3, -1], [4, 0, 2]], np.int32)
    relevant = sp.csr_matrix(np.array([[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]], np.float32))
    found = beyond.measured(lists, np.array([0, 3]), relevant, base, 3, seed=0)
    # Users per item 3, 1, 1, 0, 0, of three who have a history; who nobody met counts as met by one.
    bits = -np.log2(np.array([3, 1, 1, 1, 1]) / 3)
    assert found["novelty@3"] == pytest.approx(np.mean([bits[[2, 3]].mean(), bits[[4, 0, 2]].mean()]))
    assert found["coverage@3"] == 4 / 5
    assert found["popularity@3"] == pytest.approx(np.mean([0.5, 4 / 3]))
    assert found["popularity_bias@3"] == pytest.approx(0.5 / 2 - 1)  # only the first has a history: its items were met by 3 and 1
    assert found["intra_list_distance@3"] == pytest.approx(np.mean([0.0, (2 + 1 + 1) / 3]))
    # Item 3 at place 2 of 5, expected nowhere; item 2 at place 3, by popularity at place 2.
    assert found["serendipity@3"] == pytest.approx(np.mean([(4 / 5) / 2, 0.0]))
    quality = (np.array([2.5, 0, 1, 0, 0]) + 5 * 0.7) / (np.array([3, 1, 1, 0, 0]) + 5)
    assert found["quality@3"] == pytest.approx(np.mean([quality[[2, 3]].mean(), quality[[4, 0, 2]].mean()]))


def test_calibration_error_is_nothing_where_lists_are_as_histories_and_steck_elsewhere():
    known = made([[0, 0, 1, 2]], 6)
    base = beyond.background(known, None)
    assert base.distances_from == "audience"
    classes = np.array([0, 0, 1, 0, 0, 1])
    same = beyond._calibration_error(np.array([[3, 4, 5]]), np.ones((1, 3), bool), known.met, classes)
    assert same == pytest.approx(0)
    other = beyond._calibration_error(np.array([[5, 5, 5]]), np.ones((1, 3), bool), known.met, classes)
    p, q = np.array([2 / 3, 1 / 3]), np.array([0.0, 1.0])
    assert other == pytest.approx(stats.entropy(p, 0.99 * q + 0.01 * p))


def test_popularity_classes_draw_a_fifth_of_all_events_at_each_end():
    assert beyond._by_popularity(np.array([1, 20, 60, 19])).tolist() == [2, 1, 0, 2]


def test_the_paired_tests_agree_with_scipy():
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.03, 0.2):
        one = rng.random(40)
        other = one + rng.normal(shift, 0.1, 40)
        judged = stats.permutation_test((one, other), lambda a, b: (a - b).mean(), permutation_type="samples", n_resamples=4000, rng=2)
        assert comparing.randomisation_p(one - other, seed=0) == pytest.approx(judged.pvalue, abs=0.03)
        low, high = comparing.intervals({"one": one}, seed=0)["one"]
        their = stats.bootstrap((one,), np.mean, method="percentile", n_resamples=2000, rng=3).confidence_interval
        assert (low, high) == pytest.approx((their.low, their.high), abs=0.015)
    assert comparing.randomisation_p(np.zeros(9), seed=0) == 1.0


def test_pairs_are_corrected_for_their_number():
    # R: p.adjust(c(0.01, 0.04, 0.03), "holm")
    assert comparing.holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    rng = np.random.default_rng(0)
    base = rng.random(300)
    found = comparing.compared("ndcg@10", {"a": base, "b": base + rng.normal(0, 0.01, 300), "c": base - rng.random(300)}, seed=0)
    assert [(one.a, one.b, one.significant) for one in found] == [("a", "b", False), ("a", "c", True), ("b", "c", True)]
    assert found[1].low < found[1].difference < found[1].high
    assert found[1].difference == pytest.approx(0.5, abs=0.05)
    assert comparing.compared("ndcg@10", {"a": base}, seed=0) == []


def test_settings_are_found_axis_by_axis_within_the_budget():
    clock = [0.0]

    def score(point):
        clock[0] += 10
        return -((point["x"] - 3) ** 2) - (point["y"] - 1) ** 2

    axes = {"x": (0, 3, 9), "y": (0, 1)}
    found = choose(axes, score, budget_s=1000, now_s=lambda: clock[0])
    assert (found.best.settings, found.untried, len(found.trials)) == ({"x": 3, "y": 1}, 0, 6)
    short = choose(axes, score, budget_s=25, now_s=lambda: clock[0])
    assert (short.best.settings, short.untried, len(short.trials)) == ({"x": 3, "y": 0}, 2, 2)
    assert len(choose(axes, score, budget_s=0, now_s=lambda: clock[0]).trials) == 1
    # What is best on the first axis depends on the second: one pass would end at (1, 1).
    table = {(0, 0): 1, (1, 0): 2, (0, 1): 5, (1, 1): 4}
    twice = choose({"x": (0, 1), "y": (0, 1)}, lambda point: table[point["x"], point["y"]], budget_s=1000)
    assert (twice.best.settings, len(twice.trials)) == ({"x": 0, "y": 1}, 4)
    assert choose({}, lambda _: float("nan"), budget_s=0).best.settings == {}
