"""The sequence model learns the order of what people like, begins anew and goes on alike, and doubts what it is given."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as write_tensors

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models.base import Interactions, Model
from avrec_dag.recommend.models.sequence import Sequence
from avrec_dag.recommend.models.sequence_settings import SequenceSettings
from avrec_dag.recommend.models.sequence_windows import batches, held_back, watched, windows

RING = 6
SMALL = SequenceSettings(
    members=1, width=16, layers=1, window=8, kernel=3, dropout=0.1, learning_rate=5e-3, averaging=0.9, epochs=4, warm_epochs=3
)


def circling(people: int = 80, rings: int = 3, length: int = 7, seed: int = 0) -> Interactions:
    """Everybody stays in one ring of items and mostly goes on to the next one, so that the order tells what comes."""
    rng = np.random.default_rng(seed)
    columns = np.empty((people, length), np.int32)
    for person in range(people):
        at, ring = rng.integers(RING), rng.integers(rings)
        for step in range(length):
            columns[person, step] = ring * RING + at
            at = (at + 1) % RING if rng.random() < 0.9 else rng.integers(RING)
    return told(columns.tolist(), rings * RING)


def told(histories: list[list[int]], items: int, vectors: np.ndarray | None = None) -> Interactions:
    lengths = [len(one) for one in histories]
    columns = np.array([item for one in histories for item in one], np.int32)
    names = tuple(f"u{n}" for n in range(len(histories)))
    clock = np.concatenate([np.arange(n, dtype=float) for n in lengths] or [np.zeros(0)])
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Interactions(names, tuple(f"i{n}" for n in range(items)), indptr, columns, np.ones(len(columns), np.float32), clock, vectors)


def next_share(model: Sequence, items: int) -> float:
    """How often the item after the newest one in its ring is the best of those not met, for histories of three in a row."""
    starts = np.arange(items)
    after = [[(s // RING) * RING + (s + k) % RING for k in range(4)] for s in starts.tolist()]
    scores = model.score(told([one[:3] for one in after], items))
    for row, one in enumerate(after):
        scores[row, one[:3]] = -np.inf
    return float((scores.argmax(axis=1) == [one[3] for one in after]).mean())


@pytest.fixture(scope="module")
def data() -> Interactions:
    return circling()


@pytest.fixture(scope="module")
def fitted(data) -> Sequence:
    model = Sequence(SMALL)
    model.fit(data, seed=1)
    return model


def test_it_keeps_the_protocol_and_learns_what_comes_next(fitted, data):
    assert isinstance(fitted, Model)
    assert next_share(fitted, len(data.items)) > 0.8


def test_one_seed_gives_one_model_and_another_seed_another(fitted, data):
    again, other = Sequence(SMALL), Sequence(SMALL)
    again.fit(data, seed=1)
    other.fit(data, seed=2)
    some = data.of(range(9))
    np.testing.assert_array_equal(again.score(some), fitted.score(some))
    assert not np.array_equal(other.score(some), fitted.score(some))


def test_saved_and_loaded_it_scores_the_same_and_learns_on_the_same(fitted, data):
    loaded = Sequence.load(fitted.save())
    some, more = data.of(range(9)), circling(seed=5)
    np.testing.assert_array_equal(loaded.score(some), fitted.score(some))
    ahead = Sequence.load(fitted.save())
    for one in (loaded, ahead):
        one.fit_partial(more, seed=3)
    np.testing.assert_array_equal(loaded.score(some), ahead.score(some))


def test_candidates_are_columns_of_all_scores_and_rows_do_not_lean_on_each_other(fitted, data):
    some, wanted = data.of(range(20)), np.array([7, 0, 3])
    np.testing.assert_allclose(fitted.score(some, wanted), fitted.score(some)[:, wanted], atol=1e-5)
    np.testing.assert_allclose(fitted.score(data.of([13])), fitted.score(some)[[13]], atol=1e-4)


def test_nobody_knows_of_a_person_what_comes_later(fitted):
    """A causal network: the state at a place is the same, whatever follows it."""
    import torch

    from avrec_dag.recommend.models.sequence_network import SequenceNetwork, Shape

    network = SequenceNetwork(Shape(5, 0, 8, 2, 2, 6, 3), 0.0, 0.5).eval()
    entered = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    changed = entered.clone()
    changed[:, 4:] *= -1.0
    with torch.inference_mode():
        torch.testing.assert_close(network(entered)[:, :4], network(changed)[:, :4])
        assert not torch.allclose(network(entered)[:, 4:], network(changed)[:, 4:])


def test_who_liked_nothing_yet_gets_what_is_popular(fitted, data):
    scores = fitted.score(told([[], [3], []], len(data.items)))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(np.argsort(-scores[0], kind="stable"), np.argsort(-data.support(), kind="stable"))
    np.testing.assert_array_equal(scores[0], scores[2])


def test_dislikes_are_not_read_as_wishes(fitted, data):
    liked = told([[1, 2, 3]], len(data.items))
    mixed = replace(told([[1, 9, 2, 3]], len(data.items)), weights=np.array([1, -1, 1, 1], np.float32))
    np.testing.assert_allclose(fitted.score(mixed), fitted.score(liked), atol=1e-6)


@pytest.mark.parametrize("histories", [[], [[]], [[0]], [[0, 0, 0]], [[0, 1], []], [[1] * 40]])
def test_where_there_is_hardly_anything_to_learn_scores_are_finite(histories):
    small = told(histories, 2)
    model = Sequence(SMALL)
    model.fit(small)
    scores = model.score(small)
    assert scores.shape == (len(histories), 2) and scores.dtype == np.float32 and np.isfinite(scores).all()
    assert np.isfinite(Sequence.load(model.save()).score(small)).all()


@pytest.mark.parametrize("held_out", [[], [2]])
def test_a_handful_of_events_is_not_gone_over_thousands_of_times(held_out):
    from avrec_dag.recommend.models.sequence_training import Training

    few, steps = told([[0, 1, 2], [1, 2], [0, 2]], 4), []
    valid = told([held_out, [], []], 4)
    model = Sequence(replace(SMALL, epochs=200))
    counted = Training._step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_step", lambda self, *batch: (steps.append(1), counted(self, *batch)))
        model.tune(few, valid)
    assert 0 < len(steps) <= 300, "all three histories fit one batch: 200 epochs of 60 steps would be 12,000"


def test_epochs_are_chosen_on_what_is_held_out_and_kept(data):
    last = np.zeros(len(data), bool)
    last[data.indptr[1:] - 1] = True
    model = Sequence(SMALL)
    model.tune(data.only(~last), data.only(last), seed=1)
    assert len(model.epochs) == 1 and 1 <= model.epochs[0] <= SMALL.epochs
    chosen = model.epochs
    model.fit(data, seed=1)
    assert model.epochs == chosen == Sequence.load(model.save()).epochs
    assert next_share(model, len(data.items)) > 0.7


def test_drawn_softmax_is_in_expectation_the_softmax_over_all():
    import torch

    from avrec_dag.recommend.models.sequence_losses import FullSoftmax, sampled_softmax

    luck = torch.Generator().manual_seed(0)
    states, table = torch.randn(3, 4, generator=luck), torch.randn(12, 4, generator=luck)
    targets, counts = torch.tensor([2, 5, 11]), torch.tensor([1.0, 0.5, 2.0])
    chance = torch.rand(12, generator=luck) + 0.05
    chance /= chance.sum()
    own = (states * table[targets]).sum(dim=1)
    total = torch.zeros(3, dtype=torch.float64)
    rounds, m = 400, 50
    for _ in range(rounds):
        drawn = torch.multinomial(chance, m, replacement=True, generator=luck)
        for row in range(3):
            one = slice(row, row + 1)
            same = targets[one, None] == drawn
            loss = sampled_softmax(states[one], table[targets[one]], table[drawn], (m * chance[drawn]).log(), same, torch.ones(1))
            total[row] += (loss + own[row]).exp()  # the sum under the fraction, of which the mean is unbiased
    exact = (states @ table.T).exp().sum(dim=1).double()
    torch.testing.assert_close(total / rounds, exact, rtol=0.05, atol=0)
    plain = (counts * torch.nn.functional.cross_entropy(states @ table.T, targets, reduction="none")).sum()
    torch.testing.assert_close(FullSoftmax.apply(states, table, targets, counts, 0.0), plain)


def test_the_softmax_over_all_has_the_gradients_of_autograd():
    import torch

    from avrec_dag.recommend.models.sequence_losses import FullSoftmax

    luck = torch.Generator().manual_seed(1)
    targets, counts = torch.randint(0, 30, (300,), generator=luck), torch.rand(300, generator=luck)
    found = []
    for ours in (True, False):
        states = torch.randn(300, 8, generator=torch.Generator().manual_seed(2), requires_grad=True)
        table = torch.randn(30, 8, generator=torch.Generator().manual_seed(3), requires_grad=True)
        plain = torch.nn.functional.cross_entropy(states @ table.T, targets, reduction="none", label_smoothing=0.2)
        (FullSoftmax.apply(states, table, targets, counts, 0.2) if ours else (counts * plain).sum()).backward()
        found.append((states.grad, table.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_with_drawn_negatives_it_learns_the_same_order(data):
    model = Sequence(replace(SMALL, full_softmax_items=5, negatives=64))
    model.fit(data, seed=1)
    assert next_share(model, len(data.items)) > 0.8


def test_windows_tell_every_event_but_the_first_once():
    histories = told([[*range(11)], [3], [], [4, 5]], 12)
    counts = np.ones(len(histories), np.float32)
    made = windows(histories, 4, counts)
    columns, told_by = made.filled(np.arange(len(made.lengths)))
    assert made.targets == 11 and sorted(columns[told_by > 0].tolist()) == sorted([*range(1, 11), 5])
    assert made.lengths.max() <= 5
    parts = list(batches(made.lengths, 6, np.random.default_rng(0)))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(made.lengths)))
    assert all((made.lengths[part].max() - 1) * len(part) <= 6 for part in parts)
    only_new = windows(histories, 4, np.where(np.arange(len(histories)) == 10, 1, 0).astype(np.float32))
    assert only_new.targets == 1 and only_new.lengths.tolist() == [5]


def test_what_is_watched_was_not_there_before():
    train, valid = told([[0, 1], [2, 3], []], 6), told([[1, 4, 4], [5], [3]], 6)
    watch = watched(train, valid, 10, 0)
    assert [(watch.histories.users[user], item) for user, item in zip(watch.users, watch.targets, strict=True)] == [("u0", 4), ("u1", 5)]
    watch, held = held_back(told([[0, 1, 2], [3, 4], [5, 0, 1, 2]], 6), 1.0, 10, 0)
    assert watch.targets.tolist() == [2, 2] and held.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert watch.histories.columns.tolist() == [0, 1, 5, 0, 1]


def by_content(people: int = 100, kinds: int = 5, each: int = 12, length: int = 6, seed: int = 0) -> Interactions:
    """Everybody follows one kind of items; the content of an item tells its kind. The last two items of every kind nobody has met."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(kinds, 16))
    vectors = np.repeat(centres, each, axis=0) + 0.5 * rng.normal(size=(kinds * each, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    histories = [(rng.integers(kinds) * each + rng.permutation(each - 2)[:length]).tolist() for _ in range(people)]
    return told(histories, kinds * each, vectors)


def unseen_place(scores: np.ndarray, data: Interactions, each: int = 12) -> float:
    """Where the unseen items of the kind that somebody follows stand among all others, on average: 0 first, 1 last; chance is 0.5."""
    places = []
    for row, start in enumerate(data.indptr[:-1].tolist()):
        kind = data.columns[start] // each
        for item in range(kind * each + each - 2, (kind + 1) * each):
            places.append((scores[row] > scores[row, item]).mean())  # noqa: PERF401 (a comprehension over both loops reads worse)
    return float(np.mean(places))


def test_content_carries_items_that_nobody_has_met():
    data = by_content()
    model = Sequence(replace(SMALL, epochs=8))
    model.fit(data, seed=1)
    assert unseen_place(model.score(data), data) < 0.25


def test_items_added_later_are_known_by_their_content_at_once():
    whole, each = by_content(), 12
    old = np.flatnonzero(np.arange(len(whole.items)) % each < each - 2)
    order = np.concatenate([old, np.setdiff1d(np.arange(len(whole.items)), old)])
    place = np.argsort(order)
    assert whole.vectors is not None
    later = replace(
        whole, items=tuple(whole.items[n] for n in order), columns=place[whole.columns].astype(np.int32), vectors=whole.vectors[order]
    )
    before = replace(later, items=later.items[: len(old)], vectors=later.vectors[: len(old)])
    model = Sequence(replace(SMALL, epochs=8))
    model.fit(before.of(range(90)), seed=1)
    model.fit_partial(later, seed=2)
    assert unseen_place(model.score(later)[:, place], whole) < 0.25


def told_well(model: Sequence, histories: Interactions, targets: np.ndarray) -> float:
    """NDCG of what comes next among all items."""
    scores = model.score(histories)
    above = (scores > np.take_along_axis(scores, targets[:, None], axis=1)).sum(axis=1)
    return float((1 / np.log2(2 + above)).mean())


@pytest.mark.slow
def test_learning_on_tells_as_well_as_learning_anew():
    whole, people = circling(people=300, rings=6, length=9, seed=4), np.arange(300)
    place = np.arange(len(whole)) - whole.indptr[whole.rows]
    before = whole.only(place < np.where(people % 2 == 0, 5, 8)[whole.rows])
    now, targets = whole.only(place < 8), whole.columns[whole.indptr[1:] - 1].astype(np.int64)
    settings = SequenceSettings(width=32, window=10, epochs=30, warm_epochs=8, dropout=0.2, learning_rate=3e-3)
    onwards, anew = Sequence(settings), Sequence(settings)
    onwards.fit(before, seed=1)
    onwards.fit_partial(now, seed=2)
    anew.fit(now, seed=1)
    assert told_well(onwards, now, targets) > 0.99 * told_well(anew, now, targets)
    assert told_well(anew, now, targets) > 0.7


def test_what_did_not_change_costs_nothing_to_learn_again(fitted, data):
    model = Sequence.load(fitted.save())
    model.fit_partial(data, seed=5)
    np.testing.assert_array_equal(model.score(data.of(range(5))), fitted.score(data.of(range(5))))


def test_many_histories_are_read_a_few_at_a_time(fitted):
    seen = []
    hook = fitted._members.networks[0].register_forward_hook(lambda *call: seen.append(len(call[2])))
    scores = fitted.score(circling(people=700))
    hook.remove()
    assert scores.shape[0] == sum(seen) == 700 and max(seen) <= 256


def broken(files: dict, key: str, change) -> dict:
    arrays = read_tensors(files["model.safetensors"])
    arrays[key] = change(arrays[key])
    return {**files, "model.safetensors": write_tensors(arrays)}


def test_damaged_files_are_refused_with_a_sentence(fitted):
    files = dict(fitted.save())
    facts = json.loads(files["model.json"])

    def said(**changes) -> dict:
        return {**files, "model.json": json.dumps({**facts, **changes}).encode()}

    damaged = [
        {},
        {**files, "model.safetensors": b"\x80\x04pickle"},
        said(content=10**12),
        said(members=2),
        said(members=10**6),
        said(content=-1),
        said(content="much"),
        broken(files, "epochs", lambda epochs: epochs.astype(np.float32)),
        said(items=facts["items"][:-1]),
        said(settings={**facts["settings"], "layers": 10**9}),
        said(settings={**facts["settings"], "heads": 3}),
        said(settings={**facts["settings"], "width": 4096}),
        said(settings={**facts["settings"], "window": 10_000}),
        said(settings={**facts["settings"], "dropout": float("nan")}),
        broken(files, "0.items.own", lambda own: own * np.float32(np.nan)),
        broken(files, "0.table", lambda table: table[:-1]),
        broken(files, "0.place", lambda place: place.astype(np.float64)),
        broken(files, "users", lambda users: users[:-1]),
    ]
    for one in damaged:
        with pytest.raises(ModelError, match=r"sequence.*\(.+\)|out of range"):
            Sequence.load(one)


def test_other_items_than_the_models_are_refused(fitted, data):
    with pytest.raises(ModelError, match="over 3 items"):
        fitted.score(told([[0]], 3))
    with pytest.raises(ModelError, match="fit it anew"):
        Sequence.load(fitted.save()).fit_partial(told([[0]], 3))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"heads": 3}, {"dropout": 1.0}, {"learning_rate": float("nan")}, {"filter_share": 2.0}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ModelError, match="out of range"):
        SequenceSettings(**wrong)
