from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest

from avrec_dag import synthetic
from avrec_dag.serving.feedback import MOST_EVENTS
from avrec_dag.serving.pages import FOLDER
from avrec_dag.serving.streaming import wanted
from tests.described import described
from tests.small_library import DAY, ODD, SOUND


@pytest.fixture(scope="module")
def client(address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as one:
        yield described(one)


def event(user: str, media_id: str, kind: str, **more: object) -> dict[str, object]:
    return {"user_id": user, "media_id": media_id, "kind": kind, "happened_at": datetime.now(UTC).isoformat(), **more}


def at(media_id: str, what: str) -> str:
    return f"/v1/media/{quote(media_id)}/{what}"


def test_a_list_has_ids_scores_reasons_and_what_a_page_needs(client):
    found = client.get("/v1/recommendations/person 1", params={"k": 5}).json()

    assert 1 <= len(found) <= 5
    assert set(found[0]) == {"media_id", "score", "reason", "causes", "title", "kind", "duration_s", "labels", "why"}
    assert all(one["reason"] for one in found)


def test_a_like_changes_the_next_list_at_once(client):
    before = [one["media_id"] for one in client.get("/v1/recommendations/newcomer").json()]
    kept = client.post("/v1/feedback", json={"events": [event("newcomer", before[0], "like")]}).json()
    after = client.get("/v1/recommendations/newcomer").json()

    assert kept == {"added": 1, "known": 0, "refused": []}
    assert before[0] not in [one["media_id"] for one in after]
    assert [one["media_id"] for one in after] != before[1:]


def test_the_same_batch_twice_is_kept_once(client):
    batch = {"events": [event("twice", f"dt={DAY}/bars-0.mp4", "like", event_id="mine-1"), event("twice", ODD, "skip", event_id="mine-2")]}

    assert client.post("/v1/feedback", json=batch).json() == {"added": 2, "known": 0, "refused": []}
    assert client.post("/v1/feedback", json=batch).json() == {"added": 0, "known": 2, "refused": []}


def test_of_a_thousand_events_with_one_bad_the_rest_is_kept_and_the_bad_one_named(client, served):
    events = [event("many", ODD, "impression", event_id=f"many-{place}") for place in range(MOST_EVENTS)]
    events[417] = event("many", "no/such.mp4", "like")
    answer = client.post("/v1/feedback", json={"events": events})

    assert answer.status_code == 200
    assert answer.json() == {"added": 999, "known": 0, "refused": [{"index": 417, "why": "'no/such.mp4' is not in the library"}]}
    assert len(served.log.of_user("many")) == 999


@pytest.mark.parametrize(
    "body",
    [
        {"events": []},
        {"events": [{"user_id": "a", "media_id": ODD, "kind": "adore", "happened_at": "2026-02-03T10:00:00Z"}]},
        {"events": [{"user_id": "a", "media_id": ODD, "kind": "like", "happened_at": "2026-02-03T10:00:00"}]},
        {"events": [{"user_id": "a\u0000", "media_id": ODD, "kind": "like", "happened_at": "2026-02-03T10:00:00Z"}]},
        {"events": [event("a", ODD, "like")] * (MOST_EVENTS + 1)},
        ["like"],
    ],
)
def test_events_that_cannot_be_are_refused(client, body):
    assert client.post("/v1/feedback", json=body).status_code == 422


def test_a_body_over_the_limit_is_refused_however_it_is_sent(client):
    def pieces() -> Iterator[bytes]:
        yield from [b" " * 100_000] * 11

    headers = {"content-type": "application/json"}
    assert client.post("/v1/feedback", content=b" " * 1_100_000, headers=headers).status_code == 413
    assert client.post("/v1/feedback", content=pieces(), headers=headers).status_code == 413


def test_similar_and_search_answer_with_items(client):
    alike = client.get(f"/v1/similar/{quote(ODD)}", params={"k": 3}).json()
    found = client.get("/v1/search", params={"q": "海浪", "k": 3}).json()

    assert len(alike) == len(found) == 3
    assert ODD not in [one["media_id"] for one in alike]
    for one in (*alike, *found):
        assert one["moment"] is None or 0 <= one["moment"]["start_s"] <= one["moment"]["end_s"] <= one["duration_s"] + 0.1
        assert one["kind"] == "audio" or one["moment"]["kind"] == "picture"
    assert "moment" not in client.get("/v1/recommendations/person 0").json()[0]


def test_a_file_that_is_sent_finds_what_is_like_it_and_anything_else_is_refused_with_a_reason(client, served, tmp_path):
    picture = synthetic.clip(tmp_path / "rings.png", kind="rings", seed=5, size=(160, 90)).read_bytes()

    def send(content: bytes, kind: str = "image/png", **asked: object) -> httpx.Response:
        return client.post("/v1/search", params=asked, content=content, headers={"content-type": kind})

    found = send(picture, part="picture", k=3).json()
    assert "rings" in found[0]["media_id"]
    mine = send(picture, part="picture", k=3, q="rings", user="person 1", taste=0.5).json()
    assert all("; " in one["reason"] for one in mine)
    for content, kind, status, why in (
        (b"words", "image/png", 422, "is text"),
        (picture[:200], "image/png", 422, "the file"),
        (b"", "image/png", 422, ""),
        (picture, "text/html", 415, "image/*"),
        (b"{}", "application/json", 415, "image/*"),
        (b"\0" * 32_000_001, "video/mp4", 413, "32 MB"),
    ):
        answer = send(content, kind, part="picture")
        assert (answer.status_code, why in answer.text) == (status, True), answer.text
    assert send(picture, part="sound").status_code == 422
    assert send(picture, part="smell").status_code == 422
    assert send(picture, taste=0.5).status_code == 422
    assert not list((served.folder / "media").rglob("query*"))


def test_search_by_words_takes_somebodys_taste(client):
    plain = client.get("/v1/search", params={"q": "rings"}).json()
    mine = client.get("/v1/search", params={"q": "rings", "user": "person 0", "taste": 1}).json()
    assert {one["media_id"] for one in mine} <= {
        one["media_id"] for one in client.get("/v1/search", params={"q": "rings", "k": 100}).json()
    }
    assert "; " in mine[0]["reason"]
    assert "; " not in plain[0]["reason"]


@pytest.mark.parametrize(
    "asked",
    [
        "/v1/search?q=cat&taste=0.5",
        "/v1/search?q=cat&user=ada&taste=1.5",
        "/v1/search?q=",
        "/v1/search?q=" + "x" * 501,
        "/v1/search?q=cat&k=0",
        "/v1/search?q=cat&k=101",
        "/v1/recommendations/ada?diversity=2",
        "/v1/recommendations/ada?quality=nan",
        "/v1/recommendations/" + "x" * 201,
    ],
)
def test_numbers_and_texts_out_of_bounds_are_refused(client, asked):
    assert client.get(asked).status_code == 422


@pytest.mark.parametrize("what", ["stream", "sheet", "still"])
@pytest.mark.parametrize(
    "media_id",
    ["nothing", "../store/secret", "%2e%2e/feedback.db", "/etc/passwd", f"dt={DAY}/../dt={DAY}/bars-0.mp4", f"dt={DAY}/bars-0.json"],
)
def test_an_id_that_the_library_does_not_hold_opens_nothing(client, media_id, what):
    assert client.get(f"/v1/media/{quote(media_id, safe='%')}/{what}").status_code == 404


def test_an_unreadable_upload_is_not_served(client):
    assert client.get(at(f"dt={DAY}/words.mp4", "stream")).status_code == 404


def test_pictures_of_an_item_are_jpegs_and_a_sound_has_none(client):
    for what in ("sheet", "still"):
        answer = client.get(at(ODD, what))
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content.startswith(b"\xff\xd8")
        assert client.get(at(SOUND, what)).status_code == 404


def test_the_stream_is_the_upload_and_any_range_of_it(client, served):
    whole = (served.folder / "media" / ODD).read_bytes()
    full = client.get(at(ODD, "stream"))
    middle = client.get(at(ODD, "stream"), headers={"range": "bytes=100-299"})
    tail = client.get(at(ODD, "stream"), headers={"range": "bytes=-50"})

    assert (full.status_code, full.content, full.headers["content-type"]) == (200, whole, "video/mp4")
    assert (middle.status_code, middle.content) == (206, whole[100:300])
    assert middle.headers["content-range"] == f"bytes 100-299/{len(whole)}"
    assert tail.content == whole[-50:]
    assert client.get(at(ODD, "stream"), headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    head = client.head(at(ODD, "stream"))
    assert (head.headers["content-length"], head.content) == (str(len(whole)), b"")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None), ("bytes=0-", (0, 9)), ("bytes=3-5", (3, 5)), ("bytes=3-500", (3, 9)), ("bytes=-4", (6, 9)), ("bytes=-40", (0, 9)),
        ("bytes=5-3", None), ("bytes=-", None), ("items=0-1", None), ("bytes=0-1,4-5", None), ("bytes=" + "9" * 30 + "-", None),
    ],
)  # fmt: skip
def test_ranges_are_read_as_the_standard_says(header, expected):
    assert wanted(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_without_a_byte_of_the_file_is_unsatisfiable(header):
    with pytest.raises(ValueError, match="range"):
        wanted(header, 10)


def test_the_page_needs_nothing_from_outside_and_trusts_nothing(client):
    answer = client.get("/")

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for address in ("/", *(f"/page/{path.name}" for path in FOLDER.iterdir() if path.suffix in (".css", ".js"))):
        assert "://" not in client.get(address).text
        assert client.get(address).status_code == 200


def test_healthz_counts_the_items(client):
    assert client.get("/healthz").json()["items"] == "14"
