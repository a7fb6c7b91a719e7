"""The routes that search: by words, or by a picture, a sound or a clip that is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response

from avrec_dag.errors import MediaError
from avrec_dag.serving.answers import answered
from avrec_dag.serving.asked import Asker, Count
from avrec_dag.serving.live import DECODING_AT_ONCE, Live
from avrec_dag.serving.problems import possible
from avrec_dag.understanding.outside import Part

Words = Annotated[str, Query(max_length=500)]
Taste = Annotated[float | None, Query(ge=0, le=1)]
WAIT_S = 2.0
_SENT_AS = ("image/png", "image/jpeg", "audio/wav", "video/mp4", "application/octet-stream")
_SENT = {"required": True, "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _SENT_AS}}
_TYPES = ("image/", "audio/", "video/", "application/octet-stream")


def routes(app: FastAPI, live: Live) -> None:
    """Add the routes to the service."""
    turns = threading.BoundedSemaphore(DECODING_AT_ONCE)

    @app.get("/v1/search", tags=["answers"], response_model=list[dict[str, Any]])
    def search_by_words(
        user: Asker, q: Annotated[str, Query(min_length=1, max_length=500)], k: Count = 10, taste: Taste = None
    ) -> Response:
        """Items that fit a few words; with a user re-ranked by taste."""
        _refuse_nobodys_taste(user, taste)
        return answered(live.search(q, k, user_id=user, taste=taste))

    @app.post("/v1/search", tags=["answers"], responses=possible(415), openapi_extra={"requestBody": _SENT})
    def search_by_file(
        user: Asker,
        file: Annotated[bytes, Depends(_file)],
        part: Annotated[Part, Query()] = "clip",
        q: Words = "",
        k: Count = 10,
        taste: Taste = None,
    ) -> list[dict[str, Any]]:
        """Items that fit a picture, a sound or a clip, the body of the request, and perhaps words with it."""
        _refuse_nobodys_taste(user, taste)
        try:
            with _turn(turns):
                example = live.example(file, part)
        except MediaError as error:
            raise HTTPException(422, str(error)) from None
        return live.search(q, k, user_id=user, taste=taste, examples=(example,))


async def _file(request: Request) -> bytes:
    """The body of a request that says it is a file; the guard has bounded it."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith(_TYPES):
        told = kind[:100] or "no content-type"
        raise HTTPException(415, f"{told}: send the file itself as image/*, audio/*, video/* or application/octet-stream")
    return await request.body()


def _refuse_nobodys_taste(user: str | None, taste: float | None) -> None:
    if user is None and taste is not None:
        raise HTTPException(422, "taste needs user: whose taste?")


@contextmanager
def _turn(turns: threading.BoundedSemaphore) -> Iterator[None]:
    """Decode a few files at once and no more; 503 for who would wait long."""
    if not turns.acquire(timeout=WAIT_S):
        raise HTTPException(503, f"{DECODING_AT_ONCE} files are being looked at and others wait: send it again later")
    try:
        yield
    finally:
        turns.release()
