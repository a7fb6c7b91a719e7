"""Which days are behind and why, and the requests that bring them up to date: newest first, and after whatever is live."""

import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg

from assets import graph
from resources.workers import BACKFILL

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED,
]  # fmt: skip
MISSING, FAILED, OLD_CODE, BEHIND = "missing", "failed", "made by older code", "uploads or rows have changed"
_CODE = "dagster/code_version"
_PAGE, _PAST_RUNS = 1000, 50


@dataclass(frozen=True)
class Due:
    """One day of one job that is behind.

    Attributes:
        job: The job that brings it up to date.
        day: YYYY-MM-DD.
        why: Table -> reason.
    """

    job: str
    day: str
    why: Mapping[str, str]

    def tables(self, tables: Collection[str]) -> list[str]:
        """Those of the job's tables that are behind, and those that are computed from them: the rest stays as it is."""
        chosen = set(self.why)
        for name, step in graph.STEPS.items():  # parents come before their children
            if name in tables and not chosen.isdisjoint(step.parents):
                chosen.add(name)
        return [name for name in tables if name in chosen]


def due(
    instance: dg.DagsterInstance,
    job: str,
    tables: Sequence[str],
    days: Collection[str],
    *,
    behind: Callable[[str], Collection[str]] = lambda _: (),
) -> list[Due]:
    """The days that are behind, newest first; a day on which a run of the job waits or works already is left out.

    A day is behind where a table is missing or failed, was made by older code, or by the ledger's own plan has something to do.

    Args:
        instance: Where runs are recorded.
        job: The job.
        tables: The tables that it writes, by day.
        days: Which days to look at, YYYY-MM-DD.
        behind: Day -> tables of which the ledger has something to do; asked only where Dagster sees nothing.
    """
    runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED))
    looked_at = sorted(set(days) - {run.tags.get("dagster/partition") for run in runs}, reverse=True)
    why: dict[str, dict[str, str]] = {day: {} for day in looked_at}
    for table in tables:
        for day, reason in _reasons(instance, table, looked_at):
            why[day][table] = reason
    for day in looked_at:
        if not why[day]:
            why[day] = dict.fromkeys(behind(day), BEHIND)
    return [Due(job, day, reasons) for day, reasons in why.items() if reasons]


def _reasons(instance: dg.DagsterInstance, table: str, days: Sequence[str]) -> Iterator[tuple[str, str]]:
    partitions = graph.partitions_of(table)
    found = (instance.get_status_by_partition(dg.AssetKey(table), days, partitions) or {}) if partitions and days else {}
    built = []
    for day in days:
        status = found.get(day)
        if status is None:
            yield day, MISSING
        elif status.name == "FAILED":
            yield day, FAILED
        else:
            built.append(day)
    codes = _codes(instance, table, built)
    yield from ((day, OLD_CODE) for day in built if codes.get(day) != graph.STEPS[table].code)


def _codes(instance: dg.DagsterInstance, table: str, days: Sequence[str]) -> dict[str, str | None]:
    """Day -> code version of its newest materialization."""
    codes: dict[str, str | None] = {}
    cursor = None
    while len(codes) < len(days):
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(table), asset_partitions=list(days))
        page = instance.fetch_materializations(wanted, limit=_PAGE, cursor=cursor)
        for record in page.records:
            if record.partition_key is not None and record.asset_materialization is not None:
                codes.setdefault(record.partition_key, (record.asset_materialization.tags or {}).get(_CODE))
        if not page.has_more:
            break
        cursor = page.cursor
    return codes


def tags(day: str, by: str, today: date | None = None) -> dict[str, str]:
    """Tags of a run that catches up: what is live has priority 0, every day of age is one less.

    Args:
        day: The day it is about.
        by: Who asks for it.
        today: For tests.
    """
    age = ((today or datetime.now(UTC).date()) - date.fromisoformat(day)).days
    return {BACKFILL: by, "dagster/priority": str(-1 - max(0, age))}


def within(days: Collection[str], window_days: int | None, today: date) -> list[str]:
    """The days of the window that ends today; None: all of them."""
    return [day for day in days if window_days is None or (today - date.fromisoformat(day)).days < window_days]


def failed_days(instance: dg.DagsterInstance, jobs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Job -> days on which one of its tables failed when it last ran, newest first.

    Args:
        instance: Where runs are recorded.
        jobs: Job -> tables that it writes, by day.
    """
    failed: dict[str, list[str]] = {}
    for job, tables in jobs.items():
        days: set[str] = set()
        for table in tables:
            partitions = graph.partitions_of(table)
            if partitions is not None:
                found = instance.get_status_by_partition(dg.AssetKey(table), partitions.get_partition_keys(), partitions) or {}
                days |= {day for day, status in found.items() if status is not None and status.name == "FAILED"}
        failed[job] = sorted(days, reverse=True)
    return failed


def pace(instance: dg.DagsterInstance, job: str, items: Mapping[str, int]) -> float | None:
    """Median seconds per item of the job's last 50 successful days; None where there is none.

    Args:
        instance: Where runs are recorded.
        job: The job.
        items: Day -> how many items it has; a day without items counts as one.
    """
    done = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=_PAST_RUNS)
    seconds = [
        (record.end_time - record.start_time) / max(1, items[day])
        for record in done
        if record.end_time and record.start_time and (day := record.dagster_run.tags.get("dagster/partition")) in items
    ]
    return statistics.median(seconds) if seconds else None
