import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.recommend import metrics
from avrec_dag.recommend.evaluation import library as evaluation
from avrec_dag.recommend.interactions import Histories


def test_a_hand_worked_list():
    # Relevant at places 1, 3 and 6 of 6; k = 5; four relevant items in all.
    shown, relevant = list("axbyzc"), {"a", "b", "c", "d"}
    assert metrics.precision(shown, relevant, 5) == pytest.approx(2 / 5)
    assert metrics.recall(shown, relevant, 5) == pytest.approx(2 / 4)
    assert metrics.average_precision(shown, relevant, 5) == pytest.approx((1 / 1 + 2 / 3) / 4)
    assert metrics.reciprocal_rank(list("xxb"), relevant) == pytest.approx(1 / 3)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(5)
    assert metrics.ndcg(shown, relevant, 5) == pytest.approx((1 + 1 / math.log2(4)) / ideal)


def test_nothing_relevant_and_nothing_shown_are_zero_not_an_error():
    for metric in (metrics.precision, metrics.recall, metrics.ndcg, metrics.average_precision):
        assert metric([], {"a"}, 5) == 0
        assert metric(["a"], set(), 5) == 0
    assert metrics.reciprocal_rank([], {"a"}) == 0


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(15)), relevant=st.sets(st.integers(0, 14), min_size=1, max_size=15), k=st.integers(1, 15))
def test_ndcg_agrees_with_scikit_learn(order, relevant, k):
    from sklearn.metrics import ndcg_score

    gains = np.array([[float(item in relevant) for item in range(15)]])
    scores = np.zeros((1, 15))
    scores[0, list(order)] = np.arange(15, 0, -1)
    ours = metrics.ndcg([str(item) for item in order], {str(item) for item in relevant}, k)
    assert ours == pytest.approx(ndcg_score(gains, scores, k=k), abs=1e-9)


def test_recall_average_precision_and_ndcg_agree_with_implicit(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    from implicit.evaluation import ranking_metrics_at_k
    from implicit.nearest_neighbours import ItemItemRecommender

    rng = np.random.default_rng(0)
    train = sp.csr_matrix((rng.random((60, 30)) < 0.2).astype(np.float64))
    test = sp.csr_matrix(((rng.random((60, 30)) < 0.15) & (train.toarray() == 0)).astype(np.float64))
    model = ItemItemRecommender(K=30)
    model.fit(train, show_progress=False)
    judged = ranking_metrics_at_k(model, train, test, K=10, show_progress=False, num_threads=1)
    people = [person for person in range(60) if test[[person]].nnz]
    shown, _ = model.recommend(np.array(people), train[people], N=10)
    lists = [[str(item) for item in row if item >= 0] for row in shown]
    relevant = [{str(item) for item in test[[person]].indices} for person in people]
    pairs = list(zip(lists, relevant, strict=True))
    # implicit's `precision` is the hits over all that k places could have hit.
    hits = sum(metrics.recall(a, b, 10) * len(b) for a, b in pairs) / sum(min(10, len(b)) for b in relevant)
    assert hits == pytest.approx(judged["precision"], abs=1e-6)
    assert np.mean([metrics.average_precision(a, b, 10) for a, b in pairs]) == pytest.approx(judged["map"], abs=1e-6)
    assert np.mean([metrics.ndcg(a, b, 10) for a, b in pairs]) == pytest.approx(judged["ndcg"], abs=1e-6)


def test_ties_count_half():
    scores = np.array([[3.0, 1.0, 1.0, 1.0, 0.0], [2.0, 2.0, 2.0, 2.0, 2.0], [5.0, -np.inf, 1.0, 0.0, 0.0]])
    assert metrics.fractional_ranks(scores, np.array([1, 4, 0])).tolist() == [3.0, 3.0, 1.0]


@settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.floats(-10, 10, width=16), min_size=2, max_size=30), place=st.integers(0, 29))
def test_a_rank_lies_between_the_best_and_the_worst_way_to_break_ties(scores, place):
    row, target = np.array([scores]), place % len(scores)
    rank = metrics.fractional_ranks(row, np.array([target]))[0]
    best = 1 + (row > scores[target]).sum()
    worst = (row >= scores[target]).sum()
    assert rank == (best + worst) / 2


