"""The service itself: thin routes over `Live`; an id is looked up in the ledger and never used as a path."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel, Field

from avrec_dag import __version__
from avrec_dag.experiments.arms import Experiment
from avrec_dag.feedback import FeedbackLog, Rules
from avrec_dag.ledger import Ledger
from avrec_dag.limits import Limits
from avrec_dag.media.uploads import MediaSource
from avrec_dag.recommend import context
from avrec_dag.recommend.reranking.knobs import MOST_PER_CREATOR, Changes, Knobs, Method
from avrec_dag.serving import feedback, labels, media, observing, openapi, operator, pages, people, problems, searching, session
from avrec_dag.serving.access import Access
from avrec_dag.serving.answers import answered
from avrec_dag.serving.asked import Count, MediaId, Share, UserId
from avrec_dag.serving.cursors import BadCursorError, OldCursorError
from avrec_dag.serving.experiments import Trial
from avrec_dag.serving.guard import BODY_S, Guard
from avrec_dag.serving.live import Live
from avrec_dag.serving.turns import Lane, Turns, worked_out
from avrec_dag.storage import Blobs

_CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "Range"],
    "expose_headers": [
        "Avrec-Cursor",
        "Avrec-Experiment",
        "Avrec-Impression",
        "Avrec-Notes",
        "Avrec-Versions",
        "Content-Range",
        "Retry-After",
    ],
}
MOST_EXCLUDED = 200


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
    exclude: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(default_factory=list, max_length=MOST_EXCLUDED)]
    cursor: Annotated[str, Field(min_length=1, max_length=8000)] | None = None


def create_app(
    ledger: Ledger,
    blobs: Blobs,
    source: MediaSource,
    log: FeedbackLog,
    rules: Rules | None = None,
    knobs: Knobs | None = None,
    limits: Limits | None = None,
    experiment: Experiment | None = None,
    *,
    access: Access | None = None,
    through: bool = False,
    cursor_key: str = "",
    body_s: float = BODY_S,
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
        experiment: Arms that differ in their lists, and who is in which.
        access: Who may ask for what; None: whoever can reach it, for everything.
        through: Send the bytes of uploads on S3 through this process, in place of an address there.
        cursor_key: What cursors are signed with; empty: a key that ends with this process.
        body_s: The body of a request has so long to arrive.

    Raises:
        SettingError: The knobs of an arm do not go with `knobs`.
    """
    live = Live(ledger, blobs, log, rules, knobs, limits, cursor_key)
    trial = Trial(live, experiment)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with closing(live), closing(trial):
            live.newest.start()
            yield

    app = FastAPI(
        title="avrec",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    answers, events, counted = Lane(max(2, os.cpu_count() or 2), 128, 10.0), Lane(8, 256, 30.0), observing.Counted()
    app.add_middleware(Turns, answers=answers, events=events)
    app.add_middleware(Guard, access=access, films_from="" if through else media.origin(source), body_s=body_s)
    if access is not None and access.origins:
        app.add_middleware(CORSMiddleware, allow_origins=access.origins, **_CROSS_ORIGIN)
    app.add_middleware(observing.Observed, counted=counted)

    problems.handlers(app)
    openapi.describe(app)
    _answers(app, live, trial)
    searching.routes(app, live)
    feedback.routes(app, live, counted)
    pages.routes(app, live)  # before media: captions are below an item
    media.routes(app, live, source, through=through)
    people.routes(app, live)
    labels.routes(app, live)
    operator.routes(app, live)
    session.routes(app)
    observing.routes(app, live.newest, counted, {"answers": answers, "feedback": events})
    return app


def _answers(app: FastAPI, live: Live, trial: Trial) -> None:
    @app.get("/v1/recommendations/{user_id:path}", tags=["answers"], responses=problems.possible(410), response_model=list[dict[str, Any]])
    async def recommendations(user_id: UserId, asked: Annotated[Asked, Query()], k: Count = 10) -> Response:
        """What a person should watch next, and why; what of the context nothing here fits is told in the header `Avrec-Notes`, as JSON.

        The header `Avrec-Cursor` is where the list goes on: sent as `cursor`, it brings what comes next, and nothing twice.
        """
        try:
            about = context.asked(asked.language, asked.referrer, asked.interest)
            changes = Changes(**asked.model_dump(include=set(Changed.model_fields)))
            made = partial(trial.recommend, user_id, k, changes, about, exclude=asked.exclude, cursor=asked.cursor)
            answer = await worked_out(live, made)
        except BadCursorError as error:
            raise HTTPException(410 if isinstance(error, OldCursorError) else 400, str(error)) from None
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        headers = dict(answer.headers)
        if answer.cursor is not None:
            headers["Avrec-Cursor"] = answer.cursor
        if answer.notes:
            headers["Avrec-Notes"] = json.dumps(answer.notes)
        return answered(answer.items, headers)

    @app.get("/v1/similar/{media_id:path}", tags=["answers"], responses=problems.possible(404), response_model=list[dict[str, Any]])
    async def similar(media_id: MediaId, k: Count = 10) -> Response:
        """Items like one item."""
        return answered(await worked_out(live, partial(live.similar, media_id, k)))
