"""What tidies a store up: files that no row names any more, and rows older than their table is kept."""

from datetime import UTC, datetime

import dagster as dg

from assets import graph
from assets.pictures import plain, table
from avrec_dag.lifecycle import expire
from resources.feedback import Feedback
from resources.store import Store

_OLDER_THAN_S = 86_400.0


@dg.op
def keep_house(context: dg.OpExecutionContext, store: Store, feedback: Feedback) -> None:
    """Expire rows by AVREC_RETENTION, then delete files that no row names and bare keys that no writer can need any more."""
    today = datetime.now(UTC).date()
    expired = expire(store.ledger, feedback.log, graph.SETTINGS.retention, today, dry_run=False)
    keys = store.ledger.purge(dry_run=False)
    swept = store.ledger.sweep(dry_run=False, older_than_s=_OLDER_THAN_S)
    lines = [[plain(one.place), str(one.kept_days), str(one.rows)] for one in expired]
    facts = {"files": swept.files, "size_bytes": swept.size_bytes, "bare_keys": keys, "rows": sum(one.rows for one in expired)}
    context.add_output_metadata({**facts, "expired": dg.MetadataValue.md(table(["place", "days kept", "rows removed"], lines))})


@dg.job
def housekeeping() -> None:
    """Rows older than they are kept, and files that no row names."""
    keep_house()


nightly_housekeeping = dg.ScheduleDefinition(
    name="nightly_housekeeping",
    job=housekeeping,
    cron_schedule="0 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Before the night's collecting and fitting, so that what expired is in no list by the morning. On: of files only those go that no "
        "row names and that are a day old, of rows only what AVREC_RETENTION names; by default that is nothing."
    ),
)
