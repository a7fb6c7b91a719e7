"""The routes beside lists and search: one item, one person, labels; and errors, which all have one shape."""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from avrec_dag import s3
from avrec_dag.labelling import LabelLog
from avrec_dag.media.uploads import MediaSource
from avrec_dag.serving import guard
from avrec_dag.serving.app import create_app
from avrec_dag.serving.problems import MEDIA_TYPE
from tests.described import described
from tests.small_library import DAY, ODD, SOUND

RINGS = f"dt={DAY}/rings-0.mp4"


@pytest.fixture(scope="module")
def client(served) -> Iterator[TestClient]:
    log = served.log
    with TestClient(create_app(served.ledger, served.blobs, served.source, log), raise_server_exceptions=False) as one:
        yield described(one)
    log.close()


def test_an_item_is_told_with_classes_quality_moments_and_links_that_answer(client):
    told = client.get(f"/v1/media/{quote(ODD)}").json()

    assert (told["media_id"], told["day"], told["kind"], told["tags"]) == (ODD, DAY, "video", ["cat"])
    assert told["labels"][0] == max(told["classes"], key=lambda one: one["probability"])["label"]
    assert sum(part["weight"] for part in told["quality"]["parts"]) == pytest.approx(1)
    assert told["quality"]["score"] == pytest.approx(sum(part["weight"] * part["score"] for part in told["quality"]["parts"]))
    assert all(one["reason"] for one in told["quality"]["signals"])
    starts = [one["start_s"] for one in told["moments"]]
    assert starts == sorted(starts) and all(one["end_s"] <= told["duration_s"] + 0.1 for one in told["moments"])
    for link in told["links"].values():
        assert client.get(link).status_code == 200, link
    heard = client.get(f"/v1/media/{quote(SOUND)}").json()["links"]
    assert heard["still"] is heard["sheet"] is None
    assert client.get(heard["spectrogram"]).content.startswith(b"\x89PNG")


def test_a_profile_says_what_somebody_likes_and_of_a_stranger_that_nothing_is_known(client):
    known = client.get("/v1/users/person 1").json()

    assert (known["met"], known["liked"], known["disliked"]) == (6, 4, 2)
    assert {one["label"] for one in known["classes"][:2]} == {"rings", "snow"}
    assert {one["label"]: one["disliked"] for one in known["classes"]}["waves"] == 2
    assert sum(one["share"] for one in known["classes"]) <= 1.001
    assert {one["media_id"] for one in known["likes"]} == {f"dt={DAY}/{kind}-{n}.mp4" for kind in ("rings", "snow") for n in (0, 1)}
    assert "rings" in known["text"] and "waves" in known["text"]
    stranger = client.get("/v1/users/a/strange person").json()
    assert (stranger["user_id"], stranger["met"], stranger["newest_at"]) == ("a/strange person", 0, None)
    assert "Nothing is known" in stranger["text"]


def test_an_explanation_agrees_with_the_list_and_says_what_bars_an_item(client):
    listed = client.get("/v1/recommendations/person 2", params={"k": 3}).json()
    for place, one in enumerate(listed, 1):
        told = client.get("/v1/explain", params={"user": "person 2", "media_id": one["media_id"], "k": 3}).json()
        assert (told["listed_at"], told["barred"]) == (place, [])
        assert told["score"] == pytest.approx(one["score"], abs=1e-4)
        assert told["why"]["part"] == one["why"]["part"]
    met = client.get("/v1/users/person 2").json()["likes"][0]["media_id"]
    told = client.get("/v1/explain", params={"user": "person 2", "media_id": met}).json()
    assert told["listed_at"] is None and "you met it" in told["barred"][0]
    assert client.get("/v1/explain", params={"user": "person 2", "media_id": "none"}).status_code == 404


