"""Files of interactions as others keep them, read line by line: what cannot be read is named by its line and counted."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from avrec_dag.errors import SettingError
from avrec_dag.recommend.evaluation.events import BrokenLineError, Events, Found, Reading, assembled

Format = Literal["sequences", "inter"]
MAX_LINE_BYTES = 1 << 28
"""A longer line is broken: it is skipped, never held. Ten million events of one user fit."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK": "zip", b"BZ": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz"}


def read(path: Path, form: Format) -> Reading:
    """Read a file of interactions in memory that grows with its events and ids, not with its lines.

    Args:
        path: The file, UTF-8, with or without a byte order mark.
        form: `sequences`: a line per user, `user item item ...` in time order; a user on several lines goes on where the one before
            ended. `inter`: tab-separated with a header that names user_id, item_id and perhaps rating and timestamp (UNIX time;
            milliseconds and finer are recognised by their size), each with or without a suffix as `:token`. Lines may be in any order;
            of equal times the order of lines decides.

    Raises:
        SettingError: The file is missing, of another kind, or holds no interaction that can be read.
    """
    found, events = Found(), Events()
    try:
        with path.open("rb") as stream:
            _check_kind(path, stream, form)
            columns = (_sequences if form == "sequences" else _inter)(path, stream, events, found)
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}; name a file of interactions") from None
    if not events.columns:
        raise SettingError(f"{path} holds no interaction that can be read as {form}{_first_broken(found)}")
    return assembled(events, found, columns)


def _check_kind(path: Path, stream: BinaryIO, form: Format) -> None:
    start = stream.read(4096)
    kind = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)
    if kind:
        raise SettingError(f"{path} is compressed ({kind}); unpack it first")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SettingError(f"{path} is UTF-16; save it as UTF-8")
    stream.seek(3 if start.startswith(b"\xef\xbb\xbf") else 0)
    first = start.split(b"\n", 1)[0]
    if form == "sequences" and b"user_id" in first and b"item_id" in first:
        raise SettingError(f"{path} begins with a header of columns; read it with --format inter")


def _first_broken(found: Found) -> str:
    if not found.named:
        return ": it is empty"
    line, reason = found.named[0]
    return f": of {found.lines} lines {found.broken} are broken, the first is line {line} ({reason})"


def _lines(stream: BinaryIO, found: Found) -> Iterator[tuple[int, bytes]]:
    """Number and content of every line that is not blank; one that is too long is noted and skipped piece by piece."""
    while line := stream.readline(MAX_LINE_BYTES):
        found.lines += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            found.broke(found.lines, f"longer than {MAX_LINE_BYTES} bytes")
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        elif line.isspace():
            found.counts["blank_lines"] += 1
        else:
            yield found.lines, line


def _sequences(path: Path, stream: BinaryIO, events: Events, found: Found) -> frozenset[str]:
    del path
    for number, line in _lines(stream, found):
        user, *items = line.split()
        try:
            if not items:
                raise BrokenLineError("a user without items")
            known = len(events.users)
            columns = [events.items[item] for item in items]
            row = events.users[user]
        except BrokenLineError as error:
            found.broke(number, str(error))
            continue
        found.counts["repeated_users"] += row < known
        events.columns.extend(columns)
        events.rows.extend([row] * len(columns))
    return frozenset()


def _inter(path: Path, stream: BinaryIO, events: Events, found: Found) -> frozenset[str]:
    _, header = next(_lines(stream, found), (1, b""))
    names = [name.strip().split(b":")[0].decode(errors="replace") for name in header.rstrip(b"\r\n").split(b"\t")]
    missing = [name for name in ("user_id", "item_id") if names.count(name) != 1]
    if missing:
        shown = ", ".join(name[:40] for name in names[:8])
        raise SettingError(f"{path}: the first line must name the tab-separated columns user_id and item_id once each; it names {shown!r}")
    place = {name: names.index(name) for name in ("user_id", "item_id", "rating", "timestamp") if name in names}
    parse = _parser(place, len(names), events)
    for number, line in _lines(stream, found):
        try:
            parse(line.rstrip(b"\r\n").split(b"\t"))
        except BrokenLineError as error:
            found.broke(number, str(error), _excerpt(line))
    return frozenset(place)


def _excerpt(line: bytes) -> str:
    return line[:60].decode(errors="replace").strip()


def _parser(place: Mapping[str, int], width: int, events: Events) -> Callable[[list[bytes]], None]:
    """What reads the fields of one line into `events`; nothing of a broken line stays."""
    at_user, at_item, at_rating, at_time = (place.get(name, -1) for name in ("user_id", "item_id", "rating", "timestamp"))

    def parse(fields: list[bytes]) -> None:
        if len(fields) != width:
            raise BrokenLineError(f"not {width} tab-separated fields")
        rating = _number(fields[at_rating], "rating") if at_rating >= 0 else 0.0
        at_s = _number(fields[at_time], "timestamp") if at_time >= 0 else 0.0
        row, column = events.users[fields[at_user]], events.items[fields[at_item]]
        events.rows.append(row)
        events.columns.append(column)
        events.ratings.append(rating)
        events.at_s.append(at_s)

    return parse


def _number(text: bytes, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BrokenLineError(f"the {name} is no number") from None
    # Python reads 1_000 as a thousand; nothing else does.
    if not -1e30 < value < 1e30 or b"_" in text:
        raise BrokenLineError(f"the {name} is no finite number")
    return value
