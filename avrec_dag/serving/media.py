"""The routes about one item: its facts, its pictures, its bytes. An id is looked up in the ledger and never used as a path."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response

from avrec_dag.errors import MissingError
from avrec_dag.media.uploads import MediaSource
from avrec_dag.report.pictures import still as middle_frame
from avrec_dag.serving import streaming
from avrec_dag.serving.asked import MediaId
from avrec_dag.serving.facts import Item, facts
from avrec_dag.serving.live import Live
from avrec_dag.serving.problems import possible

_BYTES = {"schema": {"type": "string", "format": "binary"}}


GOOD_S, CACHED_S = 300, 240
"""Seconds that an address on S3 is good, and that a browser may keep it."""


def origin(source: MediaSource) -> str:
    """Scheme, host and port at which a browser reads uploads by itself; empty where it does not."""
    parts = urlsplit((source.address("any", streaming.UNKNOWN, GOOD_S) if source and source.metered else None) or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def routes(app: FastAPI, live: Live, source: MediaSource, *, through: bool = False) -> None:
    """Add the routes to the service; the shortest last, as an id may hold slashes.

    Args:
        app: The service.
        live: The library.
        source: Its uploads.
        through: Send the bytes of uploads on S3 through this process, in place of an address on S3.
    """
    _pictures(app, live)
    answers = {
        200: {"description": "All of it", "content": dict.fromkeys(streaming.TYPES, _BYTES)},
        206: {"description": "The range that was asked for", "content": dict.fromkeys(streaming.TYPES, _BYTES)},
        307: {"description": "Where it is on S3, good for 300 s", "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}}},
        **possible(404, 416, 451),
    }

    @app.head("/v1/media/{media_id:path}/stream", include_in_schema=False)
    @app.get("/v1/media/{media_id:path}/stream", tags=["media"], responses=answers, response_class=Response)
    def stream(media_id: MediaId, request: Request) -> Response:
        """The upload itself, by byte ranges; where uploads are on S3, the address there, for who asks with GET."""
        row = live.item(media_id)
        elsewhere = (
            None if through or request.method != "GET" else source.address(row["media_id"], streaming.kind_of(row["media_id"]), GOOD_S)
        )
        if elsewhere is not None:
            return Response(status_code=307, headers={"Location": elsewhere, "Cache-Control": f"private, max-age={CACHED_S}"})
        file = source.open(row["media_id"])
        header, body = request.headers.get("range"), request.method == "GET"
        return streaming.respond(file, row["media_id"], row["size_bytes"], row["etag"], header, body=body)

    @app.get("/v1/media/{media_id:path}", tags=["media"], responses=possible(404, 451))
    def item(media_id: MediaId) -> Item:
        """Everything known of one item: what it is, how good and why, its moments, and where its pictures and bytes are."""
        return facts(live.ledger, live.item(media_id))


def _pictures(app: FastAPI, live: Live) -> None:
    jpeg = {200: {"description": "A JPEG", "content": {"image/jpeg": _BYTES}}, **possible(404, 451)}
    png = {200: {"description": "A PNG", "content": {"image/png": _BYTES}}, **possible(404, 451)}

    @app.get("/v1/media/{media_id:path}/sheet", tags=["media"], responses=jpeg, response_class=Response)
    def sheet(media_id: MediaId) -> Response:
        """The contact sheet of one item, JPEG."""
        return _picture(live.blobs.get(f"{live.frames(media_id)}/sheet.jpg"))

    @app.get("/v1/media/{media_id:path}/still", tags=["media"], responses=jpeg, response_class=Response)
    def still(media_id: MediaId) -> Response:
        """The middle frame of one item, 320 x 180, JPEG."""
        return _picture(middle_frame(live.blobs, live.frames(media_id)))

    @app.get("/v1/media/{media_id:path}/spectrogram", tags=["media"], responses=png, response_class=Response)
    def spectrogram(media_id: MediaId) -> Response:
        """The spectrogram of one item's sound with both axes, PNG."""
        row: Mapping[str, Any] | None = live.ledger.row("audio_spectrograms", live.item(media_id)["media_id"], ["blob"])
        if row is None or not row["blob"]:
            raise MissingError(f"{media_id!r} has no sound")
        return _picture(live.blobs.get(f"{row['blob']}/spectrogram.png"), "image/png")


def _picture(picture: bytes | None, kind: str = "image/jpeg") -> Response:
    return Response(picture, media_type=kind, headers={"Cache-Control": "private, max-age=300"})