@settings(max_examples=60, deadline=None)
@given(rank=st.integers(1, 30), k=st.integers(1, 20))
def test_metrics_of_a_rank_are_those_of_the_list_it_stands_for(rank, k):
    shown = ["t" if place == rank else f"x{place}" for place in range(1, 31)]
    ours = {name: values[0] for name, values in metrics.of_ranks(np.array([float(rank)]), k).items()}
    assert ours[f"ndcg@{k}"] == pytest.approx(metrics.ndcg(shown, {"t"}, k))
    assert ours[f"recall@{k}"] == ours[f"hit_rate@{k}"] == metrics.recall(shown, {"t"}, k)
    assert ours["mrr"] == ours["map"] == pytest.approx(metrics.reciprocal_rank(shown, {"t"}))


def test_an_item_that_is_not_on_the_list_earns_nothing():
    assert all(values[0] == 0 for values in metrics.of_ranks(np.array([np.inf])).values())


def test_what_accuracy_does_not_see():
    lists = [[0, 1], [0, 2]]
    assert metrics.coverage(lists, 6) == 0.5
    assert metrics.novelty(lists, np.array([3, 1, 0, 0, 0, 0]), 7) == pytest.approx((1 + 2 + 1 + 3) / 4)
    assert metrics.intra_list_distance(np.eye(3)) == pytest.approx(1.0)
    assert metrics.intra_list_distance(np.ones((2, 1))) == pytest.approx(0.0)
    assert metrics.intra_list_distance(np.array([[1.0], [-1.0]])) == pytest.approx(2.0)
    assert metrics.intra_list_distance(np.eye(1)) == 0.0
    assert metrics.novelty([], np.zeros(3), 7) == 0.0


def test_concentration_of_known_shares():
    assert metrics.gini(np.array([4, 4, 4, 4])) == pytest.approx(0)
    assert metrics.gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert metrics.gini(np.array([1, 3])) == pytest.approx(0.25)
    assert metrics.gini(np.array([])) == metrics.gini(np.zeros(3)) == 0


def test_the_interval_holds_the_mean_narrows_with_people_and_repeats_with_its_seed():
    rng = np.random.default_rng(0)
    few, many = rng.random(20), rng.random(2000)
    low, high = metrics.bootstrap_interval(few, seed=1)
    assert low < few.mean() < high
    assert high - low > 5 * np.ptp(metrics.bootstrap_interval(many, seed=1))
    assert metrics.bootstrap_interval(few, seed=1) == (low, high)
    assert metrics.bootstrap_interval(np.array([]), seed=1) == (0.0, 0.0)
    # The normal approximation of the standard error, an independent judge of the width.
    assert high - low == pytest.approx(2 * 1.96 * few.std() / np.sqrt(20), rel=0.15)


def histories(cells: dict[tuple[int, int], tuple[float, float]], shape: tuple[int, int]) -> Histories:
    rows, columns = zip(*sorted(cells), strict=True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    values = [cells[cell] for cell in sorted(cells)]

    def matrix(which: int, dtype: type) -> sp.csr_matrix:
        return sp.csr_matrix((np.array([value[which] for value in values], dtype), np.array(columns), indptr), shape=shape)

    people, items = (tuple(f"{name}{n}" for n in range(size)) for name, size in zip("ui", shape, strict=True))
    return Histories(people, items, matrix(0, np.float32), matrix(1, np.float64))


def test_the_split_holds_out_the_last_liked_item_and_everything_after_it():
    day = 86400.0
    split = evaluation.leave_last_out(
        histories(
            {
                (0, 0): (0.25, 0 * day),
                (0, 1): (0.5, 30 * day),
                (0, 2): (1.0, 60 * day),  # the last liked one: the target
                (0, 3): (-0.5, 61 * day),  # what came later is not known yet
                (1, 0): (1.0, 5 * day),  # one liked item: nothing to learn from
                (2, 1): (-1.0, 1 * day),
                (2, 2): (1.0, 2 * day),  # nothing liked before
            },
            (3, 4),
        )
    )
    assert split.people.tolist() == [0]
    assert split.targets.tolist() == [2]
    assert split.train.weights[[0]].indices.tolist() == [0, 1]
    # Faded as if the newest liked item were the newest of what is left: 30 days of fading are taken back.
    np.testing.assert_allclose(split.train.weights[[0]].data, [0.25 * 2, 0.5 * 2], rtol=1e-5)
    assert split.train.weights[[1]].nnz == 1


def test_a_model_that_knows_the_answer_is_perfect_and_guessing_is_the_middle():
    rng = np.random.default_rng(3)
    scores = rng.random((500, 40))
    targets = scores.argmax(axis=1)
    assert metrics.of_ranks(metrics.fractional_ranks(scores, targets))["ndcg@10"].mean() == 1.0
    assert metrics.fractional_ranks(np.zeros((3, 41)), np.array([0, 20, 40])).tolist() == [21.0, 21.0, 21.0]
