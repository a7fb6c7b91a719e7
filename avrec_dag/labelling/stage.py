"""Bringing the newest corrections from the log into the library's tables."""

from avrec_dag.items import Outcome, Row
from avrec_dag.labelling.events import LabelEvent
from avrec_dag.labelling.log import LabelLog
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.understanding.digests import digest


def update_corrections(ledger: Ledger, log: LabelLog, step: Step, *, run_id: str = "") -> Outcome:
    """Keep the newest correction of each item that is in the library; one whose upload left is gone, and back when that is back.

    Version and field `labels` cover the statement, whose name it bears and the item's source, so that a name that had to be
    erased and a source that changed reach the table `labels`.
    """
    events = log.newest()
    raw = ledger.rows("raw_media", None, ["source"])
    sources = dict(zip(raw["media_id"].to_pylist(), raw["source"].to_pylist(), strict=True))
    known = {media_id: event for media_id, event in events.items() if media_id in sources}
    versions = {media_id: digest([step.code, event.event_id, event.by, sources[media_id] or ""]) for media_id, event in known.items()}
    plan = ledger.wanted(step.name, WHOLE, versions)
    ledger.tombstone(step.name, WHOLE, plan.gone, run_id)
    ledger.append(step.name, WHOLE, [_row(known[item.key], item.version) for item in plan.todo], run_id)
    ledger.compact(step.name, WHOLE)
    notes = {"statements of items not here": len(events) - len(known)}
    rows = ledger.counts(step.name).ok
    return Outcome(step.name, WHOLE, len(plan.todo), 0, len(plan.gone), rows, ledger.data_version(step.name, WHOLE), notes)


def _row(event: LabelEvent, version: str) -> Row:
    previous = None if event.previous is None else list(event.previous)
    values = {"labels": list(event.labels), "previous": previous, "labelled_by": event.by, "labelled_at": event.at}
    return Row(event.media_id, version, {"labels": version}, values)


def corrected(ledger: Ledger, log: LabelLog) -> set[str]:
    """The items of the library that somebody corrected: those that table label_corrections should hold."""
    return log.newest().keys() & set(ledger.rows("raw_media", None, [])["media_id"].to_pylist())
