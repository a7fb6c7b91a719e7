"""Which days are behind, why, and how long they will take: what `avrec backfill` runs, and with --dry-run only prints."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from assets import backfilling
from assets.backfilling import Due
from avrec_dag.behind import unfinished
from avrec_dag.cli import changes, output
from avrec_dag.cli.changes import COLLECT, INGEST
from avrec_dag.cli.library import Library
from avrec_dag.cli.runs import Runner
from avrec_dag.media import ingest


def due(library: Library, runner: Runner, window_days: int | None) -> list[Due]:
    """Days of uploads and of events that are behind, newest first.

    Args:
        library: Which.
        runner: Knows what ran.
        window_days: Only the last so many days, today included.
    """
    uploads, events = changes.upload_days(library), {*library.log.days(), *library.ledger.partitions("feedback_events")}
    tables = runner.steps(INGEST)

    def behind(day: str) -> list[str]:
        return unfinished(changes.upload_plans(library, day, tables))

    def uncollected(day: str) -> list[str]:
        logged = {event.event_id for event in library.log.events(day)}
        kept = set(library.ledger.rows("feedback_events", day, [], status=None)["event_id"].to_pylist())
        return ["feedback_events"] if logged != kept else []

    def of(job: str, days: Sequence[str], asks: Any) -> list[Due]:
        return backfilling.due(runner.instance, job, runner.steps(job), backfilling.within(days, window_days, changes.today()), behind=asks)

    return sorted([*of(INGEST, uploads, behind), *of(COLLECT, sorted(events), uncollected)], key=lambda one: one.day, reverse=True)


def told(library: Library, runner: Runner, found: Sequence[Due]) -> dict[str, Any]:
    """The plan as `avrec backfill --dry-run --json` prints it; seconds are None where no past run tells."""
    listed = ingest.days_of(library.ledger, library.source, changes.today(), library.settings.start)
    items = {
        INGEST: Counter({day: len(uploads) for day, uploads in listed.items()}),
        COLLECT: Counter({day: sum(1 for _ in library.log.events(day)) for day in library.log.days()}),
    }
    pace = {job: backfilling.pace(runner.instance, job, counts) for job, counts in items.items()}
    rows: list[dict[str, Any]] = []
    for one in found:
        each, n_items = pace[one.job], items[one.job][one.day]
        seconds = None if each is None else each * max(1, n_items)
        rows.append({"day": one.day, "job": one.job, "why": dict(one.why), "items": n_items, "seconds": seconds})
    known = [row["seconds"] for row in rows if row["seconds"] is not None]
    return {"due": rows, "seconds": sum(known) if len(known) == len(rows) else None, "seconds_per_item": pace}


def show(plan: dict[str, Any]) -> None:
    """Print the plan as a table."""
    rows = [[one["day"], one["job"], one["items"], _why(one["why"]), _duration(one["seconds"])] for one in plan["due"]]
    output.show_table(["day", "job", "items", "why", "about"], rows)
    if rows:
        output.stdout().print(f"\n{len(rows)} to run, in about {_duration(plan['seconds'])} by past runs (median seconds per item)")
    else:
        output.stdout().print("every day is complete")


def _why(why: dict[str, str]) -> str:
    reasons: dict[str, list[str]] = {}
    for table, reason in why.items():
        reasons.setdefault(reason, []).append(table)
    return "; ".join(f"{reason}: {', '.join(tables)}" for reason, tables in reasons.items())


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