def test_forgetting_somebody_takes_them_out_of_the_log_the_tables_and_the_next_list(client, served):
    before = [one["media_id"] for one in client.get("/v1/recommendations/person 3").json()]
    told = client.delete("/v1/users/person 3").json()

    assert told["erased"]["feedback log"] == 6 and set(told["left"]) <= {"bare keys of removed rows"}
    assert served.log.of_user("person 3") == []
    assert client.get("/v1/users/person 3").json()["met"] == 0
    after = [one["media_id"] for one in client.get("/v1/recommendations/person 3").json()]
    assert after != before and after == [one["media_id"] for one in client.get("/v1/recommendations/person 3").json()]
    assert client.delete("/v1/users/person 3").json()["erased"] == {}


def test_the_least_sure_items_are_asked_about_and_an_answer_is_kept_once(client, served):
    asked = client.get("/v1/labels", params={"limit": 5}).json()
    margins = [one["margin"] for one in asked]
    said = {"media_id": asked[0]["media_id"], "labels": [" park ", "公园"], "by": "ada"}

    assert margins == sorted(margins) and client.get(asked[0]["item"]).status_code == 200
    assert client.post("/v1/labels", json=said).json() == {"added": 1, "media_id": said["media_id"], "labels": ["park", "公园"]}
    assert client.post("/v1/labels", json=said).json()["added"] == 0
    assert said["media_id"] not in [one["media_id"] for one in client.get("/v1/labels").json()]
    log = LabelLog(served.env["AVREC_FEEDBACK"])
    assert [(one.labels, one.by) for one in log.history(said["media_id"])] == [(("park", "公园"), "ada")]
    log.close()
    for wrong, status in (
        ({"media_id": "none", "labels": []}, 404),
        ({**said, "labels": ["\u0007"]}, 422),
        ({**said, "labels": [" "]}, 422),
    ):
        assert client.post("/v1/labels", json=wrong).status_code == status


