import asyncio
import json
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.feedback import FeedbackLog
from avrec_dag.index import files
from avrec_dag.ledger.files import TableFiles
from avrec_dag.recommend import indexing
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.serving import cursors, newest
from avrec_dag.serving.app import create_app
from avrec_dag.serving.cursors import BadCursorError, Cursors, OldCursorError, marks
from avrec_dag.serving.live import Live
from avrec_dag.serving.turns import Lane, Turns, worked_out
from tests.described import described
from tests.made_library import STEPS, UPSTREAM, made_library, made_vectors
from tests.waiting import until

USER = "made-user-003"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    made = made_library(tmp_path_factory.mktemp("library"))
    made.refresh(measured=False)
    yield made
    made.log.close()


@pytest.fixture(scope="module")
def client(library):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(newest, "LOOK_EVERY_S", 0.05)
        app = create_app(library.ledger, library.blobs, source=None, log=library.log)  # type: ignore[arg-type]
        with TestClient(app, raise_server_exceptions=False) as one:
            until(lambda: one.get("/readyz").status_code == 200, 120)
            yield described(one)


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["media_id"] for one in answer.json()]


def test_a_list_goes_on_without_repeats_until_everything_was_shown(client, library):
    path, shown, cursor = f"/v1/recommendations/{USER}", [], None
    for _ in range(50):
        answer = client.get(path, params={"k": 9} | ({"cursor": cursor} if cursor else {}))
        shown += ids(answer)
        cursor = answer.headers.get("avrec-cursor")
        if cursor is None:
            break
    met = {event.media_id for event in library.log.of_user(USER) if event.kind != "impression"}
    assert len(shown) == len(set(shown))
    assert set(shown) == {media_id for media_id, _, _ in library.items} - met
    assert ids(client.get(path, params={"k": 9})) == shown[:9]


def test_a_cursor_that_was_not_written_here_for_this_person_is_refused(client, monkeypatch):
    path = f"/v1/recommendations/{USER}"
    cursor = client.get(path).headers["avrec-cursor"]
    other = client.get("/v1/recommendations/made-user-004").headers["avrec-cursor"]
    for forged in (other, cursor[:-4], cursor[:8] + ("A" if cursor[8] != "A" else "B") + cursor[9:], "x", "猫", "A" * 7999):
        answer = client.get(path, params={"cursor": forged})
        assert (answer.status_code, "without one" in answer.json()["detail"]) == (400, True), forged
    monkeypatch.setattr(cursors, "LASTS_S", -1)
    assert client.get(path, params={"cursor": cursor}).status_code == 410


@settings(max_examples=60, deadline=None)
@given(
    user=st.text(max_size=20),
    other=st.text(max_size=20),
    shown=st.lists(st.integers(0, 2**32 - 1), max_size=30),
    flip=st.integers(0, 10_000),
)
def test_cursors_are_read_as_written_by_their_person_alone_and_no_byte_may_change(user, other, shown, flip):
    one = Cursors(b"k" * 32)
    cursor = one.write(user, np.array(shown, np.uint32))
    assert one.read(user, cursor).tolist() == shown
    assert "=" not in cursor
    changed = list(cursor)
    at = flip % len(changed)
    changed[at] = "-" if changed[at] != "-" else "_"
    for who, what, key in ((other + "x" + user, cursor, b"k" * 32), (user, cursor, b"l" * 32)):
        with pytest.raises(BadCursorError):
            Cursors(key).read(who, what)
    try:
        assert one.read(user, "".join(changed)).tolist() == shown  # the last letter may hold bits that say nothing
        assert at == len(changed) - 1
    except BadCursorError:
        pass


def test_an_old_cursor_is_told_from_a_forged_one(monkeypatch):
    one = Cursors()
    cursor = one.write("ada", marks(["a"]))
    later = time.time() + cursors.LASTS_S + 2
    monkeypatch.setattr(cursors.time, "time", lambda: later)
    with pytest.raises(OldCursorError, match="24 hours"):
        one.read("ada", cursor)


