"""Lists as tables and service give them: copies once, creators capped, knobs turned, one person's dislikes theirs alone."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from avrec_dag.cli import trial
from avrec_dag.cli.flow import Flow
from avrec_dag.feedback import Event
from avrec_dag.items import Row
from avrec_dag.recommend import stage
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.recommend.storing import fields_of
from avrec_dag.recommend.training import update_recommender
from avrec_dag.recommend.words import terms
from avrec_dag.serving.app import create_app
from avrec_dag.steps import WHOLE
from tests.made_library import STEPS, made_library

PERSON = "made-user-004"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    made = made_library(tmp_path_factory.mktemp("lists"), n_users=20)
    made.refresh(measured=False)
    yield made
    made.log.close()


def stored(library) -> dict[str, list[str]]:
    rows = library.ledger.rows("recommendations", WHOLE, ["media_ids"]).to_pylist()
    return {row["user_id"]: row["media_ids"] for row in rows}


def test_copies_stand_once_on_a_list_and_what_is_a_copy_of_something_met_on_none(library):
    met = library.recommender().histories.of_user(PERSON).weights
    first, second, third = (one.media_id for one in library.recommender().recommend(PERSON, 3, diversity=0))
    seen = next(iter(met))
    for one, group in ((first, "a"), (second, "a"), (third, "b"), (seen, "b")):
        library.ledger.append("duplicates", WHOLE, [Row(one, group, {"group": group}, {"group_id": group, "canonical": one})])
    stage.update_recommendations(library.ledger, library.blobs, STEPS["recommendations"])
    lists = stored(library)
    assert first in lists[PERSON] and second not in lists[PERSON] and third not in lists[PERSON]
    assert not any(first in media_ids and second in media_ids for media_ids in lists.values())
    library.ledger.tombstone("duplicates", WHOLE, [first, second, third, seen])


def test_a_list_holds_no_more_of_a_creator_than_allowed_and_says_so_where_nothing_else_is_left(library):
    recommender = library.recommender()
    items = recommender.catalogue.index.items
    makers = {one: f"maker {place % 2}" if place < 60 else f"maker {place}" for place, one in enumerate(items)}
    made = replace(recommender, catalogue=replace(recommender.catalogue, creators=makers))
    few = made.recommend(PERSON, 8, per_creator=2)
    counts = [sum(makers[one.media_id] == maker for one in few) for maker in set(makers.values())]
    assert len(few) == 8 and max(counts) == 2
    assert not any("more of its creator" in one.reason for one in few)
    many = made.recommend(PERSON, 40, per_creator=2)
    assert len(many) == 40
    assert any("more of its creator than usual" in one.reason for one in many)


def test_knobs_of_the_deployment_make_other_lists_and_those_of_a_request_others_again(library):
    plain, varied = (Knobs(diversity=d, quality=0.0) for d in (0.0, 0.9))
    library.ledger.tombstone("recommendations", WHOLE, list(stored(library)))
    stage.update_recommendations(library.ledger, library.blobs, STEPS["recommendations"], knobs=plain)
    assert stored(library)[PERSON] == [one.media_id for one in library.recommender().recommend(PERSON, 20, diversity=0, quality=0)]
    app = create_app(library.ledger, library.blobs, source=None, log=library.log, knobs=varied)  # type: ignore[arg-type]
    with TestClient(app) as client:

        def asked(**params: object) -> list[str]:
            return [one["media_id"] for one in client.get(f"/v1/recommendations/{PERSON}", params={"k": 20, **params}).json()]

        assert asked(diversity=0) == stored(library)[PERSON] != asked()
        assert asked(quality=1, diversity=0) != asked(relevance=1, diversity=0)
        refused = client.get(f"/v1/recommendations/{PERSON}", params={"relevance": 0, "quality": 0, "diversity": 0})
        assert refused.status_code == 422 and "nothing is left to order by" in refused.json()["detail"]
        assert client.get(f"/v1/recommendations/{PERSON}", params={"method": "magic"}).status_code == 422


def test_the_dislikes_of_one_person_change_their_list_and_nobody_elses(library):
    library.ledger.tombstone("recommendations", WHOLE, list(stored(library)))  # made with other knobs
    library.refresh(measured=False)
    before = stored(library)
    newest = max(event.happened_at for event in library.log.of_user(PERSON))
    kind = before[PERSON][0].split("/")[0]
    unloved = [one for one in before[PERSON] if one.split("/")[0] == kind][:3]
    library.log.add([Event(user_id=PERSON, media_id=one, kind="dislike", happened_at=newest + timedelta(seconds=1)) for one in unloved])
    library.refresh(measured=False)
    after = stored(library)
    assert not set(after[PERSON]) & set(unloved)
    assert sum(one.split("/")[0] == kind for one in after[PERSON]) < sum(one.split("/")[0] == kind for one in before[PERSON])
    assert {user: after[user] for user in after if user != PERSON} == {user: before[user] for user in before if user != PERSON}


def test_a_dislike_long_after_makes_one_list_anew_and_leaves_the_model_as_it_is(library):
    library.refresh(measured=False)
    before, model = stored(library), fields_of(library.ledger, "recommender", "model")
    later = max(event.happened_at for event in library.log.of_user(PERSON)) + timedelta(days=45)
    unloved = before[PERSON][0]
    library.log.add([Event(user_id=PERSON, media_id=unloved, kind="dislike", happened_at=later)])
    library.ledger.append("quality_scores", WHOLE, [Row(unloved, "2", {"score": "2"}, {"score": 0.01, "technical": 0.5})])
    outcomes = library.refresh(measured=False)
    assert (outcomes["interactions"].computed, outcomes["recommendations"].computed) == (1, 1)
    assert fields_of(library.ledger, "recommender", "model") == model
    assert unloved not in stored(library)[PERSON]
    assert {user: one for user, one in stored(library).items() if user != PERSON} == {u: one for u, one in before.items() if u != PERSON}
    update_recommender(library.ledger, library.blobs, STEPS["recommender"], anew=True)
    assert library.refresh(measured=False)["recommendations"].computed == 20
    assert library.recommender().views.quality[library.recommender().catalogue.index.place[unloved]] == pytest.approx(0.01)


def test_the_demo_dislikes_once_and_says_whose_lists_changed(library):
    def refreshed() -> Flow:
        library.refresh(measured=False)
        return Flow()

    library.refresh(measured=False)
    told = trial.disliked(library, refreshed)
    assert told is not None and told["ok"]
    assert (told["lists"], told["changed"]) == (20, 1)
    assert told["media_id"] not in stored(library)[told["user_id"]]
    assert trial.disliked(library, refreshed) is None


@pytest.mark.slow
def test_in_the_whole_graph_a_dislike_moves_quality_and_one_list(small, tmp_path):
    mine = small.copy(tmp_path / "mine")

    def lists() -> dict[str, list[str]]:
        rows = mine.ledger.rows("recommendations", WHOLE, ["media_ids"]).to_pylist()
        return {row["user_id"]: row["media_ids"] for row in rows}

    before, quality = lists(), mine.ledger.data_version("quality_scores")
    person = min(before)
    unloved = before[person][0]
    newest = max(event.happened_at for event in mine.log.of_user(person))
    mine.log.add([Event(user_id=person, media_id=unloved, kind="dislike", happened_at=newest + timedelta(seconds=1))])
    done = mine.avrec("materialize", "--json")
    assert done.returncode in {0, 1}, done.stderr
    assert mine.ledger.data_version("quality_scores") != quality
    after = lists()
    assert unloved not in after[person]
    assert {user for user in after if after[user] != before[user]} == {person}


def scores_of(recommender, user_id: str, **knobs: float) -> dict[str, float]:
    return {one.media_id: one.score for one in recommender.recommend(user_id, 100, diversity=0, per_creator=1000, **knobs)}


def test_without_the_items_of_the_class_that_a_reason_names_the_item_falls(library, monkeypatch):
    recommender = library.recommender()
    histories, fell = type(recommender.histories), []
    for user_id in recommender.users:
        top = next(iter(recommender.recommend(user_id, 1, diversity=0)))
        if top.why.label is None:
            continue
        history = recommender.histories.of_user(user_id)
        rest = {item: kept for item, kept in history.opinions.items() if top.why.label not in recommender.catalogue.labels[item]}
        before = scores_of(recommender, user_id)[top.media_id]
        without = replace(history, opinions=rest)
        with monkeypatch.context() as patched:
            patched.setattr(histories, "of_user", lambda _self, _user, known=without: known)
            fell.append(scores_of(recommender, user_id)[top.media_id] < before)
    assert len(fell) > 10
    assert sum(fell) / len(fell) > 0.9


def test_an_item_that_quality_put_on_a_list_falls_with_its_quality(library):
    recommender = library.recommender()
    named = [one for user_id in recommender.users for one in [recommender.recommend(user_id, 1, diversity=0, quality=0.8)[0]]]
    assert {one.why.part for one in named} == {"quality"}
    for user_id, one in zip(recommender.users, named, strict=True):
        lowered = recommender.views.quality.copy()
        lowered[recommender.catalogue.index.place[one.media_id]] = 0.0
        worse = replace(recommender, views=replace(recommender.views, quality=lowered))
        assert scores_of(worse, user_id, quality=0.8)[one.media_id] < one.score


def test_a_reason_in_parts_says_what_its_line_says_in_table_and_service(library):
    recommender = library.recommender()
    texts = {one: terms(recommender.catalogue.words[one]) for one in recommender.catalogue.index.items}
    listed = [one for user_id in recommender.users for one in recommender.recommend(user_id, 10, diversity=0.6)]
    assert {one.why.because for one in listed} == {"score", "variety", "new"}
    worded = [one for one in listed if one.why.words]
    assert worded
    for one in listed:
        assert one.reason.startswith("new here") == (one.why.because == "new")
        assert one.reason.startswith("for a change") == (
            one.why.because == "variety" or (one.why.part == "none" and one.why.because != "new")
        )
        assert all(word in texts[one.media_id] and any(word in texts[cause] for cause in one.causes) for word in one.why.words)
        assert all(word in one.reason for word in one.why.words)
        assert one.why.label is None or f"both {one.why.label}" in one.reason
    row = library.ledger.rows("recommendations", WHOLE, ["media_ids", "reasons", "whys"]).to_pylist()[0]
    told = [json.loads(why) for why in row["whys"]]
    assert len(told) == len(row["media_ids"])
    assert {"part", "because", "causes", "label", "words", "missing", "beyond_cap", "also", "shares"} == set(told[0])
    with TestClient(create_app(library.ledger, library.blobs, source=None, log=library.log)) as client:  # type: ignore[arg-type]
        first = client.get(f"/v1/recommendations/{PERSON}").json()[0]
    assert first["why"]["part"] and set(first["why"]) < set(told[0])


def test_the_demo_ends_with_lists_and_their_reasons(library, capsys):
    told = trial.lists(library.ledger)
    everyone = stored(library)
    assert [one["user_id"] for one in told] == sorted(everyone)[:2]
    assert all([place["media_id"] for place in one["items"]] == everyone[one["user_id"]][:3] for one in told)
    assert all(place["reason"] for one in told for place in one["items"])
    facts = {"items": 1, "real": 0, "made": 1, "people": 2, "trouble": "", "media": "var/media"}
    summary = {
        "assets": {},
        "failures": [],
        "checks": [],
        "errors": [],
        "stopped": "",
        "items": 0,
        "computed": 0,
        "runs": 0,
        "seconds": 0.0,
    }
    one = {"user_id": PERSON, "media_id": "cat/000.mp4", "lists": 20, "changed": 1, "ok": True}
    trial.show({**summary, "library": facts, "lists": told, "dislike": one, "bars": [], "parts": {}, "report": "report.html"})
    shown = capsys.readouterr().out
    assert f"What {told[0]['user_id']} should watch next, and why" in shown
    assert told[0]["items"][0]["media_id"] in shown
