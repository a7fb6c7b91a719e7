"""Every error of the service in one shape: problem details (RFC 9457), with a sentence that says what to do."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from avrec_dag.errors import AvrecError, MediaError, MissingError, SettingError, UnreachableError, WithheldError

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_MOST_FAULTS, _MOST_TOLD = 20, 300
_STATUS: Mapping[type[AvrecError], int] = {
    MissingError: 404,
    WithheldError: 451,
    MediaError: 422,
    UnreachableError: 503,
    SettingError: 503,
}


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: Annotated[str, Field(description="query, path, header or body, then the name in it", examples=["query.k"])]
    why: Annotated[str, Field(examples=["Input should be greater than or equal to 1"])]


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: Annotated[str, Field(description="`about:blank`: the status says what kind it is")] = "about:blank"
    title: Annotated[str, Field(description="Name of the status")]
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="One sentence: what was found, and what to do")]
    instance: Annotated[str, Field(description="The path that was asked")]
    errors: Annotated[list[Fault] | None, Field(description="Of 422: what is wrong, at most 20 of them")] = None


def _faulty(request: Request, faults: Sequence[Fault]) -> JSONResponse:
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return _answer(request, 422, f"{faults[0].where}: {faults[0].why}{more}", faults=faults)


def told(status: int, detail: str, path: str, faults: Sequence[Fault] = ()) -> dict[str, Any]:
    """The body of one problem.

    Args:
        status: Of HTTP, 400 to 599.
        detail: For people.
        path: That was asked; cut where it is long.
        faults: What is wrong with the request, part by part.
    """
    problem = Problem(
        title=_title(status),
        status=status,
        detail=detail,
        instance=path[:_MOST_TOLD],
        errors=list(faults[:_MOST_FAULTS]) or None,
    )
    return problem.model_dump(exclude_none=True)


def encoded(status: int, detail: str, path: str) -> bytes:
    """The same as bytes, for what answers before there is a request."""
    return json.dumps(told(status, detail, path)).encode()


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _answer(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None, faults: Sequence[Fault] = ()
) -> JSONResponse:
    return JSONResponse(told(status, detail, request.url.path, faults), status, dict(headers or {}), MEDIA_TYPE)


@dataclass(frozen=True)
class Refusal:
    """A request that is turned away before any route sees it.

    Attributes:
        status: Of HTTP.
        why: One sentence.
        headers: That go with it.
    """

    status: int
    why: str
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request of which no part can be used: answered with 422 and what is wrong with each.

    Args:
        faults: At least one.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].why)
        self.faults = list(faults)


def handlers(app: FastAPI) -> None:
    """Have every error that a route raises answered so; what nobody foresaw is for the guard, which sees it last."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> JSONResponse:
        detail = error.detail if error.detail != _title(error.status_code) else _SAID.get(error.status_code, str(error.detail))
        return _answer(request, error.status_code, detail, error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _faulty(request, [Fault(where=_place(one["loc"]), why=reason(one)) for one in error.errors()])

    @app.exception_handler(RefusedError)
    def unusable(request: Request, error: RefusedError) -> JSONResponse:
        return _faulty(request, error.faults)

    @app.exception_handler(AvrecError)
    def foreseen(request: Request, error: AvrecError) -> JSONResponse:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
        if status < 500:
            return _answer(request, status, str(error))
        _LOG.warning("%s was answered with %s: %s", request.url.path[:_MOST_TOLD], status, error)
        if status == 503:
            what = "the store or a log does not answer, so this could not be worked out: ask again"
            return _answer(request, 503, what, {"Retry-After": str(RETRY_AFTER_S)})
        return _answer(request, 500, FAILED)


FAILED = "the service failed at this, and its log says why; asking again may help, else tell whoever runs it"
_SAID = {
    404: "there is nothing under this address; /openapi.json says what there is",
    405: "this address does not take that method; the header Allow and /openapi.json say which it takes",
}


def reason(error: Mapping[str, Any]) -> str:
    """What pydantic says of one fault, without the value that was sent, which may be long, secret, or no text at all."""
    said = str(error["msg"]).removeprefix("Value error, ").encode("utf-8", "replace").decode()
    return said if len(said) <= _MOST_TOLD else f"{said[:_MOST_TOLD]}…"


def _place(location: Sequence[int | str]) -> str:
    return ".".join(str(one) for one in location)[:_MOST_TOLD].encode("utf-8", "replace").decode() or "body"


def possible(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the errors that a route may answer with.

    Args:
        statuses: Of HTTP.
    """
    return {status: {"description": _title(status), "content": {MEDIA_TYPE: _described(status)}} for status in sorted(statuses)}


def _described(status: int) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": _title(status),
        "status": status,
        "detail": _EXAMPLES[status],
        "instance": "/v1/similar/no/such.mp4",
    }
    return {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}


_EXAMPLES = {
    400: "There was an error parsing the body",
    401: "this service wants a key: send it as `Authorization: Bearer ...`; `avrec keys add` makes one",
    403: "the key 'page' has no scope label: `avrec keys add` makes one that has",
    404: "'no/such.mp4' is not in the library",
    408: "the request took longer than 60 s to arrive: send it again",
    410: "the cursor is older than 24 hours: ask without one",
    413: "the request is larger than 1 MB: send less at once",
    415: "text/html: send the file itself as image/*, audio/*, video/* or application/octet-stream",
    416: "no byte of the file is in the range",
    421: "this service has no keys and answers under this machine's own names alone: use such an address, or make a key",
    422: "query.k: Input should be greater than or equal to 1",
    429: "more requests than this key may send: wait 2 s",
    451: "'dt=2026-03-02/a.mp4' is held for review by moderation",
    500: FAILED,
    503: "the store or a log does not answer, so this could not be worked out: ask again",
}
