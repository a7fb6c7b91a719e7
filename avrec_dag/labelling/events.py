"""What one person says one item is, and which of several such statements holds."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from avrec_dag.feedback.events import EARLIEST, FUTURE_TOLERANCE, unix_us
from avrec_dag.understanding.labels import LONGEST, MOST, clean

NOBODY = "erased"
"""Who a label is by once the person had themselves erased: what they said of an item stays, their name does not."""
_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s][^\x00-\x1f\x7f]*$")]
_MediaId = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Correction(BaseModel):
    """One statement, not yet kept.

    Attributes:
        media_id: Which item, 1 to 1024 characters.
        labels: All that it is, at most 20 labels of at most 80 characters, cleaned as sidecars' labels are; empty: none of the classes.
        by: Who says so, 1 to 200 characters.
        at: When, with a time zone; kept in UTC. None: when the log takes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    media_id: _MediaId
    labels: tuple[str, ...]
    by: _Name
    at: AwareDatetime | None = None

    @field_validator("labels")
    @classmethod
    def _few_short_and_not_blank(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            (name,) = clean([label], longest=None) or ("",)
            if not name:
                raise ValueError("a label is blank: leave it out, or give no label at all for an item of none of the classes")
            if len(name) > LONGEST:
                raise ValueError(f"a label has {len(name)} characters, expected at most {LONGEST}: {name[:20]}…")
            if not name.isprintable():
                raise ValueError(f"the label {name[:40]!r} holds characters that cannot be printed: write it without them")
        names = clean(labels, most=None)
        if len(names) > MOST:
            raise ValueError(f"{len(names)} labels for one item, expected at most {MOST}")
        return tuple(names)

    @field_validator("at")
    @classmethod
    def _in_utc_and_believable(cls, at: datetime | None) -> datetime | None:
        if at is not None and not EARLIEST <= at.astimezone(UTC) <= datetime.now(UTC) + FUTURE_TOLERANCE:
            raise ValueError(f"said at {at.isoformat()}, expected from {EARLIEST.year} until now: check the clock")
        return at and at.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """One statement as the log keeps it.

    Attributes:
        media_id: Which item.
        labels: All that it is; empty: none of the classes.
        by: Who said so; `NOBODY` once they had themselves erased.
        at: When, in UTC.
        previous: What it was said to be until then, by a person or a sidecar; None: nothing.
    """

    media_id: str
    labels: tuple[str, ...]
    by: str
    at: datetime
    previous: tuple[str, ...] | None = None

    @property
    def event_id(self) -> str:
        """32 hex digits over item, labels and time: the same statement sent twice is one. Without the name, which may have to go."""
        content = json.dumps([self.media_id, self.labels, unix_us(self.at)], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def newest(events: Iterable[LabelEvent]) -> dict[str, LabelEvent]:
    """Item -> the statement that holds: the newest, whatever the order they arrive in; at one and the same time the greater event_id."""
    held: dict[str, LabelEvent] = {}
    for event in events:
        other = held.get(event.media_id)
        if other is None or (other.at, other.event_id) < (event.at, event.event_id):
            held[event.media_id] = event
    return held