def test_what_is_excluded_is_not_listed_and_counts_out_of_bounds_are_refused(client):
    path = f"/v1/recommendations/{USER}"
    first = ids(client.get(path))
    assert not set(ids(client.get(path, params={"exclude": first[:5]}))) & set(first[:5])
    for k in (0, -1, 10**9, "ten"):
        assert client.get(path, params={"k": k}).status_code == 422
    assert client.get(path, params={"exclude": ["x"] * 201}).status_code == 422


def test_every_answer_names_what_made_it_and_metrics_count_it(client, library):
    said = json.loads(client.get(f"/v1/recommendations/{USER}").headers["avrec-versions"])
    assert said["model"] == library.ledger.row("recommender", "recommender")["version"]
    assert said["index"] == library.ledger.row("item_index", "item_index")["version"]
    assert said["features"] == library.ledger.data_version("fused_features")
    assert "avrec-versions" in client.get(f"/v1/similar/{library.items[0][0]}").headers
    assert "avrec-versions" not in client.get("/healthz").headers
    before = client.get("/metrics").text
    client.get("/v1/recommendations/somebody")
    client.get("/no/such")
    after = client.get("/metrics").text
    line = 'avrec_requests_total{method="GET",route="/v1/recommendations/{user_id:path}",status="200"} '

    def count(text: str) -> float:
        return float(next((one for one in text.splitlines() if one.startswith(line)), line + "0").removeprefix(line))

    assert count(after) == count(before) + 1
    assert 'route="other",status="404"' in after
    assert "avrec_ready 1.0" in after
    assert f'version="{said["model"]}"' in after


def test_a_new_item_is_served_without_a_restart_and_a_new_model_names_itself(client, library):
    fresh = ("cat/new.mp4", "cat", 0.9)
    event = {"user_id": "early", "media_id": fresh[0], "kind": "like", "happened_at": datetime.now(UTC).isoformat()}
    assert client.get(f"/v1/similar/{fresh[0]}").status_code == 404
    library.put([fresh], made_vectors([("cat/000.mp4", "cat", 0.5)]))
    kept = client.post("/v1/feedback", json={"events": [event]}).json()
    assert kept == {"added": 1, "known": 0, "refused": []}
    until(lambda: client.get(f"/v1/similar/{fresh[0]}").status_code == 200, 120)
    before = json.loads(client.get("/v1/recommendations/early").headers["avrec-versions"])
    indexing.update_index(library.ledger, library.blobs, STEPS["item_index"], run_id="run-of-dagster")

    def versions() -> dict:
        return json.loads(client.get("/v1/recommendations/early").headers["avrec-versions"])

    until(lambda: versions()["index"] != before["index"], 120)
    assert versions()["runs"]["index"] == "run-of-dagster"
    assert client.get("/readyz").status_code == 200


def test_a_new_item_costs_no_reading_of_tables_that_did_not_change_and_answers_are_those_of_a_service_started_anew(tmp_path, monkeypatch):
    made, whole = made_library(tmp_path), []
    made.refresh(measured=False)
    grown = Live(made.ledger, made.blobs, made.log)
    grown.newest.look()
    reading, opening = TableFiles.read, files.opened

    def read(self: TableFiles, partition, columns, where=None):
        whole.extend([self.table] if where is None else [])
        return reading(self, partition, columns, where)

    def opened(*some):
        whole.append("files of the index")
        return opening(*some)

    monkeypatch.setattr(TableFiles, "read", read)
    monkeypatch.setattr(files, "opened", opened)
    new = ("cat/new.mp4", "cat", 0.9)
    made.put([new], made_vectors([new], seed=3))
    grown.newest.look()
    assert grown.newest.loads == 2
    assert set(whole) == set(UPSTREAM)

    anew = Live(made.ledger, made.blobs, made.log)
    for user in (USER, "made-user-011", "nobody"):
        for knobs in (Knobs(), Knobs(quality=0.8, exploration=0.0)):
            assert grown.recommend(user, 71, knobs, Context()) == anew.recommend(user, 71, knobs, Context())
    assert grown.similar(new[0], 70) == anew.similar(new[0], 70)
    assert new[0] in [one["media_id"] for one in grown.recommend("nobody", 71, Knobs(), Context())[0]]
    for one in (grown, anew, made.log):
        one.close()


