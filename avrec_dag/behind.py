"""What of one upload day is left to do, table by table."""

from collections.abc import Mapping, Sequence
from datetime import date

from avrec_dag.ledger import Ledger, Plan
from avrec_dag.media.ingest import plan_uploads
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import Step


def day_plans(
    ledger: Ledger, source: MediaSource, steps: Mapping[str, Step], tables: Sequence[str], day: str, today: date, start: date
) -> dict[str, Plan]:
    """Table -> what is left to do for one upload day.

    Args:
        ledger: Where rows are.
        source: The media library.
        steps: The graph of items.
        tables: Those of the day's tables to look at.
        day: YYYY-MM-DD.
        today: The day for an upload whose own day cannot be told.
        start: The first day that exists.
    """
    return {
        name: plan_uploads(ledger, source, steps[name], day, today, start) if name == "raw_media" else ledger.plan(steps[name], day)
        for name in tables
    }


def unfinished(plans: Mapping[str, Plan]) -> list[str]:
    """The tables that have something to do."""
    return [name for name, plan in plans.items() if plan.todo or plan.gone]
