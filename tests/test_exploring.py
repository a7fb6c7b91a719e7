"""New items on lists: capped, suitable, drawn by what is believed of them, the same every time."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.feedback import Event
from avrec_dag.recommend import model
from avrec_dag.recommend.blend import Scores
from avrec_dag.recommend.exploring import PRIOR_PEOPLE, Explorer, Tried, explored, places
from avrec_dag.recommend.health import measure
from avrec_dag.recommend.judging import judged_of
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.models.weighing import COLD_AT
from avrec_dag.recommend.reranking.listing import Listed, Shelf
from avrec_dag.steps import WHOLE
from tests.made_library import MadeLibrary, made_library


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Iterator[MadeLibrary]:
    made = made_library(tmp_path_factory.mktemp("exploring"), n_items=160, n_users=24)
    made.refresh(measured=False)
    yield made
    made.log.close()


@pytest.fixture(scope="module")
def recommender(library) -> Recommender:
    return library.recommender()


def new_on(answer) -> list[str]:
    return [one.media_id for one in answer if one.why.because == "new"]


def test_new_items_hold_their_share_of_places_suit_the_person_and_say_what_they_are(recommender):
    place, support = recommender.catalogue.index.place, recommender.views.support
    some = 0
    for user_id in (*recommender.users[:8], "nobody"):
        plain = recommender.recommend(user_id, 20, exploration=0)
        assert not new_on(plain)
        answer = recommender.recommend(user_id, 20)
        tried = [one for one in answer if one.why.because == "new"]
        some += len(tried)
        assert len(answer) == len({one.media_id for one in answer}) == 20 and len(tried) <= 2
        assert [one for one in answer if one.why.because != "new"] == plain[: 20 - len(tried)]
        suits = recommender.relevance(user_id)
        for one in tried:
            assert support[place[one.media_id]] <= COLD_AT and one.reason.startswith("new here: few people have met it")
            assert user_id == "nobody" or suits[place[one.media_id]] > np.quantile(suits, 0.4)
        assert new_on(recommender.recommend(user_id, 9)) == []  # a tenth of nine places is less than one
        assert len(new_on(recommender.recommend(user_id, 20, exploration=0.5))) <= 10
    assert some >= 9


def test_draws_are_a_persons_own_and_the_same_until_the_next_fit_from_nothing(recommender):
    once = {user_id: new_on(recommender.recommend(user_id, 40)) for user_id in recommender.users}
    assert once == {user_id: new_on(recommender.recommend(user_id, 40)) for user_id in recommender.users}
    together = {user_id: new_on(answer) for user_id, answer in recommender.recommend_all(recommender.users, 40)}
    assert together == once
    later = replace(recommender, stamp="another fit")
    assert once != {user_id: new_on(later.recommend(user_id, 40)) for user_id in recommender.users}
    assert recommender.stamp


def test_what_somebody_does_leaves_the_new_items_of_others_alone_until_the_next_fit_from_nothing(library, recommender):
    user_id, other = recommender.users[:2]
    disliked = new_on(recommender.recommend(other, 40))
    before = model.load(library.ledger, library.blobs).tried
    newest = max(event.happened_at for event in library.log.of_user(user_id))
    library.log.add([Event(user_id=user_id, media_id=one, kind="dislike", happened_at=newest) for one in disliked])
    stored = {row["user_id"]: row["media_ids"] for row in library.ledger.rows("recommendations", WHOLE, ["media_ids"]).to_pylist()}
    library.refresh(measured=False)
    after = {row["user_id"]: row["media_ids"] for row in library.ledger.rows("recommendations", WHOLE, ["media_ids"]).to_pylist()}
    assert {one for one in stored if stored[one] != after[one]} <= {user_id}
    now = model.load(library.ledger, library.blobs)
    assert now.tried.stamp == before.stamp and (now.tried.displeased == before.displeased).all()
    anew = Tried.of(library.ledger.rows("interactions"), now.blend.items)
    places_of = [now.blend.items.index(one) for one in disliked]
    assert (anew.displeased[places_of] > before.displeased[places_of]).all()


def test_what_is_received_well_is_drawn_more_often_and_what_is_passed_over_less(recommender):
    groups = recommender.filter.groups
    items = recommender.catalogue.index.items
    nobody = np.zeros(len(items), np.int64)
    liked, disliked, untried = items[:3]
    explorer = Explorer.of(recommender.catalogue, groups, nobody, {liked: (30.0, 0.0), disliked: (0.0, 30.0)}, "")
    final = np.zeros((1, len(items)), np.float32)
    final[0, 3:] = -np.inf
    ranks = np.array([explorer.drawn(f"user {n}", Scores(final, {}, {})).tolist() for n in range(300)])
    first = np.bincount(ranks[:, 0], minlength=3)
    assert first[0] > first[2] > first[1]
    assert (explorer.hopes + explorer.fears)[2] == pytest.approx(PRIOR_PEOPLE)
    # The rule by itself, over draws of another library: the share of firsts is what the posteriors say.
    rng = np.random.default_rng(1)
    draws = rng.beta(explorer.hopes[:3], explorer.fears[:3], (20_000, 3)).argmax(axis=1)
    assert first / 300 == pytest.approx(np.bincount(draws, minlength=3) / 20_000, abs=0.08)
    assert untried in items


def test_a_copy_of_what_is_known_is_not_new_and_copies_share_what_is_believed(recommender):
    items = recommender.catalogue.index.items
    support = np.zeros(len(items), np.int64)
    support[0] = 50
    groups = np.arange(len(items))
    groups[1] = groups[0]
    groups[3] = groups[2]
    explorer = Explorer.of(recommender.catalogue, groups, support, {items[2]: (3.0, 1.0)}, "")
    assert not explorer.new[0] and not explorer.new[1] and explorer.new[2:].all()
    assert (explorer.hopes + explorer.fears)[[2, 3, 4]].tolist() == pytest.approx([PRIOR_PEOPLE + 4, PRIOR_PEOPLE + 4, PRIOR_PEOPLE])


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 40),
    k=st.integers(0, 30),
    share=st.floats(0, 1),
    cap=st.integers(1, 4),
    makers=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_exploring_keeps_length_order_groups_and_caps(n, k, share, cap, makers, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n).astype(np.float32)
    shelf = Shelf.of(
        [str(one) for one in range(n)],
        np.zeros((n, 2), np.float32),
        groups=rng.integers(0, n, n),
        creators={str(one): f"m{rng.integers(makers)}" for one in range(0, n, 2)},
    )
    order, seen, listed = np.argsort(-scores), set(), []
    for one in order.tolist():
        if int(shelf.groups[one]) not in seen and len(listed) < k:
            seen.add(int(shelf.groups[one]))
            listed.append(Listed(one))
    found = explored(listed, rng.permutation(n), scores, shelf, k=k, share=share, per_creator=cap)
    new = [one for one in found if one.because == "new"]
    assert len(found) == len(listed) and len(new) <= places(k, share) <= k * share + 1e-6
    groups = [int(shelf.groups[one.position]) for one in found]
    assert len(set(groups)) == len(groups)
    kept = [one for one in found if one.because != "new"]
    assert kept == listed[: len(kept)]
    ordered = scores[[one.position for one in found]]
    assert (np.diff(ordered) <= 0).all()
    for one in new:
        maker = shelf.creators[one.position]
        assert (
            maker < 0
            or sum(shelf.creators[other.position] == maker for other in found) <= cap
            or any(shelf.creators[other.position] == maker for other in listed)
        )


def test_what_was_tried_is_counted_as_plain_counting_says_and_comes_back_from_its_file():
    table = pa.table(
        {
            "media_ids": [["a", "b"], ["a", "gone"], []], "weights": [[1.0, -0.5], [0.25, 1.0], []],
            "shown_ids": [["c"], ["b"], ["c"]], "shown_n": [[2], [50], [1]],
        }
    )  # fmt: skip
    found = Tried.of(table, ("a", "b", "c"), "x")
    assert found.pleased.tolist() == [1.25, 0, 0]
    assert found.displeased.tolist() == pytest.approx([0, 0.5 + 0.25, 0.15])
    back = Tried.load(found.save(), "x")
    assert back.pleased.tolist() == found.pleased.tolist() and back.displeased.tolist() == found.displeased.tolist()
    assert len(Tried.load(None, "").pleased) == 0


def test_health_finds_lists_that_explore_more_than_they_may_and_says_how_many_new_items_are_shown(library):
    judged = judged_of(library.ledger)
    found = {one.name: one for one in measure(judged)}
    whys = judged.lists["whys"].to_pylist()
    by_hand = sum(json.loads(why)["because"] == "new" for one in whys for why in one)
    assert by_hand > 0
    assert found["explored_places"].passed and found["explored_places"].value == pytest.approx(by_hand / sum(map(len, whys)))
    assert found["new_items_shown"].passed and 0 < found["new_items_shown"].value <= 1
    without = {one.name: one for one in measure(replace(judged, exploration=0.0))}
    assert not without["explored_places"].passed and without["new_items_shown"].passed
    known = [["not new"] * len(one) for one in whys]
    nothing_new = judged.lists.set_column(
        judged.lists.column_names.index("media_ids"), "media_ids", pa.array([["elsewhere.mp4"]] * len(known))
    )
    assert not {one.name: one for one in measure(replace(judged, lists=nothing_new))}["new_items_shown"].passed
