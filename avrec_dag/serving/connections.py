"""Connections of slow clients: uvicorn waits for ever for the rest of a request's headers, before which no middleware sees anything.

The attack is known as Slowloris (CVE-2007-6750). What a body may take is the guard's.
"""

import asyncio
import json
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from avrec_dag.serving import problems

_NOT_HTTP = "this is no HTTP request, or its address is too long: send at most 64 KB"


class Prompt(AutoHTTPProtocol):
    """uvicorn's protocol, which closes a connection whose next request takes too long to say what it asks for.

    The seconds run from the connection, or from the first byte after an answer, until the headers are whole, however often bytes
    come. What is left of a body after the answer counts as well, as nobody reads it. A connection on which nothing comes after an
    answer is uvicorn's to close (`timeout_keep_alive`).

    Args:
        args: uvicorn's.
        headers_s: So many.
        more: uvicorn's.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any

    def __init__(self, *args: Any, headers_s: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._headers_s = headers_s
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Some bytes came: a cycle is made of every request whose headers are whole, and answered when it is complete."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature, and its words say less
        """Answer what no middleware sees in the shape of every other error."""
        body = json.dumps(problems.told(400, _NOT_HTTP, "/")).encode()
        kind = f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close"
        self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{kind}\r\n\r\n".encode("ascii") + body)
        self.transport.close()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self._headers_s, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def prompt(headers_s: float) -> type[asyncio.Protocol]:
    """That protocol for `uvicorn.run(http=...)`, in a form that worker processes can be sent.

    Args:
        headers_s: The headers of a request have so long to arrive.
    """
    return cast(type[asyncio.Protocol], partial(Prompt, headers_s=headers_s))
