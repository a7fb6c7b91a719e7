"""The client against the service itself and its description."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi.testclient import TestClient

from avrec_dag import synthetic
from avrec_dag.client import Client, ProblemError
from avrec_dag.feedback import Event
from avrec_dag.serving.access import Access, Keyring
from avrec_dag.serving.app import create_app
from tests.small_library import ODD, SOUND, Small


@pytest.fixture(scope="module")
def library(small, tmp_path_factory) -> Small:
    return small.copy(tmp_path_factory.mktemp("client") / "library")


@pytest.fixture(scope="module")
def served(library, tmp_path_factory) -> Iterator[tuple[TestClient, str]]:
    keyring, log = Keyring(tmp_path_factory.mktemp("client") / "keys.db"), library.log
    key = keyring.add("all", ["admin"])
    with TestClient(create_app(library.ledger, library.blobs, library.source, log, access=Access(keyring))) as service:
        yield service, key
    log.close()


def through(service: TestClient) -> httpx.MockTransport:
    """What brings requests of the client to the service, in this process."""

    def carry(request: httpx.Request) -> httpx.Response:
        headers, body = dict(request.headers), request.read()
        answer = service.request(request.method, str(request.url), content=body, headers=headers, follow_redirects=False)
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

    return httpx.MockTransport(carry)


@pytest.fixture(scope="module")
def client(served) -> Iterator[Client]:
    service, key = served
    with Client("http://127.0.0.1", key, transport=through(service)) as one:
        yield one


def test_every_operation_of_the_description_has_a_method(served):
    described = served[0].get("/openapi.json").json()["paths"]
    operations = {one["operationId"] for path in described.values() for one in path.values()}

    assert operations - set(dir(Client)) == set()
    own = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert own - operations <= {"ready", "metrics"}


def test_answers_come_back_typed(client, library, tmp_path):
    listed = client.recommendations("person 1", k=3, diversity=0.5, interest=["bars"])
    picture = synthetic.clip(tmp_path / "rings.png", kind="rings", seed=5, size=(160, 90)).read_bytes()
    event = Event(user_id="person 1", media_id=listed.items[0].media_id, kind="like", happened_at=datetime.now(UTC))

    assert len(listed.items) == 3 and sum(map(abs, listed.items[0].why.shares.values())) == pytest.approx(1, abs=0.01)
    assert client.explain("person 1", listed.items[0].media_id).score > 0
    assert client.similar(ODD, k=2)[0].moment.kind == "picture"
    assert client.search_by_words("rings", user="person 1", taste=0.5) and client.search_by_file(picture, "image/png", part="picture")
    assert client.feedback([event]).added == 1 and client.feedback([event]).known == 1
    assert client.item(ODD).links.sheet and client.profile("person 1").liked == 5
    assert client.still(ODD)[:2] == client.sheet(ODD)[:2] == b"\xff\xd8" and client.spectrogram(SOUND)[1:4] == b"PNG"
    assert client.captions(ODD).startswith("WEBVTT")
    assert client.stream(ODD, 10, 19) == (library.folder / "media" / ODD).read_bytes()[10:20]
    assert client.label(ODD, ["rings"], by="ada").labels == ["rings"] and client.unsure(limit=1)
    assert client.begin_session().scopes == ["admin"] and client.end_session() is None
    assert client.health()["status"] == "ok" and client.library() and client.classes() and client.models() and client.freshness()
    assert client.quality().histogram and client.duplicates() and client.moderation()
    assert client.forget("person 1").erased["feedback log"] == 7


def test_a_refusal_says_what_the_service_said(client, served):
    with pytest.raises(ProblemError, match="is not in the library") as caught:
        client.item("no/such.mp4")
    assert caught.value.problem.status == 404
    with Client("http://127.0.0.1", transport=through(served[0])) as stranger, pytest.raises(ProblemError, match="avrec keys add"):
        stranger.profile("ada")


def test_what_is_told_to_come_later_is_sent_again_after_the_wait_and_not_for_ever(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("avrec_dag.client.asking.time.sleep", waited.append)
    answers = [httpx.Response(429, headers={"retry-after": "3"}), httpx.Response(503), httpx.Response(200, json={"status": "ok"})]
    with Client("http://there", transport=httpx.MockTransport(lambda _request: answers.pop(0))) as client:
        assert client.health() == {"status": "ok"}
    assert waited == [3.0, 1.0]
    busy = httpx.MockTransport(lambda _request: httpx.Response(503, text="a proxy says no"))
    with Client("http://there", transport=busy, patience=1) as client, pytest.raises(ProblemError, match="a proxy says no"):
        client.health()
