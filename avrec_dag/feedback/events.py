"""What people do, as typed events, and what each says about liking."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

Kind = Literal["view", "watch", "like", "dislike", "rating", "share", "comment", "skip"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Weight:
    """What one kind of event says about liking: `base + slope * value`, cut to [-1, 1].

    Attributes:
        base: The weight at value 0, or of an event without a value.
        slope: What one unit of `value` adds.
        explicit: The person said so themselves: the newest such opinion of an item overrules what was merely done.
    """

    base: float
    slope: float = 0.0
    explicit: bool = False


WEIGHTS: Mapping[str, Weight] = {
    "view": Weight(0.1),  # opened: curiosity, hardly liking
    "watch": Weight(-0.5, 1.5),  # left at once: -0.5, as a skip; a third: 0; to the end: 1
    "like": Weight(1.0, explicit=True),
    "dislike": Weight(-1.0, explicit=True),
    "rating": Weight(-1.5, 0.5, explicit=True),  # 1 star: -1, 3 stars: 0, 5 stars: 1
    "share": Weight(0.9),
    "comment": Weight(0.4),  # engaged, whatever was said
    "skip": Weight(-0.5),
}

FUTURE_TOLERANCE = timedelta(days=1)
"""How far ahead of this machine's clock an event may lie: devices are a time zone off more often than they are right."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Anything older is a clock that lost its battery."""

# No control characters: they break logs and terminals, and PostgreSQL stores no NUL.
_Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
_MediaId = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]  # as long as an S3 key may be


class Event(BaseModel):
    """One thing that one person did with one item.

    Attributes:
        user_id: Who, 1 to 200 characters.
        media_id: Which item, 1 to 1024 characters.
        kind: What, one of `KINDS`.
        happened_at: When, with a time zone; kept in UTC. Between 2000 and a day from now.
        value: watch: the share of the duration in [0, 1]; rating: 1 to 5; absent for every other kind.
        text: The comment, 1 to 10,000 characters; absent for every other kind.
        event_id: The sender's own id, which makes sending twice harmless. Derived from the content when not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: _Id
    media_id: _MediaId
    kind: Kind
    happened_at: AwareDatetime
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00]+$")] | None = None
    event_id: _Id = Field(default_factory=lambda data: _derived_id(data))  # last: the factory sees the fields above

    @field_validator("happened_at")
    @classmethod
    def _in_utc_and_believable(cls, at: datetime) -> datetime:
        at = at.astimezone(UTC)
        if at < EARLIEST:
            raise ValueError(f"happened at {at.isoformat()}, before {EARLIEST.year}: check the sender's clock")
        if at > datetime.now(UTC) + FUTURE_TOLERANCE:
            raise ValueError(f"happened at {at.isoformat()}, more than {FUTURE_TOLERANCE} from now: check the sender's clock")
        return at

    @model_validator(mode="after")
    def _value_and_text_fit_the_kind(self) -> Self:
        limits = {"watch": (0.0, 1.0), "rating": (1.0, 5.0)}.get(self.kind)
        if limits is None and self.value is not None:
            raise ValueError(f"a {self.kind} has no value, found {self.value}: leave it out")
        if limits is not None and (self.value is None or not limits[0] <= self.value <= limits[1]):
            raise ValueError(f"a {self.kind} needs a value from {limits[0]:g} to {limits[1]:g}, found {self.value}")
        if (self.kind == "comment") != (self.text is not None):
            raise ValueError("a comment needs its text" if self.kind == "comment" else f"a {self.kind} has no text: leave it out")
        return self

    @property
    def weight(self) -> float:
        """What the event says about liking, in [-1, 1] (`WEIGHTS`)."""
        rule = WEIGHTS[self.kind]
        return min(1.0, max(-1.0, rule.base + rule.slope * (self.value or 0.0)))

    @property
    def day(self) -> str:
        """The UTC day it happened on, YYYY-MM-DD: its partition."""
        return self.happened_at.date().isoformat()


def _derived_id(data: Mapping[str, Any]) -> str:
    content = [data["user_id"], data["media_id"], data["kind"], unix_us(data["happened_at"]), data["value"], data["text"]]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]


def unix_us(at: datetime) -> int:
    """UNIX microseconds of a time with a time zone, exactly."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
