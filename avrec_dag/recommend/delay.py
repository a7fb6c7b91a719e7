"""How long it takes from an upload to the first lists that know it, kept for every item."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.storing import digest, noted, write
from avrec_dag.steps import WHOLE, Step

LATELY = timedelta(days=7)
"""Percentiles speak of items that lists came to know in so many days before the newest."""
_PERCENTILES = (50, 90, 99)
Record = Mapping[str, Any]


def update_upload_delay(ledger: Ledger, step: Step, *, run_id: str = "") -> Outcome:
    """Write down of every item when lists that know it were first made, and when one of them first named it.

    Lists know an item that has its quality: all are made anew when one joins. What is there when the table begins was uploaded
    before there was anybody to wait, and has no delay; an upload that was replaced begins anew.
    """
    uploads = {row["media_id"]: row for row in ledger.rows("raw_media", columns=["etag", "uploaded_at"]).to_pylist()}
    known = uploads.keys() & set(ledger.rows("quality_scores", columns=[])["media_id"].to_pylist())
    lists = ledger.rows("recommendations", columns=["media_ids", "made_at"]).to_pylist()
    before = {row["media_id"]: row for row in ledger.rows(step.name, WHOLE).to_pylist()}
    newest = max((one["made_at"] for one in lists if one["made_at"]), default=None)
    rows = list(_rows(step, {key: uploads[key] for key in sorted(known)}, before, newest, _named(lists)))
    plan = ledger.wanted(step.name, WHOLE, {row.key: row.version for row in rows})
    todo = {item.key for item in plan.todo}
    outcome = write(ledger, step, WHOLE, plan, (row for row in rows if row.key in todo), run_id)
    return noted(outcome, _told([row.values for row in rows]))


def lately(ledger: Ledger) -> dict[str, float | int]:
    """How many items lists came to know in the last week (`lately`), and percentiles of how long those had waited (`p50_s`, seconds).

    `never_listed` counts those that no list ever named; percentiles are missing where nothing waited.
    """
    return _told(ledger.rows("upload_delay", WHOLE, ["delay_s", "ready_at", "listed_at"]).to_pylist())


def _named(lists: list[Record]) -> dict[str, datetime]:
    """Item -> when the oldest of the lists that name it was made."""
    first: dict[str, datetime] = {}
    for one in sorted((one for one in lists if one["made_at"]), key=lambda one: one["made_at"]):
        for key in one["media_ids"]:
            first.setdefault(key, one["made_at"])
    return first


def _rows(
    step: Step, uploads: Mapping[str, Record], before: Mapping[str, Record], newest: datetime | None, named: Mapping[str, datetime]
) -> Iterator[Row]:
    for key, upload in uploads.items():
        old, at = before.get(key), upload["uploaded_at"]
        if old is not None and old["etag"] != upload["etag"]:
            old = None
        ready = old["ready_at"] if old is not None else newest
        if ready is None or ready < at:
            continue  # no lists since it came
        listed = old["listed_at"] if old is not None else None
        listed = listed or (named[key] if key in named and named[key] >= at else None)
        counted = old["delay_s"] is not None if old is not None else bool(before)
        delay_s = (ready - at).total_seconds() if counted else None
        version = digest(step.code, upload["etag"], counted, str(ready), str(listed))
        values = {"etag": upload["etag"], "uploaded_at": at, "ready_at": ready, "listed_at": listed, "delay_s": delay_s}
        yield Row(key, version, {"delay": digest(str(ready))}, values)


def _told(rows: Sequence[Record]) -> dict[str, float | int]:
    counted = [values for values in rows if values["delay_s"] is not None]
    since = max(values["ready_at"] for values in counted) - LATELY if counted else None
    delays = [values["delay_s"] for values in counted if values["ready_at"] >= since]
    told: dict[str, float | int] = {"lately": len(delays), "never_listed": sum(values["listed_at"] is None for values in rows)}
    if delays:
        told |= {f"p{p}_s": round(float(np.percentile(delays, p)), 1) for p in _PERCENTILES}
    return told
