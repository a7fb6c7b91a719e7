"""Blobs that nothing names any more: found by listing, deleted when told to."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs as pafs

from avrec_dag.ledger.files import TableFiles
from avrec_dag.ledger.newest import live, only
from avrec_dag.schema import TABLES
from avrec_dag.storage import PARTIAL, Blobs, asked, filesystem, remove

NAMING = ("blob", "picture", "curve_picture")
"""Columns that hold the path of a blob or of a prefix of blobs."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What no row names.

    Attributes:
        prefixes: Versions of items whose blobs no newest live row names.
        files: Files in them, and files that a writer left half written.
        size_bytes: Their size.
        examples: The first few, as paths relative to the store.
    """

    prefixes: int
    files: int
    size_bytes: int
    examples: tuple[str, ...]


def sweep(uri: str, *, dry_run: bool, older_than_s: float) -> Swept:
    """Find what no newest live row names and is older than `older_than_s` seconds; delete it unless `dry_run`.

    Blobs are written before the row that names them, so the age protects what is being computed.
    """
    fs, root = filesystem(uri)
    before_ns = time.time_ns() - int(older_than_s * 1e9)
    doomed: dict[str, list[pafs.FileInfo]] = {}
    for table in _folders(fs, f"{root}/blobs"):
        listed = by_prefix(files_in(fs, f"{root}/blobs/{table}"), root)
        old = {prefix: files for prefix, files in listed.items() if all(f.mtime_ns < before_ns for f in files)}
        current = _current(uri, table) if old else set()  # read after the listing: a row written since then counts
        doomed |= {prefix: files for prefix, files in old.items() if prefix not in current}
    for prefix in named(uri) if doomed else ():
        doomed.pop(prefix, None)
    stray = [f for f in files_in(fs, f"{root}/tables") if f.path.endswith(PARTIAL) and f.mtime_ns < before_ns]
    files = [*(f for group in doomed.values() for f in group), *stray]
    if not dry_run:
        for prefix in doomed:
            delete_folder(fs, f"{root}/{prefix}", before_ns)
        for file in stray:
            remove(fs, file.path)
    return Swept(len(doomed), len(files), sum(f.size for f in files), tuple(sorted(doomed)[:10]))


def delete_folder(fs: pafs.FileSystem, path: str, before_ns: int | None = None) -> int:
    """Delete a folder of blobs and return how many files it held; left alone if any of them was written since `before_ns`."""
    files = list(files_in(fs, path))
    if not files or (before_ns is not None and any(f.mtime_ns >= before_ns for f in files)):
        return 0
    for file in files:
        remove(fs, file.path)
    if isinstance(fs, pafs.LocalFileSystem):  # on S3 a folder is no more than its files
        with suppress(FileNotFoundError):
            fs.delete_dir(path)
    return len(files)


def _current(uri: str, table: str) -> set[str]:
    """The prefixes that the good rows of one table have by key and version."""
    if table not in TABLES:
        return set()
    key, blobs = TABLES[table].key, Blobs(uri)
    return {blobs.prefix(table, row[key], row["version"]) for row in _good(uri, table, ["version"]).to_pylist()}


def named(uri: str) -> Iterator[str]:
    """The prefixes that good rows of any table name in a column."""
    for table, definition in TABLES.items():
        columns = [column for column in NAMING if column in definition.columns.names]
        for row in _good(uri, table, columns).to_pylist() if columns else ():
            yield from ("/".join(row[column].split("/")[:4]) for column in columns if row[column])


def _good(uri: str, table: str, columns: list[str]) -> pa.Table:
    files = TableFiles(uri, table)
    return only(live(files.read(None, [files.key, *columns, "status", "written_ns", "gone"]), files.key), "ok")


def by_prefix(files: Iterator[pafs.FileInfo], root: str) -> dict[str, list[pafs.FileInfo]]:
    """Prefix relative to the store (`blobs/<table>/<digest of key>/<version>`) -> its files."""
    grouped: dict[str, list[pafs.FileInfo]] = {}
    for file in files:
        grouped.setdefault("/".join(file.path.removeprefix(f"{root}/").split("/")[:4]), []).append(file)
    return grouped


def _folders(fs: pafs.FileSystem, path: str) -> list[str]:
    found = asked(fs, path, lambda: fs.get_file_info(pafs.FileSelector(path, allow_not_found=True)))
    return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)


def files_in(fs: pafs.FileSystem, path: str) -> Iterator[pafs.FileInfo]:
    """Every file below a folder."""
    selector = pafs.FileSelector(path, recursive=True, allow_not_found=True)
    return (info for info in asked(fs, path, lambda: fs.get_file_info(selector)) if info.type == pafs.FileType.File)
