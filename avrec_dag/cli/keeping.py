"""Commands that look after a library."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError

if TYPE_CHECKING:
    from avrec_dag.feedback import Event


def add_feedback(
    user: Annotated[str | None, typer.Argument(help="Who.")] = None,
    media_id: Annotated[str | None, typer.Argument(help="Which item.")] = None,
    kind: Annotated[str | None, typer.Argument(help="view, watch, like, dislike, rating, share, comment or skip.")] = None,
    value: Annotated[float | None, typer.Option(help="watch: the share of the duration, 0 to 1; rating: 1 to 5.")] = None,
    text: Annotated[str | None, typer.Option(help="What a comment says.")] = None,
    file: Annotated[Path | None, typer.Option(help="Many events: one JSON object a line, with user_id, media_id, kind.")] = None,
    as_json: Json = False,
) -> None:
    """Add one event, or a file of them; the next `avrec materialize` learns from it."""
    from avrec_dag.cli.library import opened

    if file is None and not (user and media_id and kind):
        raise typer.BadParameter("name USER, MEDIA_ID and KIND, or --file")
    one = {"user_id": user, "media_id": media_id, "kind": kind, "value": value, "text": text}
    records = _lines(file) if file else [(1, {name: given for name, given in one.items() if given is not None})]
    library = opened()
    events = [_event(record, f"{file}:{line}" if file else "the event") for line, record in records]
    known = set(library.ledger.rows("raw_media", None, ["media_id"])["media_id"].to_pylist())
    unknown = sorted({event.media_id for event in events} - known)
    if unknown:
        raise MissingError(
            f"{unknown[0]!r} is not in the library{f', nor are {len(unknown) - 1} others' if unknown[1:] else ''}: nothing was added"
        )
    added = library.log.add(events)
    if as_json:
        output.show_json({"added": added, "known": len(events) - added})
    else:
        output.stdout().print(f"{added} added, {len(events) - added} were there already")


def _event(record: object, where: str) -> "Event":
    from pydantic import ValidationError

    from avrec_dag.feedback import Event

    try:
        return Event.model_validate({"happened_at": datetime.now(UTC), **record} if isinstance(record, dict) else record)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{where}: {'.'.join(map(str, first['loc'])) or 'event'}: {first['msg']}") from None


def _lines(file: Path) -> list[tuple[int, object]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [(number, json.loads(line)) for number, line in enumerate(lines, 1) if line.strip()]
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} is not a readable file of JSON lines: {error}") from None


def doctor(
    encoders: Annotated[
        str | None, typer.Option(help="Look at these encoders instead of those of AVREC_ENCODERS: packaged, hub, …")
    ] = None,
    as_json: Json = False,
) -> None:
    """What is installed, which encoders and device are used, what is missing and the command that mends it."""
    from avrec_dag.encoders import registry
    from avrec_dag.encoders.doctor import findings
    from resources.profiles import Settings

    settings = Settings.from_env()
    preset = encoders or settings.encoders
    found = findings(preset, settings.speech)
    if as_json:
        output.show_json([{"name": one.name, "ok": one.ok, "detail": one.detail, "remedy": one.remedy} for one in found])
    else:
        rows = [["ok" if one.ok else "MISSING", one.name, one.detail, "" if one.ok else one.remedy] for one in found]
        output.show_table(["", "part", "found", "what to do"], rows)
    registry.preset(preset)  # encoders that cannot be used are a wrong setting: one sentence, and 2
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def sweep(
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without it they are only counted.")] = False,
    older_than_h: Annotated[float, typer.Option(min=0, help="Leave alone what is younger than so many hours.")] = 24.0,
    as_json: Json = False,
) -> None:
    """Find, and delete when told to, stored files that no row names any more."""
    from dataclasses import asdict

    from avrec_dag.cli.library import opened

    swept = asdict(opened().ledger.sweep(dry_run=not delete, older_than_s=older_than_h * 3600))
    if as_json:
        output.show_json({"deleted": delete, **swept})
    else:
        output.show_table(["", "deleted" if delete else "would be deleted"], [[name, value] for name, value in swept.items()])


def erase(
    media_id: Annotated[str | None, typer.Argument(help="An item of the library.")] = None,
    user: Annotated[str | None, typer.Option(help="A person, instead of an item.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase everything computed from one item and said of it, or everything one person did.

    The upload itself stays where it is, and so do the labels a person gave, without their name. Tables lose the name with the next
    `avrec materialize`.
    """
    from dataclasses import asdict

    from avrec_dag.cli.library import opened

    if (media_id is None) == (user is None):
        raise typer.BadParameter("name one MEDIA_ID, or one --user")
    library = opened()
    if media_id is not None and library.ledger.row("raw_media", media_id) is None:
        raise MissingError(f"{media_id!r} is not in the library; `avrec search` finds the ids")
    if not yes and not typer.confirm(f"Erase {media_id or user} for good?", err=True):
        raise typer.Exit(1)
    if media_id is not None:
        erased = {**asdict(library.ledger.erase(media_id)), "label_events": library.labels.remove_item(media_id)}
    else:
        erased = {"events": library.log.erase_user(user or ""), "label_events": library.labels.anonymise(user or "")}
    if as_json:
        output.show_json(erased)
    else:
        output.show_table(["", "erased"], [[name, value] for name, value in erased.items()])
