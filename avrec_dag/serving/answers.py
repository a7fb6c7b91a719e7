"""What lists, similar items and search answer with, as the description says it; the routes build these by hand, as they are asked most."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from avrec_dag.moments import Moment
from avrec_dag.recommend.answers import Why


class Answer(BaseModel):
    """One item of an answer."""

    media_id: Annotated[str, Field(examples=["dt=2026-03-02/real/park.mp4"])]
    score: Annotated[float, Field(description="Larger is better: in (0, 1) for lists, a cosine for similar items, for search with a boost")]
    reason: Annotated[str, Field(examples=["its content is like “Park at noon”, which you liked (both park)"])]
    causes: Annotated[list[str], Field(description="The items of the person's history behind it, strongest first")]
    title: str | None
    kind: Literal["video", "audio", "image"]
    duration_s: float | None
    labels: Annotated[list[str], Field(description="Its classes")]


class Recommended(Answer):
    """One item of a person's list."""

    why: Why


class Match(Answer):
    """One item that is alike or fits a query, and the moment that does most."""

    moment: Moment | None


ANSWERS = {"recommendations": Recommended, "similar": Match, "search_by_words": Match, "search_by_file": Match}
"""Operation -> of what its answer is a list."""


def answered(items: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> Response:
    """A list of such items as they are, without another look at each: they are made here, and tests hold them to the description."""
    return Response(to_json(items), headers=dict(headers or {}), media_type="application/json")
