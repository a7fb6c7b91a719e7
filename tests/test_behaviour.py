from collections import Counter, defaultdict
from datetime import UTC, date, datetime

import numpy as np
import pytest

from avrec_dag.synthetic_behaviour import GRUMBLE, PRAISE, make_events, tastes
from tests.made_library import CLASSES, made_items

ITEMS = made_items(80)
LABEL = {media_id: label for media_id, label, _ in ITEMS}


@pytest.fixture(scope="module")
def events():
    return make_events(ITEMS, n_users=200, start=date(2026, 2, 1), n_days=5, seed=1)


def test_the_same_seed_makes_the_same_events_and_another_seed_others(events):
    again = make_events(ITEMS, n_users=200, start=date(2026, 2, 1), n_days=5, seed=1)
    assert again == events
    assert len({event.event_id for event in events}) == len(events)
    assert make_events(ITEMS, n_users=200, start=date(2026, 2, 1), n_days=5, seed=2) != events


def test_events_fall_on_the_days_asked_for_in_time_order(events):
    assert sorted({event.day for event in events}) == [f"2026-02-0{day}" for day in range(1, 6)]
    assert events == sorted(events, key=lambda event: (event.happened_at, event.event_id))
    assert events[0].happened_at >= datetime(2026, 2, 1, tzinfo=UTC)


def met(events) -> dict[str, set[str]]:
    seen = defaultdict(set)
    for event in events:
        seen[event.user_id].add(event.media_id)
    return seen


def test_people_meet_about_fifteen_items_and_leave_most_of_the_library(events):
    sizes = [len(items) for items in met(events).values()]
    assert len(sizes) == 200
    assert 14 < np.mean(sizes) < 16
    assert 5 <= min(sizes) <= max(sizes) <= 80 // 3


def test_people_like_one_or_two_classes_and_meet_other_things_too(events):
    liked = tastes(CLASSES, 200, seed=1)
    assert {len(classes) for classes in liked.values()} == {1, 2}
    assert 0.3 < np.mean([len(classes) == 2 for classes in liked.values()]) < 0.5
    in_taste = [LABEL[item] in liked[user] for user, items in met(events).items() for item in items]
    assert 0.4 < np.mean(in_taste) < 0.75


def test_what_is_liked_is_mostly_of_the_taste_and_what_is_skipped_is_not(events):
    liked = tastes(CLASSES, 200, seed=1)
    share = {
        kind: np.mean([LABEL[event.media_id] in liked[event.user_id] for event in events if event.kind == kind])
        for kind in ("like", "dislike", "skip")
    }
    assert share["like"] > 0.8
    assert share["skip"] < 0.35
    assert share["dislike"] < 0.4


def test_popularity_is_skewed_and_belongs_to_no_class(events):
    views = Counter(event.media_id for event in events if event.kind == "play")
    counts = np.sort([views[item] for item in LABEL])[::-1]
    assert counts[:8].mean() > 2.5 * counts[-24:].mean()
    top = {LABEL[item] for item, _ in views.most_common(16)}
    assert len(top) >= 5


def test_comments_are_in_english_and_in_chinese(events):
    texts = {event.text for event in events if event.kind == "comment"}
    assert texts <= {*PRAISE, *GRUMBLE}
    assert any(text.isascii() for text in texts)
    assert any(not text.isascii() for text in texts)


@pytest.mark.parametrize(
    "items", [[("a.mp4", "cat", 0.5)], [("a.mp4", "", 0.5), ("b.mp4", "", 0.1)], [("a", "cat", 1.0), ("b", "dog", 0.0)]]
)
def test_tiny_libraries_and_items_without_a_class_have_visitors_too(items):
    made = make_events(items, n_users=3)
    assert {event.media_id for event in made} <= {item[0] for item in items}
    assert len({event.user_id for event in made}) == 3
