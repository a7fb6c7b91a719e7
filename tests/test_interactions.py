from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.feedback import KINDS, Event, Rules
from avrec_dag.feedback.weights import Limits
from avrec_dag.recommend.history import History
from avrec_dag.recommend.interactions import HALF_LIFE_DAYS, Histories, fold

AT = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = ["a", "b", "c", "d"]
PLACE = {media_id: column for column, media_id in enumerate(ITEMS)}


def event(kind: str, media_id: str = "a", *, user_id: str = "ann", days: float = 0.0, value: float | None = None) -> Event:
    text = "hm" if kind == "comment" else None
    return Event(user_id=user_id, media_id=media_id, kind=kind, value=value, text=text, happened_at=AT + timedelta(days=days))


def folded(events: list[Event], items: list[str] = ITEMS) -> dict[str, dict]:
    return {row["user_id"]: row for row in fold(table(events), library(items)).to_pylist()}


def library(items: list[str] = ITEMS) -> pa.Table:
    return pa.table({"media_id": pa.array(items, pa.string()), "creator": pa.array([f"{one}'s maker" for one in items], pa.string())})


def table(events: list[Event]) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([one.user_id for one in events], pa.string()),
            "media_id": pa.array([one.media_id for one in events], pa.string()),
            "event_id": pa.array([one.event_id for one in events], pa.string()),
            "kind": pa.array([one.kind for one in events], pa.string()),
            "weight": pa.array([Rules().weight(one) for one in events], pa.float64()),
            "creator": pa.array([one.creator for one in events], pa.string()),
            "happened_at": pa.array([one.happened_at for one in events], pa.timestamp("us", tz="UTC")),
            "fields": pa.array([[("event", one.event_id)] for one in events], pa.map_(pa.string(), pa.string())),
        }
    )


def test_what_was_done_adds_up_and_is_cut_at_one():
    assert folded([event("play"), event("comment", days=0.0)])["ann"]["weights"] == pytest.approx([0.3])
    assert folded([event("share"), event("comment"), event("watch", value=1.0)])["ann"]["weights"] == [1.0]


def test_the_newest_explicit_opinion_overrules_everything_done():
    history = [event("watch", value=1.0), event("like"), event("dislike", days=1e-5), event("play", days=2e-5)]
    assert folded(history)["ann"]["weights"] == pytest.approx([-1.0])
    assert folded([*history, event("rating", value=3, days=3e-5)])["ann"]["weights"] == pytest.approx([0.0])


def test_an_opinion_halves_with_every_half_life_before_the_item_liked_last():
    row = folded([event("like", "a"), event("like", "b", days=HALF_LIFE_DAYS), event("like", "a", user_id="bob")])
    assert row["ann"]["media_ids"] == ["a", "b"]
    assert row["ann"]["weights"] == pytest.approx([0.5, 1.0])
    assert row["bob"]["weights"] == [1.0]
    assert row["ann"]["last_s"][1] == (AT + timedelta(days=HALF_LIFE_DAYS)).timestamp()


def test_a_dislike_fades_no_like_and_counts_in_full_itself():
    likes = [event("like", "a"), event("like", "b", days=HALF_LIFE_DAYS)]
    row = folded([*likes, event("dislike", "c", days=5 * HALF_LIFE_DAYS)])
    assert row["ann"]["weights"][:2] == folded(likes)["ann"]["weights"]  # to the bit: nothing is learned anew from it
    assert row["ann"]["weights"][2] == -1.0
    assert folded([event("skip", "a"), event("dislike", "b", days=HALF_LIFE_DAYS)])["ann"]["weights"] == pytest.approx([-0.25, -1.0])


def test_events_on_items_that_left_are_dropped_and_people_without_any_other_too():
    row = folded([event("like", "a"), event("like", "gone"), event("like", "gone", user_id="bob")])
    assert row["ann"]["media_ids"] == ["a"]
    assert "bob" not in row


def test_only_the_person_who_did_something_gets_a_new_version():
    before = folded([event("like"), event("like", user_id="bob")])
    after = folded([event("like"), event("like", user_id="bob"), event("play", "b", days=1)])
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


@settings(max_examples=6, deadline=None)
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
    return Histories.of(fold(table(events), library(items)), items)


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
    known = Histories.of(fold(table([event("like", "a"), event("like", "b")]), library()), ["b", "z"])
    assert known.weights.toarray().tolist() == [[1, 0]]


STRICT = Rules(limits=Limits(per_item_day=3, per_minute=4, per_hour=6), most_impressions=2)
CROWDED = st.lists(  # a few minutes of a few days, so that every limit is reached
    st.builds(
        lambda kind, item, day, second, share: event(
            kind, item, days=day + second / 86400, value=share if kind == "watch" else 1 + 4 * share if kind == "rating" else None
        ),
        st.sampled_from([*KINDS, "impression", "like", "play"]),
        st.sampled_from(ITEMS),
        st.sampled_from([0, 0, 0, 1, 40]),
        st.integers(0, 200) | st.integers(3600, 3700),
        st.sampled_from([0.0, 0.4, 1.0]),
    ),
    max_size=25,
    unique_by=lambda one: one.happened_at,
)


def person(events: list[Event], rules: Rules = STRICT) -> History:
    return Histories.of(fold(table(events), library(), rules=rules), ITEMS, rules).of_user("ann")


