"""Files of corrections: JSON lines or CSV, read whole before anything is kept."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from avrec_dag.errors import SettingError
from avrec_dag.labelling.events import Correction

LARGEST_BYTES = 64_000_000
_SEPARATOR = ";"


def read_corrections(file: Path, by: str) -> list[Correction]:
    """The corrections of a file: one item a line, with `media_id`, `labels` (or `label`) and perhaps `by` and `at`.

    `labels` is a list, or one text with semicolons; empty says: none of the classes. Equal lines count once.

    Args:
        file: Ends with .csv, else it holds one JSON object a line.
        by: Who says so, where a line names nobody.

    Raises:
        SettingError: A line cannot be used, or two say different things of one item; nothing of the file should then be kept.
    """
    found: dict[str, tuple[int, Correction]] = {}
    for line, record in _records(file):
        correction = _correction(record, by, f"{file}:{line}")
        before = found.setdefault(correction.media_id, (line, correction))
        if before[1] != correction:
            one, other = (", ".join(labels) or "none of the classes" for labels in (before[1].labels, correction.labels))
            raise SettingError(
                f"{file}: line {before[0]} says that {correction.media_id!r} is {one}, line {line} that it is {other}"
                f"{'' if one != other else ' (by another person or at another time)'}: keep one of them; nothing was added"
            )
    return [correction for _, correction in found.values()]


def _correction(record: Mapping[str, object], by: str, where: str) -> Correction:
    given = {name: value for name, value in record.items() if value is not None and (value != "" or name in {"label", "labels"})}
    if "label" in given and "labels" in given:
        raise SettingError(f"{where}: has both label and labels: keep one of them; nothing was added")
    labels = given.pop("label", None) if "label" in given else given.pop("labels", None)
    if labels is None:
        raise SettingError(f"{where}: has no labels; an empty list says that the item is of none of the classes; nothing was added")
    if isinstance(labels, str):
        labels = labels.split(_SEPARATOR) if labels.strip() else []
    try:
        return Correction.model_validate({"by": by, **given, "labels": labels})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "line"
        raise SettingError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}; nothing was added") from None


def _records(file: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise SettingError(f"{file} is larger than {LARGEST_BYTES} bytes: send it in parts; nothing was added")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{file} cannot be read as UTF-8 text ({error}); nothing was added") from None
    yield from _csv(file, text) if file.suffix.lower() == ".csv" else _json_lines(file, text)


def _csv(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not {"media_id"} <= set(reader.fieldnames or ()) or not {"label", "labels"} & set(reader.fieldnames or ()):
        raise SettingError(
            f"{file}: its first line must name the columns media_id and labels, found {reader.fieldnames}; nothing was added"
        )
    try:
        for row in reader:
            if None in row or None in row.values():
                raise SettingError(f"{file}:{reader.line_num}: has not as many columns as the first line; nothing was added")
            yield reader.line_num, row
    except csv.Error as error:
        raise SettingError(f"{file}:{reader.line_num}: is no CSV ({error}); nothing was added") from None


def _json_lines(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SettingError(f"{file}:{number}: is no JSON ({str(error)[:100]}); nothing was added") from None
        if not isinstance(record, dict):
            raise SettingError(f"{file}:{number}: must be an object {{...}}, not a {type(record).__name__}; nothing was added")
        yield number, record
