"""How long each table is kept: for ever, for so many days, or as long as what it is computed from."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.dataset as ds

from avrec_dag.errors import SettingError
from avrec_dag.experiments.impressions import ImpressionLog
from avrec_dag.feedback import FeedbackLog
from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE

EVENTS = "feedback_events"
IMPRESSIONS = "impressions"
"""The log of what was shown: no table, but with a lifecycle of its own; unless it is named, as long as `EVENTS`."""
HISTORIES: Mapping[str, str] = {
    "classifier_decision": "decided_at",
    "classifier_evaluation": "evaluated_at",
    "recommender_evaluation": "evaluated_at",
}
"""Tables that keep a row for every time something was judged -> the column that says when. The newest row always stays."""
_OWN = (EVENTS, IMPRESSIONS, *HISTORIES)
_BY_DAY = (EVENTS, "comment_sentiment")
_MOST_DAYS = 36_500


@dataclass(frozen=True)
class Lifecycle:
    """Days that tables are kept; what is not named is kept for ever.

    Uploads and all that is computed from them are kept as long as the upload: where it leaves the bucket, they do.

    Attributes:
        days: Table -> days, of feedback events (the log itself, and its tables), of what experiments showed, and of histories.
    """

    days: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "Lifecycle":
        """From `feedback_events=365,recommender_evaluation=180`.

        Raises:
            SettingError: A table is unknown or has no lifecycle of its own, or its days are no whole number from 1 to 36500.
        """
        days: dict[str, int] = {}
        for part in filter(None, (one.strip() for one in text.split(","))):
            table, _, number = (one.strip() for one in part.partition("="))
            if table in TABLES and table not in _OWN:
                raise SettingError(
                    f"AVREC_RETENTION names {table}, which is kept as long as what it is computed from: have the uploads deleted, or name "
                    f"{', '.join(_OWN)}"
                )
            if table not in _OWN or not number.isascii() or not number.isdigit() or not 1 <= int(number) <= _MOST_DAYS:
                raise SettingError(f"AVREC_RETENTION has {part!r}, expected TABLE=DAYS such as {EVENTS}=365, days from 1 to {_MOST_DAYS}")
            days[table] = int(number)
        return cls(days)

    def canonical(self) -> str:
        """As `read` takes it."""
        return ",".join(f"{table}={days}" for table, days in sorted(self.days.items()))


@dataclass(frozen=True, slots=True)
class Expired:
    """What of one table, or of the feedback log, is older than it is kept.

    Attributes:
        place: The table, `feedback log` or `impressions`.
        kept_days: For so long.
        rows: Rows or events that are older.
    """

    place: str
    kept_days: int
    rows: int


def expire(ledger: Ledger, log: FeedbackLog, lifecycle: Lifecycle, today: date, *, dry_run: bool) -> list[Expired]:
    """Find what is older than it is kept; remove it unless `dry_run`. What is computed from it leaves with the next runs.

    Args:
        ledger: The tables.
        log: What people did: where it lost a day, so do the tables.
        lifecycle: How long.
        today: The current day, UTC; a day is older when it lies more than so many days before.
        dry_run: Only count.
    """
    found: list[Expired] = []
    if (kept := lifecycle.days.get(EVENTS)) is not None:
        first = (today - timedelta(days=kept)).isoformat()
        events = sum(n for day, n in log.counts().items() if day < first)
        if not dry_run and events:
            log.remove_before(first)
        found.append(Expired("feedback log", kept, events))
        found += [Expired(table, kept, _days_before(ledger, table, first, dry_run)) for table in _BY_DAY]
    if (kept := lifecycle.days.get(IMPRESSIONS, lifecycle.days.get(EVENTS))) is not None:
        found.append(Expired(IMPRESSIONS, kept, _impressions_before(log, (today - timedelta(days=kept)).isoformat(), dry_run)))
    for table in HISTORIES.keys() & lifecycle.days.keys():
        before = datetime.combine(today - timedelta(days=lifecycle.days[table]), time(), UTC)
        found.append(Expired(table, lifecycle.days[table], _history_before(ledger, table, before, dry_run)))
    return [one for one in sorted(found, key=lambda one: one.place) if one.rows]


def _impressions_before(log: FeedbackLog, first: str, dry_run: bool) -> int:
    with closing(ImpressionLog(log.url)) as shown:
        lists = sum(n for day, n in shown.counts().items() if day < first)
        if not dry_run and lists:
            shown.remove_before(first)
    return lists


def _days_before(ledger: Ledger, table: str, first: str, dry_run: bool) -> int:
    rows = 0
    for day in ledger.partitions(table):
        if day < first:
            rows += ledger.rows(table, day, columns=[], status=None).num_rows
            if not dry_run:
                ledger.drop(table, day)
    return rows


def _history_before(ledger: Ledger, table: str, before: datetime, dry_run: bool) -> int:
    column = HISTORIES[table]
    rows = ledger.rows(table, WHOLE, [column, *(["adopted"] if table == "classifier_decision" else [])])
    rows = rows.sort_by([(column, "descending")])
    serving = [0] if rows.num_rows else []
    if "adopted" in rows.column_names:  # what serves was decided on, maybe long before the newest challenger was turned down
        serving += [place for place, adopted in enumerate(rows["adopted"].to_pylist()) if adopted][:1]
    key = TABLES[table].key
    stays = pa.array([rows[key][place].as_py() for place in serving], pa.string())
    old = rows.filter((ds.field(column) < pa.scalar(before, pa.timestamp("us", tz="UTC"))) & ~ds.field(key).isin(stays))
    if not dry_run and old.num_rows:
        ledger.forget(table, WHOLE, old[key].to_pylist())
    return old.num_rows
