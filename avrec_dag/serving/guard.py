"""What every request passes: bounds on its size and time, headers for browsers, and an answer where a route fails."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avrec_dag.errors import AvrecError
from avrec_dag.serving.access import Access
from avrec_dag.serving.problems import FAILED, MEDIA_TYPE, RETRY_AFTER_S, Refusal, encoded

_LOG = logging.getLogger(__name__)
MOST_BYTES = 1_000_000
MOST_FILE_BYTES, FILES_AT = 32_000_000, "/v1/search"
"""A picture, sound or clip to search by, and where it is sent; nothing larger is taken anywhere."""
MOST_HELD_BYTES = 8 * MOST_FILE_BYTES
"""Of all bodies that are in memory at one time."""
BODY_S = 60.0
"""A body has so long to arrive, however small its pieces."""
_AGAIN, _ENDS = {"Retry-After": str(RETRY_AFTER_S)}, {"Connection": "close"}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Guard:
    """ASGI middleware around everything else.

    Answers 413 to a body over `MOST_BYTES` (a file: `MOST_FILE_BYTES`), by what it says of itself or else counted as it arrives, 408 to
    one that takes longer than `body_s`, and 500 without a trace where a route fails; adds the headers. Who may not ask is turned
    away before their body is read.

    Args:
        app: What it protects.
        access: Who may ask for what; None: whoever can reach it, for everything.
        films_from: Origin of the films and pictures that are not sent from here; empty: there are none.
        body_s: A body has so long to arrive.
    """

    def __init__(self, app: ASGIApp, access: Access | None = None, films_from: str = "", body_s: float = BODY_S) -> None:
        self._app, self._access, self._body_s = app, access, body_s
        self._headers = _headers(films_from)
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            refused = await self._judged(scope) or await self._read(scope, receive, body)
            if refused is not None:
                await self._refuse(scope, send, refused)
                return
            await self._passed(scope, receive, send, bytes(body))
        finally:
            self._held_bytes -= len(body)

    async def _judged(self, scope: Scope) -> Refusal | None:
        try:
            return await self._access.judge(scope) if self._access else None
        except AvrecError as error:
            _LOG.warning("nobody can be let in: %s", error)
            return Refusal(503, "the keys of this service cannot be read, so nobody is let in: tell whoever runs it", _AGAIN)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> Refusal | None:
        """Gather the body; the status and the reason where it is too much."""
        if scope["method"] not in _WITH_BODY:
            return None
        most = MOST_FILE_BYTES if scope["path"] == FILES_AT else MOST_BYTES
        if _announced(scope) > most:
            return _too_large(most)
        try:
            async with asyncio.timeout(self._body_s):
                return await self._gather(receive, body, most)
        except TimeoutError:
            return Refusal(408, f"the request took longer than {self._body_s:g} s to arrive: send it again", _ENDS)

    async def _gather(self, receive: Receive, body: bytearray, most: int) -> Refusal | None:
        more = True
        while more:
            message = await receive()
            part = message.get("body", b"")
            body += part
            self._held_bytes += len(part)
            more = message.get("more_body", False)
            if len(body) > most:
                return _too_large(most)
            if self._held_bytes > MOST_HELD_BYTES:
                return Refusal(503, "too much is being sent at once: send it again later", _AGAIN)
        return None

    async def _passed(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        started = False

        async def replay() -> Message:
            return whole.pop() if whole and scope["method"] in _WITH_BODY else await receive()

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        try:
            await self._app(scope, replay, guarded)
        except Exception:
            _LOG.exception("%s %.300s failed", scope["method"], scope["path"])
            if started:  # too late for an answer: the connection ends, so that nobody takes half of one for all of it
                raise
            await self._refuse(scope, send, Refusal(500, FAILED))

    async def _refuse(self, scope: Scope, send: Send, refusal: Refusal) -> None:
        extra = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in refusal.headers.items()]
        headers = [(b"content-type", MEDIA_TYPE.encode()), *extra, *self._headers]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": encoded(refusal.status, refusal.why, scope["path"])})


def _headers(films_from: str) -> list[tuple[bytes, bytes]]:
    films = f"'self' {films_from}".strip()
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {films} data:; media-src {films}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode("ascii", "ignore")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


def _announced(scope: Scope) -> int:
    """Bytes of the body by what the request says; 0 where it does not say."""
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(said) if said.isdigit() and len(said) < 20 else 0


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the request is larger than {most // 1_000_000} MB: send less at once", _ENDS)
