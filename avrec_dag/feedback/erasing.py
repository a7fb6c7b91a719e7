"""What the logs of feedback, labels, reviews and impressions hold of an item or a person."""

import sqlalchemy as sa

from avrec_dag.feedback.database import Log
from avrec_dag.feedback.tables import IMPRESSIONS, LABELS, LOG, REVIEWS, listing

_ITEMS = {"feedback log": LOG, "label log": LABELS}


class Traces(Log):
    """The four logs, counted to prove an erasure; see `Log` for the URL."""

    def of_item(self, media_id: str) -> dict[str, int]:
        """Log -> statements about one item; decisions of moderation are not among them, as they outlive it."""
        return {name: self._count(table.c.media_id == media_id) for name, table in _ITEMS.items()} | {
            "impressions": self._count(listing(media_id))
        }

    def of_person(self, user_id: str) -> dict[str, int]:
        """Log -> what one person did, and what bears their name."""
        named = {"names in the label log": LABELS.c.by, "names in the review log": REVIEWS.c.by}
        own = {"feedback log": self._count(LOG.c.user_id == user_id), "impressions": self._count(IMPRESSIONS.c.user_id == user_id)}
        return own | {name: self._count(column == user_id) for name, column in named.items()}

    def reviews(self, media_id: str) -> int:
        """Decisions of people about one item."""
        return self._count(REVIEWS.c.media_id == media_id)

    def _count(self, where: sa.ColumnElement[bool]) -> int:
        with self.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(where)) or 0
