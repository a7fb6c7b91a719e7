"""What moves a person's scores besides models and quality: true to the scores, bounded, and theirs alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from avrec_dag.feedback import Event
from avrec_dag.recommend.blend import blend
from avrec_dag.recommend.explain import parts_of
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.signals import FOLLOW, FOLLOW_RISE, MOST_PASSED, PASSED
from tests.made_library import made_library

LATER = datetime(2026, 1, 9, tzinfo=UTC)
PERSON = "made-user-004"
ALL = {"diversity": 0, "per_creator": 1000}


@pytest.fixture(scope="module")
def recommender(tmp_path_factory) -> Iterator[Recommender]:
    made = made_library(tmp_path_factory.mktemp("signals"))
    made.refresh(measured=False)
    found = made.recommender()
    makers = {one: f"maker {place % 7}" for place, one in enumerate(found.catalogue.index.items)}
    yield replace(found, catalogue=replace(found.catalogue, creators=makers))
    made.log.close()


def did(media_id: str, kind: str, *, seconds: int = 0, user_id: str = PERSON, **more: str) -> Event:
    return Event.model_validate(
        {"user_id": user_id, "media_id": media_id, "kind": kind, "happened_at": LATER + timedelta(seconds=seconds), **more}
    )


def scores_of(recommender: Recommender, *events: Event, user_id: str = PERSON) -> dict[str, float]:
    return {one.media_id: one.score for one in recommender.recommend(user_id, 100, events=events, **ALL)}


def test_what_is_passed_over_falls_the_more_often_up_to_a_limit_and_nothing_else_moves(recommender):
    before = scores_of(recommender)
    item = next(iter(before))
    fallen = [scores_of(recommender, *(did(item, "impression", seconds=n) for n in range(times))) for times in (1, 3, 5, 50)]
    assert before[item] > fallen[0][item] > fallen[1][item] > fallen[2][item] == fallen[3][item]
    assert all(
        {one: score for one, score in after.items() if one != item}
        == pytest.approx({one: score for one, score in before.items() if one != item})
        for after in fallen
    )


def test_an_impression_never_outweighs_a_like(recommender):
    rules = replace(
        recommender.histories.rules,
        weights=recommender.histories.rules.weights | {"impression": type(recommender.histories.rules.weights["like"])(-1.0)},
    )
    harsh = replace(recommender, histories=replace(recommender.histories, rules=rules))
    item = next(iter(scores_of(harsh)))
    known = harsh.histories.of_user(PERSON).extended([did(item, "impression", seconds=n) for n in range(50)])
    assert harsh.signals.of_history(known)[PASSED].added.min() == -MOST_PASSED > -rules.weights["like"].base
    assert FOLLOW_RISE <= MOST_PASSED


def test_passing_an_item_over_counts_less_with_time_and_not_at_all_once_it_is_watched(recommender):
    first, second, *_ = scores_of(recommender)
    shown = did(first, "impression")
    later = did(second, "like", seconds=86400 * 60)
    known = recommender.histories.of_user(PERSON)
    fresh = recommender.signals.of_history(known.extended([shown]))[PASSED].added.min()
    old = recommender.signals.of_history(known.extended([shown, later]))[PASSED].added.min()
    assert fresh < old < 0
    assert PASSED not in recommender.signals.of_history(known.extended([shown, did(first, "save", seconds=1)]))


def test_items_of_a_followed_creator_rise_and_say_so_and_fall_again_without_the_follow(recommender):
    before = scores_of(recommender)
    follow = did("", "follow", creator="maker 3")
    answer = recommender.recommend(PERSON, 100, events=[follow], **ALL)
    for one in answer:
        theirs = recommender.catalogue.creators[one.media_id] == "maker 3"
        assert ("from maker 3, whom you follow" in one.reason) == theirs
        assert (one.score > before[one.media_id] + 1e-4) == theirs
        assert ("follow" in one.why.shares) == theirs
    named = next(one for one in answer if one.media_id in before and "maker 3" in one.reason)
    assert (named.why.part == FOLLOW) != bool(named.why.also)
    assert all(score == pytest.approx(before[one]) for one, score in scores_of(recommender).items())


def test_a_follow_pressed_at_an_item_follows_its_creator_and_nobody_elses_list_moves(recommender):
    item = next(iter(scores_of(recommender)))
    known = recommender.histories.of_user(PERSON).extended([did(item, "follow")], recommender.catalogue.creators)
    assert known.creators == (recommender.catalogue.creators[item],)
    other = "made-user-005"
    before = recommender.recommend(other, 20)
    recommender.recommend(PERSON, 20, events=[did(item, "follow")])
    assert recommender.recommend(other, 20) == before


def test_of_copies_the_canonical_one_is_shown_unless_it_may_not_be(recommender):
    items = list(scores_of(recommender))
    best, worst = items[0], items[-1]
    copies = {"group_of": {best: "g", worst: "g"}, "canonical_of": {best: worst, worst: worst}}
    made = replace(recommender, catalogue=replace(recommender.catalogue, **copies))
    plain, shown = recommender.recommend(PERSON, 1, **ALL)[0], made.recommend(PERSON, 100, **ALL)
    assert (shown[0].media_id, shown[0].score, shown[0].causes) == (worst, plain.score, plain.causes)
    assert best not in {one.media_id for one in shown}
    gone = replace(recommender, catalogue=replace(recommender.catalogue, group_of={best: "g"}, canonical_of={best: "withheld.mp4"}))
    assert gone.recommend(PERSON, 1, **ALL)[0].media_id == best
    # Passed over as shown, no copy comes in its place.
    passed = [did(worst, "impression", seconds=n) for n in range(5)]
    after = {one.media_id: one.score for one in made.recommend(PERSON, 100, events=passed, **ALL)}
    assert after[worst] < shown[0].score and best not in after


def test_shares_are_what_parts_add_and_the_named_part_is_the_largest(recommender):
    history = recommender.history(PERSON)
    known = recommender.histories.of_user(PERSON).extended([did("", "follow", creator="maker 3")])
    scores = blend(recommender.views, history, quality=0.1).moved(recommender.signals.of_history(known), 0.9)
    columns = np.arange(len(recommender.views.items))
    parts = parts_of(scores, columns)
    summed = sum(parts.values(), np.zeros(len(columns)))
    open_to = np.isfinite(scores.final[0])
    assert np.ptp((summed - scores.final[0])[open_to]) < 1e-4
    for one in recommender.recommend(PERSON, 20):
        assert sum(map(abs, one.why.shares.values())) == pytest.approx(1, abs=1e-3)
        assert one.why.part in ("none", max(one.why.shares, key=lambda name, shares=one.why.shares: shares[name]))


@pytest.mark.parametrize("part", ["behaviour", "content"])
def test_without_the_items_that_a_reason_names_its_part_and_the_item_fall(recommender, part):
    place, fused, fell = recommender.catalogue.index.place, recommender.views.fused, []
    for user_id in recommender.users[::2]:
        history = recommender.histories.of_user(user_id)
        scores = blend(recommender.views, history.interactions(place, "", fused), quality=0.1)
        for one in recommender.recommend(user_id, 20, exploration=0, **ALL):
            if one.why.part != part or not one.causes:
                continue
            column = place[one.media_id]
            rest = history.within(set(history.opinions) - set(one.causes))
            without = blend(recommender.views, rest.interactions(place, "", fused), quality=0.1)
            lost = [parts_of(each, np.array([column]))[part][0] for each in (scores, without)]
            fell.append(lost[1] < lost[0] and without.final[0, column] < scores.final[0, column])
    assert len(fell) > 5
    assert np.mean(fell) > 0.9
