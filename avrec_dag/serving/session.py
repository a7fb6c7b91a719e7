"""The routes by which a page keeps its key where pictures and films are asked for with it, too: a cookie that scripts cannot read."""

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field

from avrec_dag.serving.access import caller_of, token_of
from avrec_dag.serving.access.door import COOKIE


class Session(BaseModel):
    """Who asks."""

    name: str = Field(description="Of the key")
    scopes: list[str]
    user_id: str | None = Field(description="The one person it speaks for; null: anybody")


def routes(app: FastAPI) -> None:
    """Add the routes to the service."""

    @app.post("/v1/session", tags=["service"])
    def begin_session(request: Request, response: Response) -> Session:
        """Keep the key of this request in a cookie of this page alone, until the browser closes; says whose key it is."""
        token, secure = token_of(request.scope), request.url.scheme == "https"
        if token is not None:
            response.set_cookie(COOKIE, token, path="/", secure=secure, httponly=True, samesite="strict")
        caller = caller_of(request)
        return Session(name=caller.name, scopes=sorted(caller.scopes), user_id=caller.user_id)

    @app.delete("/v1/session", status_code=204, response_class=Response, tags=["service"])
    def end_session() -> Response:
        """Forget that cookie."""
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response