@settings(max_examples=8, deadline=None)
@given(events=CROWDED, seed=st.integers(0, 9))
def test_a_history_extended_by_newer_events_is_the_history_of_all_of_them(events, seed):
    ordered = sorted(events, key=lambda one: one.happened_at)
    # One person for every cut, who has done so much by then: one fold, many comparisons.
    parts = [one.model_copy(update={"user_id": f"by {n}", "event_id": f"{n} {one.event_id}"}) for n in range(26) for one in ordered[:n]]
    known = Histories.of(fold(table(parts), library(), rules=STRICT), ITEMS, STRICT)
    maker = {one: f"{one}'s maker" for one in ITEMS}
    whole = known.of_user("by 25") if ordered else History(rules=STRICT)
    sent = [ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))]
    for n in range(26):  # what is known is sent again, in another order and twice
        grown = known.of_user(f"by {n}").extended([*sent, *sent[:3]], maker)
        assert grown == whole
        assert grown.weights == whole.weights


def test_beyond_what_a_person_can_do_events_are_counted_and_weigh_nothing():
    flood = [event("play", days=n / 86400 / 3) for n in range(40)] + [event("like", "b", days=1)]
    row = folded(flood)["ann"]
    assert row["n_capped"] == 20
    assert row["weights"] == pytest.approx([0.9772 * min(1.0, 20 * 0.1), 1.0], abs=1e-4)
    assert row["n_day"] == [40, 1]
    many = [event("play", f"{n}", days=n / 86400 / 10) for n in range(100)]
    assert folded(many, [f"{n}" for n in range(100)])["ann"]["n_capped"] == 40


def test_what_was_only_shown_is_no_item_met_and_weighs_a_little_up_to_a_limit():
    known = person([event("impression", "a", days=n / 100) for n in range(9)] + [event("impression", "b"), event("play", "b", days=1)])
    assert known.weights == {"b": pytest.approx(0.1)}
    assert known.shown["a"][0] == 9
    assert known.passed["a"] == pytest.approx(2 * -0.05, rel=0.05)
    later = known.extended([event("like", "a", days=2)])
    assert later.passed == {}
    assert later.weights["a"] == 1.0


def test_a_comment_weighs_by_what_it_says():
    said = event("comment")
    read = {score: fold(table([said]), library(), pa.table({"event_id": [said.event_id], "score": [score]})) for score in (0.0, 1.0)}
    assert {score: rows["weights"].to_pylist()[0] for score, rows in read.items()} == {0.0: pytest.approx([-0.6]), 1.0: [1.0]}
    assert len({rows["version"].to_pylist()[0] for rows in read.values()}) == 2


def test_a_follow_goes_to_the_creator_named_or_to_the_items():
    named = Event(user_id="ann", kind="follow", creator="studio 工作室", happened_at=AT)
    assert folded([named])["ann"]["creators"] == ["studio 工作室"]
    assert folded([named])["ann"]["media_ids"] == []
    assert folded([named, event("follow", "b")])["ann"]["creators"] == ["b's maker", "studio 工作室"]
    assert folded([event("follow", "b")])["ann"]["weights"] == pytest.approx([0.6])


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), None, 1e300])
def test_a_weight_that_is_no_number_counts_as_none(broken):
    events = table([event("play"), event("play", "b", days=1)])
    events = events.set_column(events.column_names.index("weight"), "weight", pa.array([broken, 0.1], pa.float64()))
    weights = fold(events, library())["weights"].to_pylist()[0]
    assert weights == pytest.approx([1.0 * 0.5 ** (1 / 30) if broken == 1e300 else 0.0, 0.1])


def test_an_event_that_came_late_waits_for_the_next_fold_and_one_on_another_item_does_not():
    known = person([event("play", "a", days=2)])
    assert known.extended([event("like", "a", days=1)]) == known
    assert known.extended([event("like", "b", days=1)]).weights["b"] == pytest.approx(0.5 ** (1 / 30))


def test_one_persons_history_needs_the_whole_row():
    rows = fold(table([event("like")]), library()).select(["user_id", "media_ids", "weights", "last_s"])
    with pytest.raises(ValueError, match="COLUMNS"):
        Histories.of(rows, ITEMS).of_user("ann")


def test_a_new_like_is_felt_at_once_and_a_known_event_counts_once():
    known = histories([event("play", "a")]).of_user("ann")
    assert known.extended([event("play", "a")]) == known
    later = known.extended([event("like", "b", days=HALF_LIFE_DAYS)])
    assert later.weights == pytest.approx({"a": 0.05, "b": 1.0})


@settings(max_examples=6, deadline=None)
@given(events=EVENTS)
def test_models_read_the_same_opinions_oldest_first(events):
    rows = fold(table(events), library()).to_pylist()
    vectors = np.eye(len(ITEMS), dtype=np.float32)
    data = Histories.of(pa.Table.from_pylist(rows, fold(table(events), library()).schema), ITEMS).interactions(vectors)
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
    known = histories([event("like", "c"), event("play", "a", days=2), event("dislike", "b", days=1), event("like", "a", user_id="bob")])
    alone = known.of_user("ann").interactions(PLACE, "ann")
    part = known.interactions().of([0])
    assert alone.users == ("ann",)
    assert alone.items == part.items
    for name in ("indptr", "columns", "weights", "at_s"):
        assert getattr(alone, name).tolist() == getattr(part, name).tolist()
    assert len(known.of_user("nobody").interactions(PLACE)) == 0


def test_indices_sorted_in_place_by_scipy_do_not_shuffle_times():
    known = histories([event("like", "c"), event("play", "a", days=2), event("dislike", "b", days=1)])
    known.weights.sort_indices()
    assert [ITEMS[column] for column in known.interactions().columns] == ["c", "b", "a"]
