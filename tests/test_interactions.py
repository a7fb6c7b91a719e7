from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.feedback import KINDS, Event
from avrec_dag.recommend.interactions import HALF_LIFE_DAYS, Histories, fold

AT = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = ["a", "b", "c", "d"]
PLACE = {media_id: column for column, media_id in enumerate(ITEMS)}


def event(kind: str, media_id: str = "a", *, user_id: str = "ann", days: float = 0.0, value: float | None = None) -> Event:
    text = "hm" if kind == "comment" else None
    return Event(user_id=user_id, media_id=media_id, kind=kind, value=value, text=text, happened_at=AT + timedelta(days=days))


def folded(events: list[Event], items: list[str] = ITEMS) -> dict[str, dict]:
    return {row["user_id"]: row for row in fold(table(events), items).to_pylist()}


def table(events: list[Event]) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([one.user_id for one in events], pa.string()),
            "media_id": pa.array([one.media_id for one in events], pa.string()),
            "event_id": pa.array([one.event_id for one in events], pa.string()),
            "kind": pa.array([one.kind for one in events], pa.string()),
            "weight": pa.array([one.weight for one in events], pa.float64()),
            "happened_at": pa.array([one.happened_at for one in events], pa.timestamp("us", tz="UTC")),
            "fields": pa.array([[("event", one.event_id)] for one in events], pa.map_(pa.string(), pa.string())),
        }
    )


def test_what_was_done_adds_up_and_is_cut_at_one():
    assert folded([event("view"), event("comment", days=0.0)])["ann"]["weights"] == pytest.approx([0.5])
    assert folded([event("share"), event("comment"), event("watch", value=1.0)])["ann"]["weights"] == [1.0]


def test_the_newest_explicit_opinion_overrules_everything_done():
    history = [event("watch", value=1.0), event("like"), event("dislike", days=1e-5), event("view", days=2e-5)]
    assert folded(history)["ann"]["weights"] == pytest.approx([-1.0])
    assert folded([*history, event("rating", value=3, days=3e-5)])["ann"]["weights"] == pytest.approx([0.0])


def test_an_opinion_halves_with_every_half_life_before_the_persons_own_newest_event():
    row = folded([event("like", "a"), event("like", "b", days=HALF_LIFE_DAYS), event("like", "a", user_id="bob")])
    assert row["ann"]["media_ids"] == ["a", "b"]
    assert row["ann"]["weights"] == pytest.approx([0.5, 1.0])
    assert row["bob"]["weights"] == [1.0]
    assert row["ann"]["last_s"][1] == (AT + timedelta(days=HALF_LIFE_DAYS)).timestamp()


def test_events_on_items_that_left_are_dropped_and_people_without_any_other_too():
    row = folded([event("like", "a"), event("like", "gone"), event("like", "gone", user_id="bob")])
    assert row["ann"]["media_ids"] == ["a"]
    assert "bob" not in row


def test_only_the_person_who_did_something_gets_a_new_version():
    before = folded([event("like"), event("like", user_id="bob")])
    after = folded([event("like"), event("like", user_id="bob"), event("view", "b", days=1)])
    assert after["ann"]["version"] != before["ann"]["version"]
    assert after["bob"]["version"] == before["bob"]["version"]


