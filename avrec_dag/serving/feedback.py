"""The route that keeps what people do: good events of a batch are kept, bad ones are named one by one."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from avrec_dag.errors import SettingError, UnreachableError
from avrec_dag.feedback import Event
from avrec_dag.serving.access import refuse_stranger
from avrec_dag.serving.live import Live
from avrec_dag.serving.observing import Counted
from avrec_dag.serving.problems import RETRY_AFTER_S, Fault, RefusedError, possible, reason

_LOG = logging.getLogger(__name__)
MOST_EVENTS = 1000
_EXAMPLE = {"user_id": "ada", "media_id": "dt=2026-03-02/real/park.mp4", "kind": "like", "happened_at": "2026-03-02T10:00:00Z"}
_ONE = WithJsonSchema({"anyOf": [{"$ref": "#/components/schemas/Event"}, {"description": "Anything else is refused by itself"}]})


class Batch(BaseModel):
    """Events to keep; sending one twice changes nothing."""

    events: Annotated[list[Annotated[Any, _ONE]], Field(min_length=1, max_length=MOST_EVENTS, examples=[[_EXAMPLE]])]


class Refused(BaseModel):
    """One event that was not kept."""

    index: Annotated[int, Field(ge=0, description="Its place in the batch, from 0")]
    why: str


class Kept(BaseModel):
    """What became of a batch: every event is in exactly one of the three."""

    added: Annotated[int, Field(ge=0, description="Kept now, and on disk")]
    known: Annotated[int, Field(ge=0, description="Kept before, or twice in this batch")]
    refused: Annotated[list[Refused], Field(description="Not kept; sending them again as they are cannot help")]


def routes(app: FastAPI, live: Live, counted: Counted) -> None:
    """Add the route to the service."""

    @app.post("/v1/feedback", tags=["feedback"], responses=possible(503))
    def feedback(batch: Batch, request: Request) -> Kept:
        """Keep a batch of events. Bad ones are refused by name, and the rest is kept; 422 where all are bad.

        When this answers, what it counts as added is on disk and in the next list of the person. 503 says that the log does not answer:
        none was kept, send the same batch again.
        """
        events, refused = judged(live, batch.events)
        for user_id in {event.user_id for event in events}:
            refuse_stranger(request, user_id)
        if not events:
            raise RefusedError([Fault(where=f"body.events.{one.index}", why=one.why) for one in refused])
        try:
            added = live.log.add(events)
        except (UnreachableError, SettingError) as error:
            _LOG.warning("%s events were not kept: %s", len(events), error)
            told = "the feedback log does not answer, so the events were not kept: send the same batch again; what is kept counts once"
            raise HTTPException(503, told, {"Retry-After": str(RETRY_AFTER_S)}) from None
        for outcome, n in (("added", added), ("known", len(events) - added), ("refused", len(refused))):
            counted.events.labels(outcome).inc(n)
        return Kept(added=added, known=len(events) - added, refused=refused)


def judged(live: Live, given: Sequence[object]) -> tuple[list[Event], list[Refused]]:
    """The events that can be kept, and what is wrong with each other one, by place.

    Args:
        live: Knows which items there are.
        given: Parsed JSON of each.
    """
    good: dict[int, Event] = {}
    bad: dict[int, str] = {}
    for place, one in enumerate(given):
        try:
            good[place] = Event.model_validate(one)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            bad[place] = f"{name}: {reason(first)}" if name else reason(first)
    unknown = set(live.unknown([event.media_id for event in good.values() if event.media_id]))
    for place in [place for place, event in good.items() if event.media_id in unknown]:
        bad[place] = f"{good.pop(place).media_id!r} is not in the library"
    return list(good.values()), [Refused(index=place, why=bad[place]) for place in sorted(bad)]
