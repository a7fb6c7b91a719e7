"""The command that erases an item or a person, and proves it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError

if TYPE_CHECKING:
    import dagster as dg

    from avrec_dag.cli.library import Library
    from avrec_dag.ledger import Subject

_SERVING = "model of "
_WAITS = "until the next fit: avrec materialize, or nightly_training and nightly_refit"
_AT_WORK = "for seven days, as runs are at work"


@dataclass(frozen=True, slots=True)
class Place:
    """What one place held and holds, each read from it.

    Attributes:
        place: Which table, log, model, or kind of file.
        before: Rows, events or files before the erasure.
        after: The same after it.
        stays: Until when something stays, and why; empty where nothing does.
    """

    place: str
    before: int
    after: int
    stays: str = ""


def erase(
    media_id: Annotated[str | None, typer.Argument(help="An item of the library.")] = None,
    user: Annotated[str | None, typer.Option(help="A person, instead of an item.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what there is.")] = False,
    later: Annotated[bool, typer.Option("--later", help="Leave the models to the next fit, instead of fitting them now.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase everything computed from one item and said of it, or everything one person did; print what was there and what is left.

    The upload itself stays where it is, and is taken in again: delete it first. Labels and decisions a person gave stay without
    their name, and decisions of moderation about an item stay with it. Ends with 1 where anything else is left.
    """
    from avrec_dag.cli import runs
    from avrec_dag.cli.library import opened
    from avrec_dag.ledger import Subject

    if (media_id is None) == (user is None):
        raise typer.BadParameter("name one MEDIA_ID, or one --user")
    library = opened()
    subject = library.ledger.item(media_id) if media_id is not None else Subject("person", user or "")
    with runs.records() as records:
        before = _found(library, records, subject)
        if not before and media_id is not None and not dry_run:
            raise MissingError(f"{media_id!r} is not in the library; `avrec search` finds the ids")
        if dry_run:
            _show(subject, [Place(place, n, n) for place, n in before.items()], {}, as_json, dry_run=True)
            return
        if not yes and not typer.confirm(f"Erase {subject.key} for good?", err=True):
            raise typer.Exit(1)
        stays = _erased(library, records, subject, later=later)
        after = _found(library, records, subject)
        names = dict.fromkeys([*before, *after])
        told = [Place(name, before.get(name, 0), after.get(name, 0), _why(name, stays) if after.get(name) else "") for name in names]
        _show(subject, told, _kept(library, subject), as_json)
        if after:
            raise typer.Exit(1)


def _found(library: "Library", records: "dg.DagsterInstance", subject: "Subject") -> dict[str, int]:
    from resources.records import Records

    logs = library.traces.of_item if subject.kind == "item" else library.traces.of_person
    found = {**library.ledger.traces(subject), **logs(subject.key), **Records(records, _shown_as(subject)).find()}
    return {place: n for place, n in found.items() if n}


def _erased(library: "Library", records: "dg.DagsterInstance", subject: "Subject", *, later: bool) -> dict[str, str]:
    """Take it out everywhere; returns why something may be left, by place."""
    import dagster as dg

    from assets.backfilling import UNFINISHED
    from avrec_dag.forgetting import out_of_logs
    from resources.records import Records

    at_work = bool(records.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1))
    out_of_logs(library.settings.feedback, subject)  # first: what a log holds comes back into the tables
    library.ledger.erase(subject, keep_keys=at_work)
    Records(records, _shown_as(subject)).erase()
    why = {"bare keys of removed rows": _AT_WORK if at_work else ""}
    stopped = "" if later or not _fitted(library) else _fit(library)
    library.ledger.delete_outdated(subject)
    return {**why, _SERVING: f"{_WAITS}{f'; {stopped} failed now' if stopped else ''}"}


def _fitted(library: "Library") -> bool:
    return library.ledger.counts("recommender").ok > 0


def _fit(library: "Library") -> str:
    """Fit the models anew; what made that fail, or nothing."""
    from avrec_dag.cli import flow

    with output.shown_progress(as_json=True):
        return flow.refit(library, announce=output.say).stopped


def _shown_as(subject: "Subject") -> tuple[str, ...]:
    """The forms in which previews and messages write it, which cut long names and escape markup."""
    from assets.pictures import plain

    cut = (plain(subject.key, longest) for longest in (40, 60, 120) if len(subject.key) > longest)
    titles = (form for title in subject.sure.titles for form in (f"“{title}”", plain(f"“{title}”", 10_000)))
    return tuple(dict.fromkeys([subject.key, plain(subject.key, 10_000), *cut, *titles]))


def _why(place: str, stays: Mapping[str, str]) -> str:
    return next((why for start, why in stays.items() if place.startswith(start)), "") or "it came back meanwhile: erase again"


def _kept(library: "Library", subject: "Subject") -> dict[str, str]:
    """What is left on purpose, with why."""
    if subject.kind == "person":
        return {}
    kept = {}
    if any(upload.key == subject.key for upload in library.source.list()):
        kept["upload"] = "it is not computed by us; delete it, or the next ingest takes it in again"
    if n := library.traces.reviews(subject.key):
        kept["review log"] = f"{n} decisions of moderation, which outlive the item, or a blocked upload could come back unblocked"
    return kept


def _show(subject: "Subject", places: list[Place], kept: Mapping[str, str], as_json: bool, *, dry_run: bool = False) -> None:
    left = 0 if dry_run else sum(one.after for one in places)
    if as_json:
        told: dict[str, Any] = {subject.kind: subject.key, "dry_run": dry_run, "left": left, "kept": dict(kept)}
        output.show_json({**told, "places": [asdict(one) for one in places]})
        return
    rows = [[one.place, str(one.before), "" if dry_run else str(one.after), one.stays] for one in places]
    output.show_table(["place", "there" if dry_run else "before", "" if dry_run else "after", "left"], rows)
    for place, why in kept.items():
        output.say(f"kept: {place}: {why}")
    output.say("nothing was erased: --dry-run" if dry_run else f"{left} left" if left else "nothing is left, as read again")
