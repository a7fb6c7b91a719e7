"""The real command with two workers: what one of them keeps all of them know, and kill -9 loses nothing that was acknowledged."""

import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.made_dagster_dev import free_port
from tests.made_library import made_library
from tests.made_service import started, wait_until_ready, workers_of
from tests.small_library import Place

pytestmark = pytest.mark.slow


class Served:
    def __init__(self, root: Path) -> None:
        self.root, self.library = root, made_library(root)
        self.library.refresh(measured=False)
        self.library.log.close()
        self.env = {**Place(root).env, "AVREC_HEADERS_S": "5"}
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.running = started(self.root, self.env, self.port, "--workers", "2", group=True)
        wait_until_ready(self.address, self.running)

    @property
    def workers(self) -> list[int]:
        return workers_of(self.running)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    one = Served(tmp_path_factory.mktemp("served"))
    yield one
    if one.running.poll() is None:
        os.killpg(one.running.pid, signal.SIGKILL)
        one.running.wait()


def event(user: str, media_id: str, event_id: str | None = None) -> dict[str, object]:
    told = {"user_id": user, "media_id": media_id, "kind": "like", "happened_at": datetime.now(UTC).isoformat()}
    return told | ({"event_id": event_id} if event_id else {})


def listed(served: Served, user: str) -> list[str]:
    return [one["media_id"] for one in httpx.get(f"{served.address}/v1/recommendations/{user}", timeout=60).json()]


def test_what_one_worker_keeps_is_in_the_next_list_of_any(served):
    for user in ("ada", "bob", "eve"):
        before = listed(served, user)
        httpx.post(f"{served.address}/v1/feedback", json={"events": [event(user, before[0])]}, timeout=60).raise_for_status()
        after = [listed(served, user) for _ in range(8)]  # each over a connection of its own, so that both workers are asked
        assert all(one == after[0] for one in after)
        assert before[0] not in after[0]


def test_killed_workers_and_a_killed_service_lose_and_double_nothing(served):
    acknowledged: list[str] = []
    done = threading.Event()

    def flood(writer: int) -> None:
        number = 0
        while not done.is_set():
            ids = [f"flood-{writer}-{number}-{one}" for one in range(4)]
            batch = {"events": [event(f"writer {writer}", served.library.items[0][0], one) for one in ids]}
            number += 1
            while True:
                try:
                    if httpx.post(f"{served.address}/v1/feedback", json=batch, timeout=30).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                time.sleep(0.02)
            acknowledged.extend(ids)

    threads = [threading.Thread(target=flood, args=(one,)) for one in range(3)]
    for one in threads:
        one.start()
    time.sleep(0.5)
    victim = served.workers[0]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while victim in served.workers or len(served.workers) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(served.running.pid, signal.SIGKILL)
    served.running.wait()
    served.start()
    time.sleep(0.5)
    done.set()
    for one in threads:
        one.join(60)
    with sa.create_engine(served.env["AVREC_FEEDBACK"]).connect() as connection:
        kept = Counter(connection.scalars(sa.text("SELECT event_id FROM avrec_feedback WHERE event_id LIKE 'flood-%'")))
    assert len(acknowledged) == len(set(acknowledged)) > 20
    assert set(acknowledged) == kept.keys()
    assert set(kept.values()) == {1}


def test_workers_end_with_a_parent_that_was_killed(served):
    workers = served.workers
    os.kill(served.running.pid, signal.SIGKILL)
    served.running.wait()
    deadline = time.monotonic() + 40
    while any(Path(f"/proc/{one}/cmdline").exists() and Path(f"/proc/{one}/cmdline").read_bytes() for one in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    served.start()


def test_a_worker_closes_a_connection_whose_headers_never_end(served):
    begun, there = time.monotonic(), ("127.0.0.1", served.port)
    connections = [socket.create_connection(there, timeout=60) for _ in range(20)]  # so many that each worker has some
    for one in connections:
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
    for one in connections:
        with one:
            assert one.recv(1) == b""
    assert 4.5 < time.monotonic() - begun < 40


def test_what_was_accepted_is_answered_before_it_stops(served):
    """Accepted: the service waits for the rest of a request, whose headers have come, as `100 Continue` says."""
    there = ("127.0.0.1", served.port)
    body = json.dumps({"events": [event("last", served.library.items[0][0])]}).encode()
    said = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nExpect: 100-continue"
    begin = f"POST /v1/feedback HTTP/1.1\r\n{said}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connections = [socket.create_connection(there, timeout=60) for _ in range(13)]
    for one in connections:
        one.sendall(begin)
        assert one.recv(65536).startswith(b"HTTP/1.1 100")
    idle = [HTTPConnection(*there, timeout=60) for _ in range(8)]
    for one in idle:
        one.request("GET", "/healthz")
        assert one.getresponse().read()
    start = time.monotonic()
    served.running.terminate()
    for one in idle:  # closed at once when its worker begins to stop
        assert one.sock.recv(1) == b""
        one.close()
    others = connections[1:]  # the first never sends its own
    for one in others:
        one.sendall(body)
    answers = [one.recv(65536) for one in others]
    served.running.wait(60)
    for one in connections:
        one.close()
    assert time.monotonic() - start < 40
    assert [one[:12] for one in answers] == [b"HTTP/1.1 200"] * 12
