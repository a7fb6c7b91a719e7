"""The service itself: thin routes over `Live`; an id is looked up in the ledger and never used as a path."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field

from avrec_dag import __version__
from avrec_dag.errors import MissingError, SettingError, UnreachableError, WithheldError
from avrec_dag.feedback import Event, FeedbackLog, Rules
from avrec_dag.ledger import Ledger
from avrec_dag.limits import Limits
from avrec_dag.media.uploads import MediaSource
from avrec_dag.recommend import context
from avrec_dag.recommend.reranking.knobs import MOST_PER_CREATOR, Knobs, Method
from avrec_dag.report.pictures import still
from avrec_dag.serving import searching, streaming
from avrec_dag.serving.guard import Guard
from avrec_dag.serving.live import Live
from avrec_dag.serving.searching import Count, Share
from avrec_dag.storage import Blobs

_LOG = logging.getLogger(__name__)
MOST_EVENTS = 500
RETRY_AFTER_S = 5
UserId = Annotated[str, InPath(min_length=1, max_length=200)]
MediaId = Annotated[str, InPath(min_length=1, max_length=1024)]


class Batch(BaseModel):
    """Events to keep; sending one twice changes nothing."""

    events: Annotated[list[Event], Field(min_length=1, max_length=MOST_EVENTS)]


class Changed(BaseModel):
    """Knobs of one request; what is left out is as the deployment has it."""

    relevance: Share | None = None
    quality: Share | None = None
    diversity: Share | None = None
    personal: Share | None = None
    calibration: Share | None = None
    per_creator: Annotated[int, Query(ge=1, le=MOST_PER_CREATOR)] | None = None
    method: Method | None = None
    exploration: Share | None = None


class Asked(Changed):
    """The same and what the request says of the person, for `context.Context`."""

    language: str | None = None
    referrer: str | None = None
    interest: Annotated[list[str], Field(default_factory=list)]


def create_app(
    ledger: Ledger,
    blobs: Blobs,
    source: MediaSource,
    log: FeedbackLog,
    rules: Rules | None = None,
    knobs: Knobs | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The service over one library.

    Args:
        ledger: Its tables.
        blobs: Its pictures and models.
        source: Its uploads.
        log: Where feedback is kept.
        rules: What each kind of it says.
        knobs: What counts how much in lists, unless a request says otherwise.
        limits: What one file that is sent may cost, as far as it is less than for a query.
    """
    live = Live(ledger, blobs, log, rules, knobs, limits)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with closing(live):
            yield

    app = FastAPI(title="avrec", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Guard)

    @app.exception_handler(MissingError)
    def missing(_request: Request, error: MissingError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404)

    @app.exception_handler(WithheldError)
    def kept_back(_request: Request, error: WithheldError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 451)

    _answers(app, live)
    searching.routes(app, live)
    _media(app, live, source)
    _page(app)
    return app


def _answers(app: FastAPI, live: Live) -> None:
    @app.get("/v1/recommendations/{user_id:path}")
    def recommendations(user_id: UserId, asked: Annotated[Asked, Query()], response: Response, k: Count = 10) -> list[dict[str, Any]]:
        """What a person should watch next, and why; what of the context nothing here fits is told in the header `Avrec-Notes`, as JSON."""
        try:
            about = context.asked(asked.language, asked.referrer, asked.interest)
            found, notes = live.recommend(user_id, k, live.knobs.turned(**asked.model_dump(include=set(Changed.model_fields))), about)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        if notes:
            response.headers["Avrec-Notes"] = json.dumps(notes)
        return found

    @app.get("/v1/similar/{media_id:path}")
    def similar(media_id: MediaId, k: Count = 10) -> list[dict[str, Any]]:
        """Items like one item."""
        return live.similar(media_id, k)

    @app.post("/v1/feedback")
    def feedback(batch: Batch) -> dict[str, int]:
        """Keep a batch of events; nothing of it is kept where one names an unknown item, and 503 says that the log does not answer."""
        unknown = live.unknown([event.media_id for event in batch.events if event.media_id])
        if unknown:
            raise HTTPException(422, f"{unknown[0]!r} is not in the library, so none of the {len(batch.events)} events was kept")
        try:
            added = live.log.add(batch.events)
        except (UnreachableError, SettingError) as error:
            _LOG.warning("%s events were not kept: %s", len(batch.events), error)
            told = "the feedback log does not answer, so the events were not kept: send the same batch again; what is kept counts once"
            raise HTTPException(503, told, {"Retry-After": str(RETRY_AFTER_S)}) from None
        return {"added": added, "known": len(batch.events) - added}

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Whether the service can answer."""
        return {"status": "ok", "version": __version__, "items": str(live.ledger.counts("raw_media").ok)}


def _media(app: FastAPI, live: Live, source: MediaSource) -> None:
    @app.get("/v1/media/{media_id:path}/sheet")
    def sheet(media_id: MediaId) -> Response:
        """The contact sheet of one item, JPEG."""
        return _jpeg(live.blobs.get(f"{live.frames(media_id)}/sheet.jpg"))

    @app.get("/v1/media/{media_id:path}/still")
    def one_frame(media_id: MediaId) -> Response:
        """The middle frame of one item, 320 x 180, JPEG."""
        return _jpeg(still(live.blobs, live.frames(media_id)))

    @app.api_route("/v1/media/{media_id:path}/stream", methods=["GET", "HEAD"])
    def stream(media_id: MediaId, request: Request) -> Response:
        """The upload itself, by byte ranges."""
        row = live.item(media_id)
        file = source.open(row["media_id"])
        return streaming.respond(
            file, row["media_id"], row["size_bytes"], row["etag"], request.headers.get("range"), body=request.method == "GET"
        )


def _jpeg(picture: bytes | None) -> Response:
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=300"})


def _page(app: FastAPI) -> None:
    here = Path(__file__).parent / "page"
    for address, name in (("/", "index.html"), ("/page.css", "page.css"), ("/page.js", "page.js")):
        app.add_api_route(address, _file(here / name), include_in_schema=False)


def _file(path: Path) -> Any:
    def send() -> FileResponse:
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    return send
