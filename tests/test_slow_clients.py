"""Clients that drip bytes at the service, over real sockets: each is closed in time, and nobody else waits for them."""

import json
import selectors
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import httpx
import pytest

from avrec_dag.serving.app import create_app
from avrec_dag.serving.connections import prompt
from tests.made_library import MadeLibrary, made_library
from tests.made_service import in_a_thread, wait_until_ready

LIMIT_S = 1.0
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
SLOW = {
    "nothing": (b"", b"", b""),
    "first line": (b"GET /", b"a", b""),
    "headers": (WHOLE + b"X-Long: ", b"a", b""),
    "headers of the second request": (WHOLE + b"\r\n" + WHOLE, b"a", b"200"),
    "body": (b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", b" ", b"408"),
    "body that no route reads": (WHOLE + b"Content-Length: 100000\r\n\r\n", b"a", b"200"),
}
"""What each sends at once, then again and again, and the status that it is answered with before it is closed."""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> MadeLibrary:
    made = made_library(tmp_path_factory.mktemp("slow"))
    made.refresh(measured=False)
    return made


@pytest.fixture(scope="module")
def address(library) -> Iterator[str]:
    app = create_app(library.ledger, library.blobs, None, library.log, body_s=LIMIT_S)
    with in_a_thread(app, http=prompt(LIMIT_S), ws="none") as there:
        wait_until_ready(there)
        yield there


class Slow:
    """A connection that drips."""

    def __init__(self, address: str, kind: str) -> None:
        there = urlsplit(address)
        self.kind, (beginning, self.piece, self.status) = kind, SLOW[kind]
        self.begun, self.ended_s, self.told = time.monotonic(), 0.0, b""
        self.socket = socket.create_connection((there.hostname, there.port))
        self.socket.sendall(beginning)

    def drip(self) -> None:
        with suppress(OSError):  # where it is closed: seen when it is read
            self.socket.send(self.piece)

    def hear(self) -> bool:
        """Read what came; whether it is closed."""
        part = b""
        with suppress(ConnectionResetError):
            part = self.socket.recv(65536)
        self.told += part
        if not part:
            self.ended_s = time.monotonic() - self.begun
            self.socket.close()
        return not part


def drip(clients: list[Slow], within_s: float) -> None:
    """Until every one of them is closed."""
    begun, open_ones = time.monotonic(), set(clients)
    with selectors.DefaultSelector() as waiting:
        for one in clients:
            waiting.register(one.socket, selectors.EVENT_READ, one)
        while open_ones:
            assert time.monotonic() < begun + within_s, f"still open: {sorted(one.kind for one in open_ones)}"
            for key, _ in waiting.select(0.05):
                waiting.unregister(key.fileobj)
                if key.data.hear():
                    open_ones.remove(key.data)
                else:
                    waiting.register(key.fileobj, selectors.EVENT_READ, key.data)
            for one in open_ones:
                one.drip()


def test_clients_that_drip_cost_nobody_an_answer_and_are_closed_in_time(address):
    answered: list[float] = []
    with ThreadPoolExecutor(1) as aside, httpx.Client(base_url=address, timeout=120) as client:
        clients = [Slow(address, kind) for kind in SLOW for _ in range(40)]
        dripping = aside.submit(drip, clients, 120)
        while not dripping.done():
            assert client.get("/v1/recommendations/ada", params={"k": 3}).status_code == 200
            assert client.post("/v1/feedback", json={"events": []}).status_code == 422
            answered.append(time.monotonic())
        dripping.result()

    for one in clients:
        assert one.told.split(b" ")[1:2] == ([one.status] if one.status else []), (one.kind, one.told)
        assert one.ended_s >= LIMIT_S * 0.9, one.kind
    assert answered[0] < max(one.begun + one.ended_s for one in clients)  # beside them, not after them


def test_who_sends_whole_requests_may_wait_between_them(address):
    with closing(HTTPConnection(urlsplit(address).netloc)) as one:
        one.auto_open = False
        one.connect()
        begun = time.monotonic()
        while time.monotonic() < begun + 1.5 * LIMIT_S:
            one.request("GET", "/healthz")
            answer = one.getresponse()
            assert answer.status == 200 and answer.read()
            time.sleep(0.1)


@pytest.mark.parametrize("sent", [b"GET /v1/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01 hello\r\n\r\n"])
def test_what_is_no_request_is_answered_in_the_shape_of_every_other_error(address, sent):
    there = urlsplit(address)
    with socket.create_connection((there.hostname, there.port), timeout=20) as client:
        with suppress(ConnectionError):  # answered and closed before the last of it
            client.sendall(sent)
        answer = HTTPResponse(client)
        answer.begin()
        problem = json.loads(answer.read())
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert set(problem) >= {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == 400
