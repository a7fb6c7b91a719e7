"""What was shown to whom: one row for every list, in the database of the feedback log."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from avrec_dag.experiments.randomising import Policy
from avrec_dag.feedback.database import Log
from avrec_dag.feedback.events import unix_us
from avrec_dag.feedback.tables import IMPRESSIONS, add, listing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = 500
ERASED = ""
"""Stands where an erased item stood, so that places keep their numbers."""


@dataclass(frozen=True)
class Impression:
    """One list as it was made.

    Attributes:
        impression_id: Of the answer; a list of a shadow has one of its own.
        user_id: Whose.
        experiment: Its name.
        arm: The same.
        served_at: When, in UTC.
        shown: The items in their order.
        scores: Of each, as the answer gave them.
        policy: How the list came about; `shown` where nothing was drawn.
        versions: Part -> version: model, index, features and tables the list was made of, and its knobs.
        context: What the request said of the person, where it said something.
        shadow_of: The impression that was shown in its stead; empty for one that was shown.
        continued: Whether it leaves out what an earlier part of the list held, or what the request named.
    """

    impression_id: str
    user_id: str
    experiment: str
    arm: str
    served_at: datetime
    shown: tuple[str, ...]
    scores: tuple[float, ...]
    policy: Policy
    versions: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    shadow_of: str = ""
    continued: bool = False

    @property
    def day(self) -> str:
        """The UTC day, YYYY-MM-DD."""
        return self.served_at.astimezone(UTC).date().isoformat()

    @property
    def propensities(self) -> tuple[float, ...] | None:
        """The probability of each item at its place; None where the pool was not worked out."""
        return self.policy.propensities(self.shown) if self.policy.known else None


class ImpressionLog(Log):
    """The durable log of what was shown; see `Log` for its URL and who may write."""

    def add(self, impressions: Iterable[Impression]) -> int:
        """Keep the impressions; those whose id is there are left. When this returns they are durable; returns how many were new."""
        rows = sorted(map(_stored, impressions), key=lambda row: str(row["impression_id"]))
        with self.writing() as connection:
            return sum(add(connection, IMPRESSIONS, rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK))

    def impressions(self, experiment: str, *, since: str = "", until: str = "", shadows: bool = False) -> Iterator[Impression]:
        """The lists of an experiment in time order, streamed.

        Args:
            experiment: Its name.
            since: From this UTC day on, YYYY-MM-DD.
            until: Up to this UTC day, itself with it.
            shadows: Those that nobody saw, instead of those that were shown.
        """
        named = IMPRESSIONS.c
        chosen = sa.select(IMPRESSIONS).where(named.experiment == experiment, (named.shadow_of != "") == shadows)
        chosen = chosen.where(named.day >= since) if since else chosen
        chosen = chosen.where(named.day <= until) if until else chosen
        with self.reading() as connection:
            streamed = connection.execution_options(yield_per=_CHUNK)
            for row in streamed.execute(chosen.order_by(named.served_us, named.impression_id)):
                yield _loaded(row._mapping)

    def experiments(self) -> list[dict[str, Any]]:
        """Every experiment and arm: lists, whether they were shown, first and last day."""
        named = IMPRESSIONS.c
        shadow = (named.shadow_of != "").label("shadow")
        facts = (sa.func.count().label("lists"), sa.func.min(named.day).label("first"), sa.func.max(named.day).label("last"))
        chosen = sa.select(named.experiment, named.arm, shadow, *facts).group_by(named.experiment, named.arm, shadow)
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(chosen.order_by(named.experiment, named.arm)).mappings()]

    def counts(self) -> dict[str, int]:
        """Day -> how many lists, oldest first."""
        counted = sa.select(IMPRESSIONS.c.day, sa.func.count()).group_by(IMPRESSIONS.c.day).order_by(IMPRESSIONS.c.day)
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}

    def erase_user(self, user_id: str) -> int:
        """Delete everything one person was shown; returns how many lists that were. SQLite overwrites the bytes."""
        return self._overwrite(sa.delete(IMPRESSIONS).where(IMPRESSIONS.c.user_id == user_id))

    def remove_before(self, day: str) -> int:
        """Delete every list of the UTC days before one; returns how many that were."""
        return self._overwrite(sa.delete(IMPRESSIONS).where(IMPRESSIONS.c.day < day))

    def remove_item(self, media_id: str) -> int:
        """Take an item out of every list, leaving its place empty; returns how many lists held it."""
        chosen = sa.select(IMPRESSIONS.c.impression_id, IMPRESSIONS.c.content).where(listing(media_id))
        with self.reading() as connection:
            found = [(row[0], _without(row[1], media_id)) for row in connection.execute(chosen)]
        for impression_id, content in found:
            self._overwrite(sa.update(IMPRESSIONS).where(IMPRESSIONS.c.impression_id == impression_id).values(content=content))
        return len(found)


def _stored(one: Impression) -> dict[str, object]:
    facts = {"shown": one.shown, "scores": [round(score, 6) for score in one.scores], "versions": one.versions, "context": one.context}
    content = {**facts, "propensities": one.propensities, "policy": asdict(one.policy), "continued": one.continued}
    return {
        "impression_id": one.impression_id,
        "user_id": one.user_id,
        "experiment": one.experiment,
        "arm": one.arm,
        "shadow_of": one.shadow_of,
        "day": one.day,
        "served_us": unix_us(one.served_at),
        "content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
    }


def _loaded(row: sa.RowMapping) -> Impression:
    told = json.loads(row["content"])
    policy = Policy(tuple(told["policy"]["own"]), tuple(told["policy"]["pool"]), told["policy"]["epsilon"])
    at = _EPOCH + timedelta(microseconds=row["served_us"])
    named = (row["impression_id"], row["user_id"], row["experiment"], row["arm"], at)
    shown = tuple(told["shown"]), tuple(told["scores"]), policy
    return Impression(*named, *shown, told["versions"], told["context"], row["shadow_of"], told.get("continued", False))


def _without(content: str, media_id: str) -> str:
    def cleaned(value: Any) -> Any:
        if isinstance(value, list):
            return [cleaned(one) for one in value]
        if isinstance(value, dict):
            return {name: cleaned(one) for name, one in value.items()}
        return ERASED if value == media_id else value

    return json.dumps(cleaned(json.loads(content)), ensure_ascii=False, separators=(",", ":"))
