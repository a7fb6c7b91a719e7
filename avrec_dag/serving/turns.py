"""A bounded queue before the routes that work: a few requests at once, some that wait for their turn, and 429 for all others."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from avrec_dag.serving.live import Live
from avrec_dag.serving.problems import MEDIA_TYPE, encoded

RETRY_AFTER_S = 1
_Answer = TypeVar("_Answer")
_ANSWERS = ("/v1/recommendations/", "/v1/similar/", "/v1/search", "/v1/users/", "/v1/explain")


async def worked_out(live: Live, made: Callable[[], _Answer]) -> _Answer:
    """What is made of memory and a log on this machine is made at once, as every thread would fight for the same interpreter.

    A list costs a fifth more in a thread, and waits for others between its steps. Whatever may wait itself, for a server that
    keeps the log or for a library that is being loaded, gets a thread, so that the process goes on answering.
    """
    return await run_in_threadpool(made) if live.waits else made()


@dataclass
class Lane:
    """Requests of one kind.

    Attributes:
        at_once: So many run.
        most_waiting: So many wait; who comes then is refused.
        wait_s: Nobody waits longer.
    """

    at_once: int
    most_waiting: int
    wait_s: float
    running: int = 0
    refused: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def enter(self) -> bool:
        """Wait for a turn; False where there is none to be had."""
        if self.running < self.at_once and not self.waiting:
            self.running += 1
            return True
        if len(self.waiting) >= self.most_waiting:
            self.refused += 1
            return False
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            async with asyncio.timeout(self.wait_s):
                await turn
        except TimeoutError:
            self._gone(turn)
            self.refused += 1
            return False
        except asyncio.CancelledError:
            self._gone(turn)
            raise
        return True

    def _gone(self, turn: "asyncio.Future[None]") -> None:
        """Who waited is gone; a turn that came at the same moment goes to the next."""
        if turn in self.waiting:
            self.waiting.remove(turn)
        elif turn.done() and not turn.cancelled():
            self.leave()

    def leave(self) -> None:
        """Hand the turn on."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1


class Turns:
    """ASGI middleware: lists, similar items and search in one lane, feedback in another, so that neither keeps the other waiting.

    Answers are work for the processor: more at once than it has cores make each slower and none sooner. Feedback waits for the disk.

    Args:
        app: What is asked in turn; other paths pass at once.
        answers: Of what is worked out.
        events: Of what is kept.
    """

    def __init__(self, app: ASGIApp, answers: Lane, events: Lane) -> None:
        self._app, self.answers, self.events = app, answers, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        lane = self._lane(scope)
        if lane is None:
            await self._app(scope, receive, send)
            return
        if not await lane.enter():
            why = f"{lane.at_once} requests run and others wait: send it again after {RETRY_AFTER_S} s"
            headers = [(b"content-type", MEDIA_TYPE.encode()), (b"retry-after", str(RETRY_AFTER_S).encode())]
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": encoded(429, why, scope["path"])})
            return
        try:
            await asyncio.sleep(0)  # who came at the same time takes a place in the queue before work begins that yields to nobody
            await self._app(scope, receive, send)
        finally:
            lane.leave()

    def _lane(self, scope: Scope) -> Lane | None:
        if scope["type"] != "http":
            return None
        if scope["path"] == "/v1/feedback":
            return self.events
        # A file that is sent is decoded by processes that have turns of their own.
        return self.answers if scope["method"] == "GET" and scope["path"].startswith(_ANSWERS) else None
