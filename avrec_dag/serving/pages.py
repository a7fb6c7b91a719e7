"""The pages for people: files that are served as they are, from this machine alone, and the captions that their player shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse

from avrec_dag.serving.asked import MediaId
from avrec_dag.serving.live import Live
from avrec_dag.serving.problems import possible

FOLDER = Path(__file__).parent / "page"
DOCUMENTS: Mapping[str, str] = {"/": "index.html", "/operator": "operator.html"}
"""Address -> the document there; everything else of the folder is under /page/."""


def routes(app: FastAPI, live: Live) -> None:
    """Add the pages.

    They need `script-src 'self'`, `style-src 'self'`, `img-src 'self' data:`, `media-src 'self'` (stream and captions) and `connect-src
    'self'` of a Content-Security-Policy, and nothing inline: no script, no style and no handler stands in the documents.
    """
    parts = {f"/page/{path.name}": path.name for path in sorted(FOLDER.iterdir()) if path.suffix in (".js", ".css")}
    for address, name in (*DOCUMENTS.items(), *parts.items()):
        app.add_api_route(address, _file(FOLDER / name), include_in_schema=False)

    vtt = {200: {"description": "WebVTT", "content": {"text/vtt": {"schema": {"type": "string"}}}}, **possible(404, 451)}

    @app.get("/v1/media/{media_id:path}/captions", tags=["media"], responses=vtt, response_class=Response)
    def captions(media_id: MediaId) -> Response:
        """What is said in one item, as WebVTT; without a cue where nobody speaks."""
        row: Mapping[str, Any] = live.ledger.row("transcripts", live.item(media_id)["media_id"]) or {}
        return Response(web_vtt(row.get("segments") or ()), media_type="text/vtt", headers={"Cache-Control": "private, max-age=300"})


def web_vtt(segments: Sequence[Mapping[str, Any]]) -> str:
    """Captions of what is said (W3C, WebVTT: The Web Video Text Tracks Format).

    Args:
        segments: start_s, end_s and text of each sentence; one that is empty or ends before it begins is left out.
    """
    return "\n\n".join(["WEBVTT", *_cues(segments)]) + "\n"


def _cues(segments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in segments:
        # Markup of WebVTT is text here, and an arrow or an empty line would end the cue.
        text = " ".join(one["text"].split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if text and one["end_s"] > one["start_s"] >= 0:
            yield f"{_at(one['start_s'])} --> {_at(one['end_s'])}\n{text}"


def _at(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def _file(path: Path) -> Callable[[], FileResponse]:
    def send() -> FileResponse:
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    return send
