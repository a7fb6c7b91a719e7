"""What people wrote about an upload: `NAME.json` beside it, or a line of its folder's `metadata.jsonl` or `metadata.csv`.

A broken sidecar never costs the item: what can be read is kept, and a warning says what was wrong and where.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

MAX_BYTES = 1_000_000
MAX_FOLDER_BYTES = 64_000_000
MAX_TITLE, MAX_DESCRIPTION, MAX_LIST, MAX_WORD = 500, 20_000, 100, 100
_MAX_WARNINGS = 20

SIDECAR_SUFFIX = ".json"
FOLDER_FILES = ("metadata.jsonl", "metadata.csv")


class _Truncated(ValueError):
    """A value that is kept, but shorter."""


def _words(value: Any) -> tuple[str, ...]:
    """A list of short texts; one text with commas or semicolons is taken for a list."""
    if isinstance(value, str):
        value = value.replace(";", ",").replace("、", ",").replace(",", ",").split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(word, str | int | float) for word in value):
        raise ValueError("must be a list of texts")
    words = dict.fromkeys(_text(str(word)) for word in value)
    return tuple(word for word in words if word)


def _text(value: str) -> str:
    """`value` without what no text column holds: lone surrogates, control characters, space at the ends."""
    clean = value.encode("utf-8", "replace").decode()
    return "".join(c for c in clean if c.isprintable() or c in "\n\t").strip()


def _line(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("must be a text")
    return _text(str(value)) or None


Line = Annotated[str | None, BeforeValidator(_line)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Metadata(BaseModel):
    """What people wrote about one upload; unknown keys are ignored.

    Attributes:
        title: At most 500 characters.
        description: At most 20,000 characters.
        tags: At most 100 texts of 100 characters.
        labels: The classes an expert gave it; the limits of tags.
        creator: Who made it.
        language: Of title and description, e.g. en or zh.
        published_at: When, as written.
        source: The recording it was cut from; items of one source are never split between training and test.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: Line = None
    description: Line = None
    tags: Words = ()
    labels: Words = ()
    creator: Line = None
    language: Line = None
    published_at: Line = None
    source: Line = None


_LIMITS: dict[str, int] = dict.fromkeys(Metadata.model_fields, MAX_TITLE) | {"description": MAX_DESCRIPTION}


@dataclass(frozen=True, slots=True)
class Parsed:
    """The metadata of one upload and what was wrong with its sidecars."""

    metadata: Metadata
    warnings: tuple[str, ...] = ()


def parse(written: Mapping[str, object], where: str) -> Parsed:
    """Check what was written, key by key: a wrong key is dropped and warned of, the others are kept.

    Args:
        written: Keys as uploaded.
        where: The sidecar's name, for warnings.
    """
    warnings: list[str] = []
    known = {key: value for key, value in written.items() if key in Metadata.model_fields and value is not None}
    try:
        metadata = Metadata.model_validate(known)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            key = str(problem["loc"][0])
            if known.pop(key, None) is not None:
                warnings.append(f"{where}: {key} {problem['msg'].removeprefix('Value error, ')}; it is left out")
        metadata = Metadata.model_validate(known)
    capped = {}
    for key in Metadata.model_fields:
        value = getattr(metadata, key)
        capped[key] = _capped_words(value) if isinstance(value, tuple) else value and value[: _LIMITS[key]]
        if capped[key] != value:
            limit = f"{MAX_LIST} texts of {MAX_WORD} characters" if isinstance(value, tuple) else f"{_LIMITS[key]} characters"
            warnings.append(f"{where}: {key} is longer than {limit}; it is cut")
    return Parsed(metadata.model_copy(update=capped), tuple(warnings[:_MAX_WARNINGS]))


def _capped_words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word[:MAX_WORD] for word in words[:MAX_LIST])


def read_json(data: bytes, where: str) -> tuple[dict[str, object], list[str]]:
    """The object of a `NAME.json`, or nothing and a warning."""
    if len(data) > MAX_BYTES:
        return {}, [f"{where}: is larger than {MAX_BYTES} bytes; it is ignored"]
    try:
        written = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return {}, [f"{where}: is not UTF-8 at byte {error.start}; it is ignored"]
    except json.JSONDecodeError as error:
        return {}, [f"{where}: is not JSON at line {error.lineno}, column {error.colno} ({error.msg}); it is ignored"]
    except (RecursionError, ValueError) as error:
        return {}, [f"{where}: cannot be read as JSON ({str(error)[:100] or type(error).__name__}); it is ignored"]
    if not isinstance(written, dict):
        return {}, [f"{where}: must hold one object {{...}}, not a {type(written).__name__}; it is ignored"]
    return written, []


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A folder's metadata file: what it says by file name, and the lines that say nothing."""

    records: Mapping[str, Mapping[str, object]]
    warnings: tuple[str, ...] = ()


def read_folder_file(data: bytes, where: str) -> FolderFile:
    """Read a `metadata.jsonl` or `metadata.csv`; each line names its upload, relative to its folder, in the column `file` (or `file_name`).

    Args:
        data: The whole file.
        where: Its name, which also decides the format, and which warnings carry.
    """
    if len(data) > MAX_FOLDER_BYTES:
        return FolderFile({}, (f"{where}: is larger than {MAX_FOLDER_BYTES} bytes; it is ignored",))
    text = data.decode("utf-8-sig", "replace")
    lines = _csv_lines(text) if where.endswith(".csv") else _json_lines(text)
    records: dict[str, Mapping[str, object]] = {}
    warnings: list[str] = []
    for number, record in lines:
        if isinstance(record, str):
            warnings.append(f"{where}: line {number} {record}; it is ignored")
            continue
        name = record.get("file") or record.get("file_name")
        if isinstance(name, str) and name:
            records[name.removeprefix("./")] = record
        else:
            warnings.append(f'{where}: line {number} names no upload in "file"; it is ignored')
    return FolderFile(records, tuple(warnings[:_MAX_WARNINGS]))


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, object] | str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            record, problems = read_json(line.encode("utf-8", "replace"), "")
            yield (
                number,
                "cannot be read" + problems[0].partition(":")[2].replace(" is not JSON", ": not JSON").removesuffix("; it is ignored")
                if problems
                else record,
            )


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, object] | str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="")
    try:
        for row in reader:
            yield reader.line_num, {key: value for key, value in row.items() if key and value not in (None, "")}
    except csv.Error as error:
        yield reader.line_num, f"cannot be read as CSV ({error}), nor can what follows"