def test_without_a_library_the_service_lives_and_says_why_it_is_not_ready(tmp_path):
    made = made_library(tmp_path, n_items=3, n_users=2)
    with TestClient(create_app(made.ledger, made.blobs, source=None, log=made.log)) as one:  # type: ignore[arg-type]
        until(lambda: "materialise" in one.get("/readyz").json()["detail"], 120)
        assert one.get("/readyz").status_code == 503
        assert one.get("/healthz").status_code == 200
        assert "avrec_ready 0.0" in one.get("/metrics").text
    made.log.close()


def test_a_lane_runs_few_holds_some_and_refuses_the_rest():
    async def asked() -> tuple[list[bool], int, Lane]:
        lane, most = Lane(at_once=2, most_waiting=3, wait_s=5.0), 0

        async def one() -> bool:
            nonlocal most
            if not await lane.enter():
                return False
            most = max(most, lane.running)
            await asyncio.sleep(0.01)
            lane.leave()
            return True

        return list(await asyncio.gather(*(one() for _ in range(9)))), most, lane

    passed, most, lane = asyncio.run(asked())
    assert passed == [True] * 5 + [False] * 4
    assert (most, lane.running, len(lane.waiting), lane.refused) == (2, 0, 0, 4)


def test_work_that_yields_to_nobody_is_queued_and_refused_like_any_other():
    async def asked() -> list[int]:
        async def working(scope, receive, send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        turns = Turns(working, answers=Lane(at_once=2, most_waiting=3, wait_s=5.0), events=Lane(1, 1, 1.0))

        async def one() -> int:
            sent: list[dict] = []

            async def send(message) -> None:
                sent.append(message)

            await turns({"type": "http", "method": "GET", "path": "/v1/similar/a.mp4"}, None, send)  # type: ignore[arg-type]
            return sent[0]["status"]

        return list(await asyncio.gather(*(one() for _ in range(9))))

    assert asyncio.run(asked()) == [200] * 5 + [429] * 4


@pytest.mark.parametrize("waits", [True, False])
def test_only_what_may_wait_for_others_is_worked_out_in_a_thread(waits):
    found = asyncio.run(worked_out(SimpleNamespace(waits=waits), threading.get_ident))  # type: ignore[arg-type]
    assert (found != threading.get_ident()) == waits


def test_an_answer_waits_while_nothing_is_loaded_or_where_a_server_keeps_the_log(tmp_path):
    made = made_library(tmp_path)
    made.refresh(measured=False)
    with closing(Live(made.ledger, made.blobs, made.log)) as live:
        assert live.waits
        live.newest.current()
        assert not live.waits
    with closing(Live(made.ledger, made.blobs, FeedbackLog("postgresql://somebody@db.example/feedback"))) as far:
        far.newest.current()
        assert far.waits
    made.log.close()


def test_who_waits_too_long_or_leaves_gives_the_place_to_the_next():
    async def asked() -> tuple[bool, bool, Lane]:
        lane = Lane(at_once=1, most_waiting=5, wait_s=0.05)
        assert await lane.enter()
        late = await lane.enter()
        gone = asyncio.create_task(lane.enter())
        await asyncio.sleep(0.01)
        lane.leave()
        gone.cancel()  # its turn came in the same moment
        await asyncio.gather(gone, return_exceptions=True)
        return late, await lane.enter(), lane

    late, next_one, lane = asyncio.run(asked())
    assert (late, next_one, lane.running) == (False, True, 1)
