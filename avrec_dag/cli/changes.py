"""What of a library is behind: which days, which tables, how many rows."""

import hashlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from avrec_dag.behind import day_plans
from avrec_dag.cli.library import Library
from avrec_dag.media import ingest

if TYPE_CHECKING:
    from avrec_dag.cli.runs import Runner
    from avrec_dag.ledger import Plan

INGEST, COLLECT, TRAIN, CLASSIFY, RECOMMEND = "ingest_and_embed", "collect_feedback", "train_classifier", "classify", "recommend"


def today() -> date:
    """The current UTC day."""
    return datetime.now(UTC).date()


def upload_plans(library: Library, day: str, tables: list[str]) -> dict[str, "Plan"]:
    """Table -> what is left to do for one upload day.

    Args:
        library: Which.
        day: YYYY-MM-DD.
        tables: Those of the day's tables to look at.
    """
    return day_plans(library.ledger, library.source, library.steps, tables, day, today(), library.settings.start)


def upload_days(library: Library) -> list[str]:
    """Every day that has uploads now or had some."""
    listed = ingest.days_of(library.ledger, library.source, today(), library.settings.start)
    return sorted({*listed, *library.ledger.partitions("raw_media")})


def event_days(library: Library) -> dict[str, str]:
    """Every day with feedback, now or once -> hash of the events the log holds for it."""
    days = sorted({*library.log.days(), *library.ledger.partitions("feedback_events")})
    return {day: event_digest(library, day) for day in days}


def event_digest(library: Library, day: str) -> str:
    """Hash of the events that the log holds for one day."""
    digest = hashlib.sha256()
    for event in library.log.events(day):
        digest.update(event.event_id.encode() + b"\0")
    return digest.hexdigest()[:32]


def inputs_of(library: Library, tables: list[str]) -> list[str]:
    """Data versions of everything that the tables are computed from, themselves left out, and of what people said of items."""
    parents = {parent for name in tables for parent in library.steps[name].parents} - set(tables)
    logged = [f"label log={library.labels.digest()}"] if "label_corrections" in tables else []
    return [*(f"{name}={_seen(library, name, tables)}" for name in sorted(parents)), *logged]


def _seen(library: Library, parent: str, tables: list[str]) -> str:
    """Version of a parent as far as the tables see it.

    Items that a model fuses anew have new versions, but where only other fields of theirs are needed (tokens), nothing has changed:
    training on them again would follow from its own result.
    """
    uses = [library.steps[name].needs[parent] for name in tables if parent in library.steps[name].needs]
    if not library.steps[parent].models or not all(uses):
        return library.ledger.data_version(parent)
    wanted, rows, digest = {field for use in uses for field in use}, library.ledger.rows(parent, None, ["fields"]), hashlib.sha256()
    for key, fields in zip(rows[0].to_pylist(), rows["fields"].to_pylist(), strict=True):
        digest.update(repr((key, [(name, value) for name, value in sorted(fields) if name in wanted])).encode())
    return digest.hexdigest()[:32]


def stale(library: Library, runner: "Runner") -> dict[str, int]:
    """Table -> rows that readers are served although their input, code or settings have moved on."""
    counts: dict[str, Any] = dict.fromkeys(library.steps, 0)
    for day in upload_days(library):
        tables = [name for name, step in library.steps.items() if step.partition == "upload_day"]
        for name, plan in upload_plans(library, day, tables).items():
            counts[name] += plan.stale
    for job in (TRAIN, RECOMMEND):
        tables = runner.steps(job)
        if not runner.settled(job, "", inputs_of(library, tables)):
            counts |= {name: library.ledger.counts(name).ok for name in tables}
    return counts
