"""Files of events: JSON lines or CSV, read line by line; what cannot be used is named by its line and costs nothing else."""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from avrec_dag.errors import SettingError
from avrec_dag.feedback.events import Event

LONGEST_LINE = 100_000
"""Characters; a longer line is no event."""
_COLUMNS = {"user_id", "kind"}


def read_events(file: Path) -> Iterator[tuple[int, Event | str]]:
    """Every line that is not empty with its number, counted from 1: the event, or why there is none.

    Args:
        file: Ends with .csv (its first line names the columns), else it holds one JSON object a line, with the attributes of `Event`;
            without happened_at, now.

    Raises:
        SettingError: The file cannot be opened, is no UTF-8, or the first line of a CSV does not name the columns.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            yield from _csv(file, opened) if file.suffix.lower() == ".csv" else _json_lines(opened)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{file} cannot be read as UTF-8 text ({error})") from None


def event_of(record: object) -> Event | str:
    """The event that a record tells, or why it tells none."""
    if not isinstance(record, Mapping):
        return f"must be an object {{...}}, not a {type(record).__name__}"
    try:
        return Event.model_validate({"happened_at": datetime.now(UTC), **record})
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'event'}: {first['msg'].removeprefix('Value error, ')}"


def _json_lines(opened: TextIO) -> Iterator[tuple[int, Event | str]]:
    for number, line in enumerate(_lines(opened), 1):
        if line is None:
            yield number, f"is longer than {LONGEST_LINE} characters"
        elif line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"is no JSON ({str(error)[:100]})"
            else:
                yield number, event_of(record)


def _lines(opened: TextIO) -> Iterator[str | None]:
    """Lines; None for one that is too long, of which no more than a piece is in memory."""
    while line := opened.readline(LONGEST_LINE + 1):
        whole = line.endswith("\n") or len(line) <= LONGEST_LINE
        piece = line
        while piece and not piece.endswith("\n") and not whole:
            piece = opened.readline(LONGEST_LINE)
        yield line if whole else None


def _csv(file: Path, opened: TextIO) -> Iterator[tuple[int, Event | str]]:
    reader = csv.DictReader(opened)
    if not set(reader.fieldnames or ()) >= _COLUMNS:
        raise SettingError(f"{file}: its first line must name the columns user_id and kind, and media_id, found {reader.fieldnames}")
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"is no CSV ({error})"
            continue
        if None in row or None in row.values():
            yield reader.line_num, "has not as many columns as the first line"
        else:
            yield reader.line_num, event_of({name: value for name, value in row.items() if value != ""})
