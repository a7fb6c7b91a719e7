from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.feedback import Event
from avrec_dag.moments import Moment, Moments, Told, term_hash
from avrec_dag.recommend.blend import blend
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.metrics import intra_list_distance
from avrec_dag.recommend.words import BOOST, boost, terms
from avrec_dag.synthetic_behaviour import tastes
from tests.made_library import CLASSES, made_library

LATER = datetime(2026, 1, 9, tzinfo=UTC)
PEOPLE = [f"made-user-{number:03d}" for number in range(40)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    made = made_library(tmp_path_factory.mktemp("library"))
    made.refresh(measured=False)
    yield made
    made.log.close()


@pytest.fixture(scope="module")
def recommender(library) -> Recommender:
    return library.recommender()


def ids(answer) -> list[str]:
    return [one.media_id for one in answer]


def label(media_id: str) -> str:
    return media_id.split("/")[0]


@settings(max_examples=60, deadline=None)
@given(
    user_id=st.sampled_from([*PEOPLE, "nobody", "王"]),
    k=st.integers(0, 80),
    diversity=st.floats(0, 1),
    quality=st.floats(0, 1),
    n_excluded=st.integers(0, 20),
)
def test_whatever_the_knobs_an_answer_repeats_nothing_and_shows_nothing_met_or_excluded(
    recommender, user_id, k, diversity, quality, n_excluded
):
    exclude = set(recommender.catalogue.index.items[:n_excluded])
    met = set(recommender.histories.of_user(user_id).weights)
    answer = ids(recommender.recommend(user_id, k, diversity=diversity, quality=quality, exclude=exclude))
    assert len(answer) == len(set(answer)) == min(k, 70 - len(met | exclude))
    assert not set(answer) & (met | exclude)


def test_lists_show_the_taste(recommender):
    liked = tastes(CLASSES, 40)
    hits = [label(one.media_id) in liked[user_id] for user_id in PEOPLE for one in recommender.recommend(user_id, 5, diversity=0)]
    by_chance = np.mean([len(classes) / len(CLASSES) for classes in liked.values()])
    assert np.mean(hits) > 2.5 * by_chance


def test_scores_fall_along_a_list_without_diversity(recommender):
    scores = [one.score for one in recommender.recommend("made-user-004", 30, diversity=0)]
    assert scores == sorted(scores, reverse=True)


def test_diversity_spreads_and_quality_lifts_quality(recommender):
    place, rated = recommender.catalogue.index.place, recommender.catalogue.quality

    def mean(measure, **knobs) -> float:
        return float(np.mean([measure([place[one] for one in ids(recommender.recommend(user, 10, **knobs))]) for user in PEOPLE]))

    def distance(places):
        return intra_list_distance(recommender.catalogue.index.fused[places])

    def quality(places):
        return rated[places].mean()

    assert mean(distance, diversity=0.8) > mean(distance, diversity=0.0) * 1.1
    assert mean(quality, quality=0.6) > mean(quality, quality=0.0) + 0.1


@pytest.mark.parametrize("knobs", [{"diversity": 1.5}, {"quality": -0.1}, {"quality": float("nan")}, {"k": -1}])
def test_a_knob_outside_its_range_is_refused(recommender, knobs):
    with pytest.raises(ValueError, match=r"must lie in|at least 0"):
        recommender.recommend("made-user-001", **knobs)


def test_somebody_unknown_gets_what_is_popular_and_not_all_of_one_kind(recommender):
    answer = recommender.recommend("nobody", 10)
    best = set(np.argsort(-recommender.views.support)[:25])
    assert sum(recommender.catalogue.index.place[one.media_id] in best for one in answer) >= 8
    assert len({label(one.media_id) for one in answer}) >= 3
    assert all("popular" in one.reason or "quality" in one.reason for one in answer[:3])


def like(user_id: str, media_id: str, kind: str = "like", hours: int = 0) -> Event:
    return Event(user_id=user_id, media_id=media_id, kind=kind, happened_at=LATER + timedelta(hours=hours))


def test_a_like_since_the_last_fit_changes_the_next_answer_towards_it(recommender):
    plain = ids(recommender.recommend("nobody", 20))
    events = [
        like("nobody", media_id, hours=n) for n, media_id in enumerate(m for m in recommender.catalogue.index.items if label(m) == "piano")
    ][:4]
    after = recommender.recommend("nobody", 20, events=events, diversity=0)
    assert sum(label(one.media_id) == "piano" for one in after[:4]) > sum(label(one) == "piano" for one in plain[:4])
    assert not {one.media_id for one in after} & {event.media_id for event in events}


def test_what_the_ledger_already_knows_counts_once(library, recommender):
    known = library.log.of_user("made-user-003")
    assert recommender.recommend("made-user-003", 10, events=known) == recommender.recommend("made-user-003", 10)


def test_a_live_like_and_a_refreshed_history_give_the_same_list(library, recommender):
    event = like("made-user-003", ids(recommender.recommend("made-user-003", 20))[10])
    live = recommender.recommend("made-user-003", 10, events=[event])
    extended = recommender.histories.of_user("made-user-003").extended([event])
    assert extended.weights[event.media_id] == 1.0
    assert ids(live) != ids(recommender.recommend("made-user-003", 10))


def test_dislikes_push_their_kind_down_for_that_person_alone(recommender):
    before = {user: ids(recommender.recommend(user, 10)) for user in PEOPLE[:3]}
    taste = label(before[PEOPLE[0]][0])
    disliked = [like(PEOPLE[0], media_id, "dislike") for media_id in before[PEOPLE[0]] if label(media_id) == taste][:3]
    after = ids(recommender.recommend(PEOPLE[0], 10, events=disliked))
    assert sum(label(one) == taste for one in after) < sum(label(one) == taste for one in before[PEOPLE[0]])
    assert {user: ids(recommender.recommend(user, 10)) for user in PEOPLE[:3]} == before


def test_a_reason_names_items_of_the_persons_own_history_that_they_liked(recommender):
    named = 0
    for user_id in PEOPLE:
        history = recommender.histories.of_user(user_id).weights
        for one in recommender.recommend(user_id, 10):
            assert all(history[cause] > 0 for cause in one.causes)
            assert all(f"“{label(cause)} {cause[-7:-4]}”" in one.reason for cause in one.causes)
            named += bool(one.causes)
    assert named > 300


def test_a_reason_is_true_to_the_score_without_its_cause_the_item_falls(recommender):
    fell = checked = 0
    for user_id in PEOPLE:
        top = recommender.recommend(user_id, 1, diversity=0)[0]
        if not top.causes:
            continue
        history = recommender.histories.of_user(user_id)
        without = history.within(set(history.weights) - set(top.causes))
        place, fused = recommender.catalogue.index.place, recommender.views.fused
        score = blend(recommender.views, without.interactions(place, "", fused), quality=0.1).final[0, place[top.media_id]]
        before = blend(recommender.views, history.interactions(place, "", fused), quality=0.1).final[0, place[top.media_id]]
        checked += 1
        fell += bool(score < before)
    assert checked > 20
    assert fell / checked > 0.9


def test_similar_items_are_of_the_same_kind(recommender):
    same = [label(one.media_id) == label(item) for item in recommender.catalogue.index.items for one in recommender.similar(item, 3)]
    assert np.mean(same) > 0.7
    with pytest.raises(MissingError, match="nowhere"):
        recommender.similar("nowhere.mp4")


def test_batches_and_single_answers_agree(recommender):
    together = dict(recommender.recommend_all(PEOPLE, 10))
    assert set(together) == set(PEOPLE)
    for user_id in PEOPLE[::7]:
        assert ids(together[user_id]) == ids(recommender.recommend(user_id, 10))


def test_words_are_folded_and_unspaced_scripts_are_found_inside_runs():
    assert terms("Cats & ＤＯＧＳ_2") == {"cats", "dogs", "2"}
    assert {"猫", "一只", "video"} <= terms("一只猫video")
    assert boost(terms("猫"), terms("可爱的猫咪")) == BOOST
    assert boost(terms("a cat"), terms("the cat")) == BOOST / 2
    assert boost(terms("?!"), terms("what")) == 0


@pytest.fixture(scope="module")
def searchable(recommender) -> Recommender:
    """The same library with every item where the name of its class lies in the real joint space."""
    from dataclasses import replace

    from avrec_dag.encoders.joint import JointSpace

    places = dict(zip(CLASSES, JointSpace().text([f"the sound of {name}" for name in CLASSES]), strict=True))
    index = recommender.catalogue.index
    moved = replace(index, joint=np.stack([places[label(item)] for item in index.items]))
    catalogue = Catalogue(moved, recommender.catalogue.quality, recommender.catalogue.titles, recommender.catalogue.labels, {})
    return replace(recommender, catalogue=catalogue)


@pytest.mark.parametrize(("text", "found"), [("a cat", "cat"), ("一只猫", "cat"), ("下雨", "rain"), ("a dog", "dog"), ("钢琴", "piano")])
def test_search_finds_by_meaning_in_english_and_chinese(searchable, text, found):
    assert {label(one.media_id) for one in searchable.search(text, 5)} == {found}


def test_an_index_of_other_encoders_is_refused_and_one_of_these_is_searched(searchable):
    from avrec_dag.encoders.joint import JointSpace

    def of(space: str) -> Recommender:
        return replace(searchable, catalogue=replace(searchable.catalogue, index=replace(searchable.catalogue.index, space=space)))

    assert of(JointSpace().identity).search("a cat", 5) == searchable.search("a cat", 5)
    with pytest.raises(SettingError, match=r"made with the encoders other@1.*run `avrec materialize`"):
        of("other@1").search("a cat", 5)


def test_exact_words_raise_what_is_named(searchable):
    named = replace(searchable, catalogue=replace(searchable.catalogue, words={"rain/002.mp4": "My holiday in Lisbon"}))
    answer = named.search("cat lisbon", 30)
    raised = next(one for one in answer if one.media_id == "rain/002.mp4")
    plain = next(one for one in searchable.search("cat lisbon", 70) if one.media_id == "rain/002.mp4")
    assert raised.score == pytest.approx(plain.score + BOOST / 2, abs=1e-5)
    assert raised.reason == "named so"


def test_words_of_grammar_name_nothing(searchable):
    named = replace(searchable, catalogue=replace(searchable.catalogue, words={"rain/002.mp4": "The story of a man"}))
    answer = next(one for one in named.search("a cat", 70) if one.media_id == "rain/002.mp4")
    assert answer.reason == "fits by meaning"
    assert named.search("the", 1)[0].media_id == "rain/002.mp4"  # all there is to go by


def test_what_was_said_is_found_with_its_second_and_without_changing_what_else_is_found(searchable):
    items, dim = searchable.catalogue.index.items, searchable.catalogue.index.joint.shape[1]
    said = Told(
        "rain/002.mp4", np.ones(2, np.uint8), np.array([3, 60], np.float32), np.array([9, 66], np.float32), np.zeros((2, dim), np.float16),
        np.array([term_hash("lisbon")], np.uint64), np.array([1], np.int32), np.array([61.5], np.float32),
    )  # fmt: skip
    hearing = replace(searchable, catalogue=replace(searchable.catalogue, moments=Moments.build(items, [said])))
    found = {one.media_id: one for one in hearing.search("lisbon", 70)}
    before = {one.media_id: one.score for one in searchable.search("lisbon", 70)}
    spoken = found.pop("rain/002.mp4")
    assert (spoken.moment, spoken.reason) == (Moment(61.5, 66.0, "speech"), "said or shown in it")
    assert spoken.score == pytest.approx(before.pop("rain/002.mp4") + BOOST, abs=1e-5)
    assert {name: one.score for name, one in found.items()} == pytest.approx(before)
    assert {one.moment for one in found.values()} == {None}


def test_similar_items_come_with_the_moment_that_is_likest(searchable):
    index = searchable.catalogue.index
    joints = index.joint[[index.place["dog/001.mp4"], index.place["cat/000.mp4"]]].astype(np.float16)
    shots = Told("cat/008.mp4", np.zeros(2, np.uint8), np.array([0, 4], np.float32), np.array([4, 9], np.float32), joints)
    seeing = replace(searchable, catalogue=replace(searchable.catalogue, moments=Moments.build(index.items, [shots])))
    found = {one.media_id: one.moment for one in seeing.similar("cat/000.mp4", 69)}
    assert found.pop("cat/008.mp4") == Moment(4.0, 9.0, "picture")
    assert set(found.values()) == {None}


def test_an_empty_search_finds_nothing(searchable):
    assert searchable.search("  ") == []


def test_an_item_unknown_to_the_index_in_a_history_is_passed_over(recommender):
    odd = like("made-user-001", "never/uploaded.mp4")
    answer = recommender.recommend("made-user-001", 10, events=[odd], exclude=["also/unknown.mp4"])
    assert len(answer) == 10


def test_a_recommender_of_nobodys_history_works_from_parts_in_memory(recommender):
    from avrec_dag.recommend import model

    items = recommender.catalogue
    nobody = Histories.of(recommender_table(), items.index.items)
    blend = model.unfitted(model.DEFAULT)
    blend.fit(nobody.interactions(items.index.fused))
    fresh = Recommender.of(items, model.Trained(blend, "1", model.DEFAULT, "1", np.zeros(0, np.uint64), 0, "", {}), nobody)
    assert ids(fresh.recommend("x", 1)) == [items.index.items[int(items.quality.argmax())]]


def recommender_table():
    import pyarrow as pa

    from avrec_dag.schema import TABLES

    schema = TABLES["interactions"].columns.insert(0, pa.field("user_id", pa.string()))
    return pa.table({field.name: pa.array([], field.type) for field in schema})


def test_relevance_orders_what_is_open_as_lists_do_and_tells_of_what_was_met_too(recommender):
    items = recommender.catalogue.index.items
    suits = recommender.relevance("made-user-004")
    listed = [items.index(one.media_id) for one in recommender.recommend("made-user-004", 70, diversity=0, quality=0)]
    assert np.isfinite(suits).all()
    assert len(listed) < len(items) == len(suits)
    assert (np.diff(suits[listed]) <= 1e-6).all()
