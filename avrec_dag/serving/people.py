"""The routes about people: what is known of somebody, why an item is or is not on their list, and forgetting them."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from avrec_dag.forgetting import forget_person
from avrec_dag.recommend.answers import Why
from avrec_dag.recommend.profile import OfClass, OfCreator, OfItem, Variety
from avrec_dag.serving.asked import Count, Person, UserId, Which
from avrec_dag.serving.live import Live
from avrec_dag.serving.problems import possible


class Profile(BaseModel):
    """What is known of one person; `text` says it in a few sentences."""

    model_config = ConfigDict(from_attributes=True)

    user_id: str
    text: Annotated[str, Field(examples=["You met 6 items and liked 4. Most of what you like is rings (50%) and waves (50%)."])]
    met: Annotated[int, Field(ge=0, description="Items they did something with")]
    liked: Annotated[int, Field(ge=0)]
    disliked: Annotated[int, Field(ge=0)]
    shown: Annotated[int, Field(ge=0, description="Items that were only ever shown")]
    newest_at: Annotated[datetime | None, Field(description="When they last did something")]
    classes: Annotated[list[OfClass], Field(description="What they like, most liked first, beside what is usual: the picture of a taste")]
    creators: list[OfCreator]
    variety: Variety
    likes: Annotated[list[OfItem], Field(description="Liked most, at most 10")]
    dislikes: Annotated[list[OfItem], Field(description="Liked least, at most 10")]


class Explained(BaseModel):
    """Why one item is, or is not, on one person's list."""

    user_id: str
    media_id: str
    text: Annotated[str, Field(description="Whether it is on the list, and why or why not")]
    listed_at: Annotated[int | None, Field(ge=1, description="Its place on a list of k; null where it is not on it")]
    rank: Annotated[int, Field(ge=1, description="Its place by score alone among what the person may be shown")]
    of: Annotated[int, Field(ge=1)]
    barred: Annotated[list[str], Field(description="What keeps it off every list of theirs")]
    score: Annotated[float, Field(ge=0, le=1)]
    reason: Annotated[str, Field(description="What speaks for it, in one line")]
    causes: Annotated[list[str], Field(description="The items of their history behind that")]
    why: Why


class Forgotten(BaseModel):
    """What became of what was kept about a person."""

    user_id: str
    erased: Annotated[dict[str, int], Field(description="Place -> rows or events that were there and are gone")]
    left: Annotated[dict[str, int], Field(description="Place -> what is there still, counted by reading again")]
    note: Annotated[str, Field(description="Why something is left, and what models still know")]


_NOTE = (
    "Bare keys of removed rows stay for seven days, so that runs at work bring nothing back. Models were fitted with what the person did; "
    "they name nobody, and the next fit, at night, does without it."
)


def routes(app: FastAPI, live: Live) -> None:
    """Add the routes to the service."""

    @app.get("/v1/users/{user_id:path}", response_model=Profile, tags=["people"])
    def profile(user_id: UserId) -> Any:
        """What is known of a person: what they like of which class, whom, how varied, in numbers and in words."""
        return live.profile(user_id)

    @app.delete("/v1/users/{user_id:path}", tags=["people"])
    def forget(user_id: UserId) -> Forgotten:
        """Forget a person: what they did leaves the log and every table, as with `avrec erase --user --later`."""
        before, after = forget_person(live.ledger, live.log.url, user_id)
        live.renew()
        erased = {place: n - after.get(place, 0) for place, n in before.items() if n > after.get(place, 0)}
        return Forgotten(user_id=user_id, erased=erased, left=after, note=_NOTE)

    @app.get("/v1/explain", tags=["people"], responses=possible(404, 451))
    def explain(user: Person, media_id: Which, k: Count = 10) -> Explained:
        """Why an item is, or is not, on a person's list of k."""
        found = live.verdict(user, live.item(media_id)["media_id"], k)
        told: Mapping[str, Any] = asdict(found.advice)
        return Explained(user_id=user, **{name: getattr(found, name) for name in ("text", "listed_at", "rank", "of", "barred")}, **told)