@pytest.mark.parametrize(
    ("method", "address", "more", "status"),
    [
        ("GET", "/v1/media/none", {}, 404),
        ("GET", "/nothing/here", {}, 404),
        ("PUT", "/v1/feedback", {}, 405),
        ("GET", "/v1/search", {}, 422),
        ("GET", "/v1/recommendations/ada?k=0", {}, 422),
        ("GET", "/v1/recommendations/ada?k=1000000000", {}, 422),
        ("GET", "/v1/recommendations/a%00b", {}, 422),
        ("GET", "/v1/media/%ff%fe", {}, 404),
        ("GET", "/v1/media/..%2f..%2fetc%2fpasswd/stream", {}, 404),
        ("GET", "/v1/users/x%0d%0aSet-Cookie:%20a=b", {}, 404),
        ("GET", "/v1/media/' OR 1=1 --", {}, 404),
        ("POST", "/v1/feedback", {"content": b"\xff\xfe", "headers": {"content-type": "application/json"}}, 422),
        ("POST", "/v1/feedback", {"content": b'{"events": [' * 50_000, "headers": {"content-type": "application/json"}}, 400),
        (
            "POST",
            "/v1/feedback",
            {"content": b'{"events": [{"user_id": "\\ud800"}]}', "headers": {"content-type": "application/json"}},
            422,
        ),
        ("POST", "/v1/feedback", {"json": {"events": [{"user_id": "x" * 9_000}]}}, 422),
        ("POST", "/v1/search", {"content": b"{}", "headers": {"content-type": "application/json"}}, 415),
    ],
)
def test_every_error_is_a_problem_with_a_sentence(client, method, address, more, status):
    answer = client.request(method, address, **more)
    told = answer.json()

    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), told
    assert (told["status"], told["type"]) == (status, "about:blank")
    assert told["title"] and 5 < len(told["detail"]) < 600 and len(answer.content) < 5_000
    assert "Traceback" not in answer.text and "set-cookie" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_says_it_is_too_large_is_refused_before_any_of_it_is_read(client):
    def never() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = client.post("/v1/feedback", content=never(), headers={"content-type": "application/json", "content-length": "10000000"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, MEDIA_TYPE)


def test_a_failure_that_nobody_foresaw_is_a_500_without_a_trace_and_the_log_has_it(served, caplog, monkeypatch):
    log = served.log
    app = create_app(served.ledger, served.blobs, served.source, log)
    monkeypatch.setattr("avrec_dag.serving.live.Live.similar", lambda *_args: 1 / 0)
    with TestClient(app) as client:
        answer = client.get("/v1/similar/x")
    log.close()
    assert (answer.status_code, answer.headers["content-type"]) == (500, MEDIA_TYPE)
    assert "division" not in answer.text and "ZeroDivisionError" in caplog.text
    assert "content-security-policy" in answer.headers


def test_a_body_that_drips_in_is_given_up():
    import asyncio

    sent = []

    async def receive() -> dict:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    async def unreached(*_args: object) -> None:
        raise AssertionError("the route was asked")

    scope = {"type": "http", "method": "POST", "path": "/v1/feedback", "headers": []}
    asyncio.run(guard.Guard(unreached, body_s=0.05)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_the_description_names_every_route_its_errors_and_examples(client):
    made = client.get("/openapi.json").json()
    operations = {f"{method} {path}": one for path, methods in made["paths"].items() for method, one in methods.items()}

    served = {
        f"{method.lower()} {route.path.replace(':path', '')}" for route in client.app.routes for method in getattr(route, "methods", ())
    }
    pages = {
        "get /",
        "get /operator",
        *(one for one in served if one.startswith("get /page/")),
        "get /openapi.json",
        "head /openapi.json",
        "head /v1/media/{media_id}/stream",
    }
    assert served - pages == set(operations)
    assert len({one["operationId"] for one in operations.values()}) == len(operations)
    for name, one in operations.items():
        assert one["tags"] and one["summary"] and one["description"], name
        for status, told in one["responses"].items():
            assert status < "400" or told["content"][MEDIA_TYPE]["example"]["detail"], (name, status)
    assert "HTTPValidationError" not in str(made)
    assert operations["get /healthz"]["security"] == [] and "401" not in operations["get /healthz"]["responses"]
    assert "`feedback`" in operations["post /v1/feedback"]["description"] and {"401", "403", "429"} <= set(
        operations["post /v1/feedback"]["responses"]
    )


def test_a_film_on_s3_is_played_from_there_for_a_while_and_through_the_service_where_that_is_wanted(served, s3_store, monkeypatch):
    name, film = "dt=2026-02-01/rings-0.mp4", (served.folder / "media" / RINGS).read_bytes()
    source = MediaSource(s3_store)
    bucket, _, prefix = s3_store.removeprefix("s3://").partition("/")
    s3.client().put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=film)
    log, part = served.log, {"range": "bytes=100-199"}
    with TestClient(create_app(served.ledger, served.blobs, source, log), follow_redirects=False) as client:
        sent = client.get(f"/v1/media/{name}/stream")
        assert (sent.status_code, sent.content) == (307, b"")
        with httpx.Client() as browser:
            there = browser.get(sent.headers["location"], headers=part)
            assert (there.status_code, there.content, there.headers["content-type"]) == (206, film[100:200], "video/mp4")
            assert browser.get(sent.headers["location"].replace("rings-0", "rings-1")).status_code in (403, 404)
        host = urlsplit(sent.headers["location"]).netloc
        assert f"media-src 'self' http://{host};" in client.get("/").headers["content-security-policy"]
        assert client.head(f"/v1/media/{name}/stream").headers["content-length"] == str(len(film))
    with TestClient(create_app(served.ledger, served.blobs, source, log, through=True), follow_redirects=False) as client:
        assert client.get(f"/v1/media/{name}/stream", headers=part).content == film[100:200]
        assert "media-src 'self';" in client.get("/").headers["content-security-policy"]
    log.close()
