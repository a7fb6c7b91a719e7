"""The routes about labels: which items it would help most to name, and saying what one is."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, Field, ValidationError

from avrec_dag.labelling import Correction
from avrec_dag.labelling.queue import questions
from avrec_dag.serving.access import Caller, caller_of
from avrec_dag.serving.facts import Class, address
from avrec_dag.serving.live import Live
from avrec_dag.serving.problems import Fault, RefusedError, possible, reason
from avrec_dag.understanding.labels import LONGEST, MOST


class Question(BaseModel):
    """One item worth naming."""

    media_id: str
    title: str
    margin: Annotated[float, Field(ge=0, le=1, description="Of its best class over the second: the smaller, the less sure")]
    classes: Annotated[list[Class], Field(description="Its best, at most three")]
    classified_by: Annotated[str, Field(description="classifier, none_of_these or zero_shot")]
    item: Annotated[str, Field(description="Address of the item on this service")]


class Said(BaseModel):
    """What somebody says one item is."""

    media_id: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["dt=2026-03-02/real/park.mp4"])]
    labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST)]],
        Field(max_length=MOST, description="All that it is; empty: none of the classes", examples=[["park", "公园"]]),
    ]
    by: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="Who says so; with the key of one person it is that person",
        ),
    ] = None


class Noted(BaseModel):
    """What became of it."""

    added: Annotated[int, Field(ge=0, le=1, description="1 where it was kept; 0 where the same person had said the same last")]
    media_id: str
    labels: Annotated[list[str], Field(description="As they are kept: spaces tidied, each once")]


def routes(app: FastAPI, live: Live) -> None:
    """Add the routes to the service."""

    @app.get("/v1/labels", tags=["labels"], responses=possible(404))
    def unsure(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[Question]:
        """The items that it would help most to label: those without one whose best two classes lie closest, least sure first."""
        return [
            Question(
                media_id=one.media_id,
                title=one.title,
                margin=min(1.0, max(0.0, one.margin)),
                classes=[Class(label=name, probability=min(1.0, max(0.0, share))) for name, share in one.classes],
                classified_by=one.method,
                item=address(one.media_id),
            )
            for one in questions(live.ledger, live.blobs, live.labels.newest().keys(), limit)
        ]

    @app.post("/v1/labels", tags=["labels"], responses=possible(404, 451))
    def label(said: Said, request: Request) -> Noted:
        """Say what an item is, which beats its sidecar and what others said before; the next training learns from it."""
        media_id = live.item(said.media_id)["media_id"]
        correction = _correction(media_id, said, caller_of(request))
        row: Mapping[str, Any] | None = live.ledger.row("labels", media_id, ["labels"])
        added = live.labels.add([correction], {media_id: row["labels"]} if row else {})
        return Noted(added=added.added, media_id=media_id, labels=list(correction.labels))


def _correction(media_id: str, said: Said, caller: Caller) -> Correction:
    try:
        # Whose key it is beats what the request says: nobody speaks in another's name.
        return Correction(media_id=media_id, labels=tuple(said.labels), by=caller.user_id or said.by or caller.name)
    except ValidationError as error:
        faults = [Fault(where=".".join(map(str, ("body", *one["loc"]))), why=reason(one)) for one in error.errors()]
        raise RefusedError(faults) from None
