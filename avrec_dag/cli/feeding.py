"""Commands about what people did: one event, files of them, and what the log holds."""

from collections.abc import Iterator
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError

if TYPE_CHECKING:
    from avrec_dag.feedback import Event

_CHUNK = 10_000
_MOST_NAMED = 100
_KINDS = "impression, play, watch, like, dislike, rating, comment, share, save, follow, skip, not_interested or report"


def add(
    user: Annotated[str, typer.Argument(help="Who.")],
    media_id: Annotated[str, typer.Argument(help="Which item.")],
    kind: Annotated[str, typer.Argument(help=f"{_KINDS}.")],
    value: Annotated[float | None, typer.Option(help="watch: the share of the duration, 0 to 1; rating: 1 to 5.")] = None,
    text: Annotated[str | None, typer.Option(help="What a comment says, or why it is reported.")] = None,
    as_json: Json = False,
) -> None:
    """Add one event; the service heeds it at once, the next `avrec materialize` learns from it."""
    from avrec_dag.cli.library import opened
    from avrec_dag.feedback.files import event_of

    given = {"user_id": user, "media_id": media_id, "kind": kind, "value": value, "text": text}
    library = opened()
    event = event_of({name: one for name, one in given.items() if one is not None})
    if isinstance(event, str):
        raise typer.BadParameter(f"the event: {event}")
    if library.ledger.row("raw_media", event.media_id) is None:
        raise MissingError(f"{event.media_id!r} is not in the library: nothing was added")
    _told(library.log.add([event]), 1, [], as_json)


def import_file(
    file: Annotated[Path, typer.Argument(help="JSON lines, or .csv: user_id, media_id, kind, and where they apply happened_at, value, …")],
    as_json: Json = False,
) -> None:
    """Add a file of events: good lines are kept, bad ones named by number; importing it again changes nothing.

    Events on items that the library does not hold are bad lines. Exits with 1 where there are any.
    """
    from avrec_dag.cli.library import opened
    from avrec_dag.feedback.files import read_events

    library, bad = opened(), []
    known = set(library.ledger.rows("raw_media", None, [])["media_id"].to_pylist())

    def good() -> "Iterator[Event]":
        for line, event in read_events(file):
            if isinstance(event, str):
                bad.append((line, event))
            elif event.media_id and event.media_id not in known:
                bad.append((line, f"{event.media_id!r} is not in the library"))
            else:
                yield event

    events, added, read = good(), 0, 0
    while chunk := list(islice(events, _CHUNK)):
        added, read = added + library.log.add(chunk), read + len(chunk)
    _told(added, read, bad, as_json)
    if bad:
        raise typer.Exit(1)


def _told(added: int, read: int, bad: list[tuple[int, str]], as_json: bool) -> None:
    for line, why in bad[:_MOST_NAMED]:
        output.say(f"line {line}: {why}")
    if len(bad) > _MOST_NAMED:
        output.say(f"and {len(bad) - _MOST_NAMED} lines more")
    if as_json:
        output.show_json({"added": added, "known": read - added, "bad": len(bad)})
    else:
        output.stdout().print(f"{added} added, {read - added} were there already{f', {len(bad)} bad lines left out' if bad else ''}")


def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="SQLAlchemy address of the log to copy; its password may be in PGPASSWORD.")
    ],
    as_json: Json = False,
) -> None:
    """Copy another log (events, labels, reviews) into that of AVREC_FEEDBACK, row by row as they are; again, it adds what came since.

    Stop what writes into the old one first. What differs or cannot be kept is named and counted, and the exit code is 1. Whoever was
    erased from the new log alone would come back.
    """
    from dataclasses import asdict

    from avrec_dag.cli.library import opened
    from avrec_dag.feedback import copying

    library = opened()
    copied = copying.copy(copying.source(source, other_than=library.settings.feedback), library.log)
    for table, one in copied.items():
        for key, why in one.named:
            output.say(f"{table} {key}: {why}")
    counts = {table: {name: n for name, n in asdict(one).items() if name != "named"} for table, one in copied.items()}
    if as_json:
        output.show_json(counts)
    else:
        columns = ["read", "added", "there", "differing", "refused"]
        output.show_table(["table", *columns], [[table, *(one[name] for name in columns)] for table, one in counts.items()])
    if any(one.differing or one.refused for one in copied.values()):
        raise typer.Exit(1)


def list_events(
    user: Annotated[str | None, typer.Argument(help="Whose; nobody: how many events each day has.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=100_000, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """What one person did, oldest first, with what each event says about liking; or the days of the log."""
    from avrec_dag.cli.library import opened

    library = opened()
    if user is None:
        rows = [{"day": day, "events": n} for day, n in library.log.counts().items()]
    else:
        rows = [_row(event, library.rules.weight(event)) for event in library.log.of_user(user, limit=limit)]
    if as_json:
        output.show_json(rows)
        return
    columns = ["day", "events"] if user is None else ["happened_at", "kind", "media_id", "value", "weight", "text"]
    output.show_table(columns, [["" if row.get(name) is None else row[name] for name in columns] for row in rows])


def _row(event: "Event", weight: float) -> dict[str, object]:
    return {**event.model_dump(), "happened_at": event.happened_at.astimezone(UTC).isoformat(), "weight": round(weight, 6)}
