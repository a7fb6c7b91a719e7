"""Lists for somebody of whom only the context is known: true to the scores, fading, told."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient

from avrec_dag.recommend.catalogue import load
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.serving.app import create_app
from tests.made_library import DAY, MadeLibrary, made_library

ALL = {"diversity": 0, "per_creator": 1000, "quality": 0}


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Iterator[MadeLibrary]:
    made = made_library(tmp_path_factory.mktemp("context"))
    made.refresh(measured=False)
    yield made
    made.log.close()


@pytest.fixture(scope="module")
def recommender(library) -> Recommender:
    found = library.recommender()
    spoken = {one: ("en", "zh")[place % 2] for place, one in enumerate(found.catalogue.index.items) if place % 5}
    return replace(found, catalogue=replace(found.catalogue, languages=spoken))


def scores_of(recommender: Recommender, user_id: str = "nobody", **context: object) -> dict[str, float]:
    return {one.media_id: one.score for one in recommender.recommend(user_id, 100, context=Context(**context), **ALL)}


def kind(media_id: str) -> str:
    return media_id.split("/")[0]


def test_chosen_classes_come_first_the_popular_of_them_before_the_rest_and_say_so(recommender):
    answer = recommender.recommend("nobody", 6, context=Context(interests=("CAR", "rain")), diversity=0)
    assert {kind(one.media_id) for one in answer} == {"car", "rain"}
    for one in answer:
        assert f"you chose {kind(one.media_id)}" in one.reason
        assert one.why.part == "interests" or f"you chose {kind(one.media_id)}" in one.why.also
    place = recommender.catalogue.index.place
    support = [
        recommender.views.support[place[one.media_id]]
        for one in recommender.recommend("nobody", 6, context=Context(interests=("car",)), **ALL)
    ]
    assert support == sorted(support, reverse=True)


def test_what_is_like_the_referrer_rises_the_referrer_is_not_shown_and_is_the_cause(recommender):
    origin = "cat/000.mp4"
    before, after = scores_of(recommender), scores_of(recommender, referrer=origin)
    assert origin not in after and origin in before
    top = recommender.recommend("nobody", 5, context=Context(referrer=origin), diversity=0)
    assert sum(kind(one.media_id) == "cat" for one in top) >= 3
    named = [one for one in top if one.why.part == "referrer"]
    assert named
    for one in named:
        assert one.causes == (origin,) and "like “cat 000”, where you came from" in one.reason
        assert after[one.media_id] > before[one.media_id]


def test_items_in_the_language_rise_those_in_another_fall_and_unknown_ones_stay(recommender):
    before, after = scores_of(recommender), scores_of(recommender, language="en-GB")
    for one, score in after.items():
        spoken = recommender.catalogue.languages.get(one)
        assert np.sign(round(score - before[one], 5)) == {"en": 1, "zh": -1, None: 0}[spoken]
    top = recommender.recommend("nobody", 10, context=Context(language="en"), diversity=0)
    assert all(("in your language" in one.reason) == (recommender.catalogue.languages.get(one.media_id) == "en") for one in top)


def test_without_a_context_or_with_one_that_nothing_fits_the_list_is_as_before(recommender):
    plain = recommender.recommend("nobody", 10)
    unusable = Context(language="sw", referrer="nowhere.mp4", interests=("opera",))
    assert recommender.recommend("nobody", 10, context=Context()) == plain == recommender.recommend("nobody", 10, context=unusable)
    usable, notes = recommender.usable(unusable)
    assert not usable
    assert [note.split(" ")[0] for note in notes] == ["no", "the", "no"] and "'sw'" in notes[2]


def test_context_fades_with_every_item_met(recommender):
    fits = []
    for met in (0, 1, 5, 50):
        signal = recommender.signals.of_context(Context(interests=("car",)), met, np.linspace(-1, 3, 70, dtype=np.float32))["interests"]
        fits.append(float(signal.added.max()))
    assert fits == sorted(fits, reverse=True)
    assert fits[0] == pytest.approx(2.0, abs=0.05) and fits[2] == pytest.approx(fits[0] / 2) and fits[3] < fits[0] / 10
    gains = []
    for user_id in ("nobody", "made-user-004"):
        before, after = scores_of(recommender, user_id), scores_of(recommender, user_id, interests=("car",))
        gains.append(np.mean([after[one] - before[one] for one in after if kind(one) == "car"]))
    assert gains[0] > gains[1] > 0


def test_somebody_new_still_gets_a_varied_list(recommender):
    answer = recommender.recommend("nobody", 10, context=Context(language="en"))
    assert len({kind(one.media_id) for one in answer}) >= 3


def test_languages_are_what_the_uploader_says_else_what_was_heard(library):
    from avrec_dag.items import Row

    one, other = library.items[0][0], library.items[1][0]
    for media_id, language, sure in ((one, "en", 0.9), (other, "zh", 0.2)):
        library.ledger.append("transcripts", DAY, [Row(media_id, "1", {}, {"language": language, "language_prob": sure})])
    assert load(library.ledger, library.blobs).languages == {one: "en"}
    library.ledger.tombstone("transcripts", DAY, [one, other])


def test_the_service_takes_a_context_refuses_a_bad_one_and_tells_what_it_could_not_use(library):
    with TestClient(create_app(library.ledger, library.blobs, source=None, log=library.log)) as client:  # type: ignore[arg-type]

        def asked(**params: object):
            return client.get("/v1/recommendations/nobody", params={"k": 6, "diversity": 0, **params})

        chosen = asked(interest=["car", "rain"])
        assert {kind(one["media_id"]) for one in chosen.json()} == {"car", "rain"} and "avrec-notes" not in chosen.headers
        assert chosen.json()[0]["why"]["part"] == "interests" or "you chose" in chosen.json()[0]["why"]["also"][0]
        odd = asked(referrer="猫.mp4", interest="opera")
        assert odd.json() == asked().json()
        assert json.loads(odd.headers["avrec-notes"]) == ["no item is of the class 'opera'", "the referrer '猫.mp4' is not in the library"]
        for params, part in (
            ({"language": "!!"}, "language"),
            ({"referrer": ""}, "referrer"),
            ({"interest": ["x"] * 30}, "interests"),
            ({"interest": "a\x07"}, "interests"),
        ):
            refused = asked(**params)
            assert refused.status_code == 422 and refused.json()["detail"].startswith(f"{part}: ")


def test_the_popularity_that_a_reason_names_carries_the_item(recommender):
    top = recommender.recommend("nobody", 1, **ALL)[0]
    assert top.why.part == "popularity"
    column = recommender.catalogue.index.place[top.media_id]
    before = scores_of(recommender)[top.media_id]
    popular = next(one for one in recommender.views.model.components if one.name == "popularity")
    counts = popular.counts.copy()
    try:
        popular.counts[recommender.views.model.items.index(top.media_id)] = 0
        assert scores_of(recommender)[top.media_id] < before
    finally:
        popular.counts[:] = counts
    assert column >= 0 and isinstance(recommender.history("nobody"), Interactions)


def test_the_command_takes_a_context_and_tells_what_it_could_not_use(library, monkeypatch):
    from types import SimpleNamespace

    from typer.testing import CliRunner

    from avrec_dag.cli.app import app
    from avrec_dag.recommend.reranking.knobs import Knobs

    opened = SimpleNamespace(settings=SimpleNamespace(knobs=Knobs()), recommender=library.recommender(), log=library.log)
    monkeypatch.setattr("avrec_dag.cli.library.opened", lambda: opened)
    asked = ["recommend", "nobody", "-k", "6", "--diversity", "0"]
    chosen = CliRunner().invoke(app, [*asked, "--interest", "car", "--interest", "opera", "--referrer", "nowhere.mp4", "--json"])
    assert chosen.exit_code == 0
    assert "not used: no item is of the class 'opera'" in chosen.stderr and "'nowhere.mp4' is not in the library" in chosen.stderr
    assert {kind(one["media_id"]) for one in json.loads(chosen.stdout)} == {"car"}
    refused = CliRunner().invoke(app, [*asked, "--language", "!!"])
    assert refused.exit_code != 0 and "no language tag" in f"{refused.output}{refused.exception}"
