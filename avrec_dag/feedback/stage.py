"""Bringing the tables of what people did up to date: the events of a day, and everyone's history."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa
from pydantic import ValidationError

from avrec_dag.errors import SettingError
from avrec_dag.feedback.events import Event
from avrec_dag.feedback.log import FeedbackLog
from avrec_dag.feedback.weights import Rules
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.interactions import COLUMNS, fold
from avrec_dag.recommend.storing import digest, noted, write
from avrec_dag.steps import WHOLE, Step

_CHUNK = 2000
_EVENTS = ["user_id", "media_id", "kind", "weight", "creator", "happened_at", "fields"]
_SEEN = ("media_ids", "weights", "last_s", "shown_ids", "shown_n", "creators")
_COUNTS = """
SELECT (SELECT count(*) FROM events) AS events, (SELECT coalesce(sum(len(media_ids)), 0)::BIGINT FROM folded) AS opinions,
       (SELECT count(*) FROM events ANTI JOIN items USING (media_id) WHERE kind <> 'follow') AS events_on_unknown_items,
       (SELECT count(*) FROM events WHERE NOT coalesce(isfinite(weight), false)) AS weights_that_are_no_numbers,
       (SELECT coalesce(sum(n_capped), 0)::BIGINT FROM folded) AS events_capped,
       (SELECT count(*) FROM folded WHERE n_capped > 0) AS people_capped,
       (SELECT coalesce(sum(len(shown_ids)), 0)::BIGINT FROM folded) AS items_only_shown
"""


def update_feedback(ledger: Ledger, log: FeedbackLog, step: Step, day: str, *, rules: Rules | None = None, run_id: str = "") -> Outcome:
    """Bring one day of `feedback_events` up to date with the log.

    What other programs wrote into the log and cannot be true becomes a failed row that says why.

    Raises:
        SettingError: When the log is empty but the table is not: that is a wrong address, not a day on which everyone was erased.
    """
    versions = {event.event_id: digest(step.code, *_event_facts(event)) for event in log.events(day)}
    plan = ledger.wanted(step.name, day, versions)
    if plan.gone and not log.days():
        raise SettingError(f"the feedback log holds no event, but {step.name} of {day} holds {len(plan.gone)}: check AVREC_FEEDBACK")
    todo, judged = {item.key for item in plan.todo}, rules or Rules()
    rows = (_event_row(event, versions[event.event_id], judged) for event in log.events(day) if event.event_id in todo)
    return write(ledger, step, day, plan, rows, run_id)


def _event_facts(event: Event) -> tuple[object, ...]:
    return event.user_id, event.media_id, event.kind, event.value, event.text, event.creator, event.happened_at.isoformat()


def _event_row(event: Event, version: str, rules: Rules) -> Row:
    try:
        Event.model_validate(event.model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        return Row(event.event_id, version, error=f"{'.'.join(map(str, first['loc'])) or 'event'}: {first['msg']}")
    facts, weight = event.model_dump(exclude={"event_id"}), rules.weight(event)
    said = {"comment": digest(event.user_id, event.media_id, event.text)} if event.kind == "comment" else {}
    return Row(event.event_id, version, {"event": digest(*_event_facts(event), weight), **said}, {**facts, "weight": weight})


def update_interactions(ledger: Ledger, step: Step, *, rules: Rules | None = None, run_id: str = "") -> Outcome:
    """Fold all events into one history per person; only people whose events changed are written."""
    events = ledger.rows("feedback_events", columns=_EVENTS)
    items = ledger.rows("raw_media", columns=["creator"])
    sentiment = ledger.rows("comment_sentiment", columns=["score"])
    folded = fold(events, items, sentiment, code=f"{step.name}@{step.code}", rules=rules)
    versions = dict(zip(folded["user_id"].to_pylist(), folded["version"].to_pylist(), strict=True))
    plan = ledger.wanted(step.name, WHOLE, versions)
    todo = {item.key for item in plan.todo}
    changed = folded.filter(pa.array([user_id in todo for user_id in versions], pa.bool_()))
    outcome = write(ledger, step, WHOLE, plan, _history_rows(changed), run_id)
    return noted(outcome, _counted(events, items, folded))


def _counted(events: pa.Table, items: pa.Table, folded: pa.Table) -> dict[str, int]:
    """Where every event went: nothing is dropped without a number."""
    with duckdb.connect() as connection:
        for name, table in {"events": events, "items": items, "folded": folded}.items():
            connection.register(name, table)
        return connection.sql(_COUNTS).to_arrow_table().to_pylist()[0]


def _history_rows(folded: pa.Table) -> Iterator[Row]:
    for batch in folded.to_batches(max_chunksize=_CHUNK):
        for row in batch.to_pylist():
            yield Row(
                row["user_id"], row["version"], {"history": digest(*(row[name] for name in _SEEN))}, {one: row[one] for one in COLUMNS}
            )
