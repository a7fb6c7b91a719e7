"""What people do, as typed events."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

Kind = Literal[
    "impression", "play", "watch", "like", "dislike", "rating", "comment", "share", "save", "follow", "skip", "not_interested", "report"
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)
ALIASES: Mapping[str, str] = {"view": "play"}
"""Names that older logs and senders use -> the kind they are read as."""

FUTURE_TOLERANCE = timedelta(days=1)
"""How far ahead of this machine's clock an event may lie: devices are a time zone off more often than they are right."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Anything older is a clock that lost its battery."""

# No control characters: they break logs and terminals, and PostgreSQL stores no NUL.
_Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Name = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")]  # as long as an S3 key may be


class Event(BaseModel):
    """One thing that one person did with one item, or, to follow, with its creator.

    Attributes:
        user_id: Who, 1 to 200 characters.
        media_id: Which item, 1 to 1024 characters; may be left out of a follow that names its creator.
        kind: What, one of `KINDS`; a name in `ALIASES` is read as its kind.
        happened_at: When, with a time zone; kept in UTC. Between 2000 and a day from now.
        value: watch: the share of the duration in [0, 1]; rating: 1 to 5; absent for every other kind.
        text: The comment, or why it was reported, 1 to 10,000 characters; absent for every other kind.
        creator: follow: whom; without it, the creator of the item. Absent for every other kind.
        event_id: The sender's own id, which makes sending twice harmless. Derived from the content when not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: _Id
    media_id: _Name = ""
    kind: Kind
    happened_at: AwareDatetime
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00]+$")] | None = None
    creator: _Name | None = None
    event_id: _Id = Field(default_factory=lambda data: _derived_id(data))  # last: the factory sees the fields above

    @field_validator("kind", mode="before")
    @classmethod
    def _by_its_name(cls, kind: object) -> object:
        return ALIASES.get(kind, kind) if isinstance(kind, str) else kind

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
        if self.kind == "comment" and self.text is None:
            raise ValueError("a comment needs its text")
        if self.text is not None and self.kind not in ("comment", "report"):
            raise ValueError(f"a {self.kind} has no text: leave it out")
        return self

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.kind != "follow" and (self.creator is not None or not self.media_id):
            raise ValueError(f"a {self.kind} is about an item: name its media_id{', and no creator' if self.creator is not None else ''}")
        if not self.media_id and not self.creator:
            raise ValueError("a follow needs the creator, or the media_id of an item of theirs")
        return self

    @property
    def day(self) -> str:
        """The UTC day it happened on, YYYY-MM-DD: its partition."""
        return self.happened_at.date().isoformat()


def _derived_id(data: Mapping[str, Any]) -> str:
    # As when a play was called a view and nobody could be followed, so that what is sent again is known again.
    kind = "view" if data["kind"] == "play" else data["kind"]
    content = [data["user_id"], data["media_id"], kind, unix_us(data["happened_at"]), data["value"], data["text"]]
    if data["creator"] is not None:
        content.append(data["creator"])
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]


def unix_us(at: datetime) -> int:
    """UNIX microseconds of a time with a time zone, exactly."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
