"""One event on its way: from a click to the next list, to its day in the tables, to tomorrow's model and the list that this makes."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from avrec_dag.experiments import arms
from avrec_dag.experiments.impressions import Impression, ImpressionLog
from avrec_dag.serving.app import create_app
from tests.made_library import MadeLibrary, made_library

TRIAL = json.dumps({"name": "loop", "arms": [{"name": "usual", "share": 1}]})
WHO = "somebody new"


@pytest.fixture
def library(tmp_path) -> MadeLibrary:
    made = made_library(tmp_path)
    made.refresh(measured=False)
    return made


def logged(library: MadeLibrary) -> list[Impression]:
    log = ImpressionLog(library.log.url)
    found = list(log.impressions("loop"))
    log.close()
    return found


def asked(client: TestClient, k: int = 8) -> list[str]:
    return [one["media_id"] for one in client.get(f"/v1/recommendations/{WHO}?k={k}").json()]


def test_one_event_goes_from_click_to_list_to_its_day_to_tomorrows_model(library):
    trial = arms.read(TRIAL)
    app = create_app(library.ledger, library.blobs, None, library.log, experiment=trial)  # type: ignore[arg-type]
    with TestClient(app) as client:
        first = asked(client)
        at = datetime.now(UTC)
        events = [
            {
                "user_id": WHO,
                "media_id": one,
                "kind": "like",
                "event_id": f"loop-{n}",
                "happened_at": (at + timedelta(milliseconds=n)).isoformat(),
            }
            for n, one in enumerate(first[:4])
        ]
        assert client.post("/v1/feedback", json={"events": events}).json()["added"] == 4
        at_once = asked(client)

    assert not set(at_once) & set(first[:4]) and at_once != first[4:], "the next list knows them, before any table does"
    assert library.ledger.row("feedback_events", "loop-0") is None
    library.refresh(measured=False)
    row = library.ledger.row("feedback_events", "loop-0")
    assert row is not None and row["partition"] == at.date().isoformat() and row["weight"] == 1.0
    history = library.ledger.row("interactions", WHO)
    assert history is not None and set(history["media_ids"]) == set(first[:4])  # type: ignore[arg-type]

    with TestClient(create_app(library.ledger, library.blobs, None, library.log, experiment=trial)) as client:  # type: ignore[arg-type]
        tomorrow = asked(client)
    before, then, after = logged(library)
    assert before.versions["model"] == then.versions["model"] != after.versions["model"]
    assert before.versions["interactions"] == then.versions["interactions"] != after.versions["interactions"]
    assert (list(before.shown), list(then.shown), list(after.shown)) == (first, at_once, tomorrow)
    assert not set(tomorrow) & set(first[:4]), "what is in the tables now is still met"
    model = library.ledger.row("recommender", "recommender")
    assert model is not None and after.versions["model"] == model["version"]


def test_an_event_that_the_tables_know_counts_once(library):
    with TestClient(create_app(library.ledger, library.blobs, None, library.log)) as client:  # type: ignore[arg-type]
        event = {"user_id": WHO, "media_id": asked(client)[0], "kind": "like", "happened_at": datetime.now(UTC).isoformat()}
        client.post("/v1/feedback", json={"events": [event]})
    library.refresh(measured=False)
    recommender = library.recommender()

    with_log = recommender.recommend(WHO, 8, events=library.log.of_user(WHO))
    assert with_log == recommender.recommend(WHO, 8), "the log and the tables tell the same of it"
