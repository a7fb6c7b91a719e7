"""What every request passes: a bound on its size, and headers that keep a browser from believing too much."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1_000_000
MOST_FILE_BYTES, FILES_AT = 32_000_000, "/v1/search"
"""A picture, sound or clip to search by, and where it is sent; nothing larger is taken anywhere."""
MOST_HELD_BYTES = 8 * MOST_FILE_BYTES
"""Of all bodies that are in memory at one time."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
     b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)  # fmt: skip


class Guard:
    """ASGI middleware: answers 413 to a body over `MOST_BYTES` (a file: `MOST_FILE_BYTES`), counted as it arrives, and adds the headers.

    Args:
        app: What it protects.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            refused = await self._read(scope, receive, body)
            if refused is not None:
                status, why = refused
                await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *_HEADERS]})
                await send({"type": "http.response.body", "body": why.encode()})
                return
            await self._passed(scope, receive, send, bytes(body))
        finally:
            self._held_bytes -= len(body)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> tuple[int, str] | None:
        """Gather the body; the status and the reason where it is too much."""
        more, most = scope["method"] in _WITH_BODY, MOST_FILE_BYTES if scope["path"] == FILES_AT else MOST_BYTES
        while more:
            message = await receive()
            part = message.get("body", b"")
            body += part
            self._held_bytes += len(part)
            more = message.get("more_body", False)
            if len(body) > most:
                return 413, f"the request is larger than {most // 1_000_000} MB: send less at once"
            if self._held_bytes > MOST_HELD_BYTES:
                return 503, "too much is being sent at once: send it again later"
        return None

    async def _passed(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole and scope["method"] in _WITH_BODY else await receive()

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, replay, guarded)