EVENTS = st.lists(
    st.builds(
        lambda kind, item, user, days, share: event(
            kind, item, user_id=user, days=days, value=share if kind == "watch" else 1 + 4 * share if kind == "rating" else None
        ),
        st.sampled_from(KINDS),
        st.sampled_from([*ITEMS, "gone"]),
        st.sampled_from(["ann", "bob", "王"]),
        st.integers(0, 90),
        st.floats(0, 1),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(events=EVENTS, seed=st.integers(0, 100))
def test_folding_knows_no_order_of_arrival_and_stays_in_bounds(events, seed):
    unique = list({one.event_id: one for one in events}.values())
    shuffled = [unique[place] for place in np.random.default_rng(seed).permutation(len(unique))]
    rows = folded(unique)
    assert rows == folded(shuffled)
    for row in rows.values():
        assert len(set(row["media_ids"])) == len(row["media_ids"]) == len(row["weights"])
        assert all(-1 <= weight <= 1 for weight in row["weights"])
        assert row["last_s"] == sorted(row["last_s"])
        assert "gone" not in row["media_ids"]


def histories(events: list[Event], items: list[str] = ITEMS) -> Histories:
    return Histories.of(fold(table(events), items), items)


def test_matrices_hold_every_opinion_and_remember_items_met_without_one():
    known = histories([event("like", "b"), event("rating", "d", value=3), event("dislike", "a", user_id="bob")])
    assert known.users == ("ann", "bob")
    assert known.weights.toarray().tolist() == [[0, 1, 0, 0], [-1, 0, 0, 0]]
    assert known.weights[[0]].indices.tolist() == [1, 3]
    assert known.liked.toarray().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_nobody_is_a_history_too():
    empty = histories([])
    assert empty.users == ()
    assert empty.weights.shape == (0, 4)
    assert empty.of_user("ann").weights == {}


def test_items_outside_the_order_are_left_out():
    known = Histories.of(fold(table([event("like", "a"), event("like", "b")]), ITEMS), ["b", "z"])
    assert known.weights.toarray().tolist() == [[1, 0]]


SMALL = st.lists(  # so that no sum is cut: cutting on the way and cutting at the end differ
    st.builds(lambda item, days: event("view", item, days=days), st.sampled_from(ITEMS), st.integers(0, 90)),
    max_size=9,
    unique_by=lambda one: one.happened_at,
)


@settings(max_examples=30, deadline=None)
@given(events=SMALL, cut=st.integers(0, 9))
def test_a_history_extended_by_newer_events_is_the_history_of_all_of_them(events, cut):
    ordered = sorted(events, key=lambda one: one.happened_at)
    extended = histories(ordered[:cut]).of_user("ann").extended(ordered)
    whole = histories(ordered).of_user("ann")
    assert extended.last_s == whole.last_s
    assert extended.weights == pytest.approx(whole.weights, abs=1e-6)


def test_a_new_like_is_felt_at_once_and_a_known_event_counts_once():
    known = histories([event("view", "a")]).of_user("ann")
    assert known.extended([event("view", "a")]) == known
    later = known.extended([event("like", "b", days=HALF_LIFE_DAYS)])
    assert later.weights == pytest.approx({"a": 0.05, "b": 1.0})


@settings(max_examples=30, deadline=None)
@given(events=EVENTS)
def test_models_read_the_same_opinions_oldest_first(events):
    rows = fold(table(events), ITEMS).to_pylist()
    vectors = np.eye(len(ITEMS), dtype=np.float32)
    data = Histories.of(pa.Table.from_pylist(rows, fold(table(events), ITEMS).schema), ITEMS).interactions(vectors)
    assert data.users == tuple(row["user_id"] for row in rows)
    assert data.vectors is vectors
    for place, row in enumerate(rows):
        start, end = data.indptr[place : place + 2]
        assert [ITEMS[column] for column in data.columns[start:end]] == row["media_ids"]
        assert data.weights[start:end].tolist() == row["weights"]
        assert data.at_s[start:end].tolist() == row["last_s"]
    assert data.columns.dtype == np.int32
    assert data.weights.dtype == np.float32
    assert data.at_s.dtype == np.float64


def test_one_persons_history_reads_as_that_persons_part_of_all():
    known = histories([event("like", "c"), event("view", "a", days=2), event("dislike", "b", days=1), event("like", "a", user_id="bob")])
    alone = known.of_user("ann").interactions(PLACE, "ann")
    part = known.interactions().of([0])
    assert alone.users == ("ann",)
    assert alone.items == part.items
    for name in ("indptr", "columns", "weights", "at_s"):
        assert getattr(alone, name).tolist() == getattr(part, name).tolist()
    assert len(known.of_user("nobody").interactions(PLACE)) == 0


def test_indices_sorted_in_place_by_scipy_do_not_shuffle_times():
    known = histories([event("like", "c"), event("view", "a", days=2), event("dislike", "b", days=1)])
    known.weights.sort_indices()
    assert [ITEMS[column] for column in known.interactions().columns] == ["c", "b", "a"]
