"""The log of what people decided about items: who, when, what; nothing in it is overwritten."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from avrec_dag.feedback.database import Log
from avrec_dag.feedback.events import unix_us
from avrec_dag.feedback.tables import REVIEWS
from avrec_dag.labelling.events import NOBODY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Review:
    """One decision of one person.

    Attributes:
        media_id: About which item.
        decision: What holds from now on.
        by: Who.
        at: When.
        because: Why, in their words; empty where they gave none.
    """

    media_id: str
    decision: Literal["allow", "block"]
    by: str
    at: datetime
    because: str = ""


class ReviewLog(Log):
    """The durable review log, in the database of the feedback log; see `Log` for its URL and who may write."""

    def add(self, review: Review) -> None:
        """Keep a decision; when this returns it is durable."""
        values = {
            "review_id": uuid.uuid4().hex,
            "media_id": review.media_id,
            "decision": review.decision,
            "by": review.by,
            "because": review.because or None,
            "happened_us": unix_us(review.at),
        }
        with self.writing() as connection:
            connection.execute(sa.insert(REVIEWS).values(values))

    def history(self, media_id: str | None = None) -> list[Review]:
        """Every decision, or those about one item, oldest first."""
        chosen = sa.select(REVIEWS).order_by(REVIEWS.c.happened_us, REVIEWS.c.review_id)
        if media_id is not None:
            chosen = chosen.where(REVIEWS.c.media_id == media_id)
        with self.reading() as connection:
            return [_loaded(row) for row in connection.execute(chosen).mappings()]

    def anonymise(self, by: str) -> int:
        """Take a person's name off everything they decided, which itself stays; returns how many decisions that were."""
        return self._overwrite(sa.update(REVIEWS).where(REVIEWS.c.by == by).values(by=NOBODY))

    def newest(self) -> dict[str, Review]:
        """Item -> the decision that holds: the latest."""
        return {review.media_id: review for review in self.history()}


def _loaded(row: sa.RowMapping) -> Review:
    at = _EPOCH + timedelta(microseconds=row["happened_us"])
    return Review(row["media_id"], row["decision"], row["by"], at, row["because"] or "")
