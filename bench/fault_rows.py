"""The rows and blobs of one day, and whether those of a disturbed run are those of an undisturbed one (`bench/faults.py`)."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avrec_dag.ledger.files import TableFiles
from avrec_dag.ledger.sweeping import files_in
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs, filesystem

LEFT_OUT = ("run_id", "written_ns")
"""Columns that are other ones in every run: who wrote a row, and when."""
Row = dict[str, Any]
Day = Mapping[str, Sequence[Row]]


@dataclass
class Difference:
    """What the tables of a disturbed run have other than they should.

    Attributes:
        lost: Rows that are missing.
        duplicated: Rows stored once more than once, counted over all files, not as readers see them.
        differing: Rows with another value in some column or other bytes in some blob, and rows that should not be there.
        examples: Of these, in words.
    """

    lost: int = 0
    duplicated: int = 0
    differing: int = 0
    examples: list[str] = field(default_factory=list)


def read(uri: str, tables: Sequence[str]) -> dict[str, list[Row]]:
    """Table -> its stored rows without tombstones, each with the SHA-256 of every blob of its version, by name."""
    return {table: _rows(uri, table) for table in tables}


def _rows(uri: str, table: str) -> list[Row]:
    files = TableFiles(uri, table)
    rows = [row for row in files.read(None, files.schema.names).to_pylist() if not row["gone"]]
    digests = _digests(uri, table)
    return [{**row, "blobs": digests.get(Blobs(uri).prefix(table, row[files.key], row["version"]), {})} for row in rows]


def _digests(uri: str, table: str) -> dict[str, dict[str, str]]:
    """Prefix of one version of one item -> name -> SHA-256 of its bytes."""
    (fs, root), blobs = filesystem(uri), Blobs(uri)
    found: dict[str, dict[str, str]] = {}
    for file in files_in(fs, f"{root}/blobs/{table}"):
        path = file.path.removeprefix(f"{root}/")
        prefix, name = "/".join(path.split("/")[:4]), "/".join(path.split("/")[4:])
        found.setdefault(prefix, {})[name] = hashlib.sha256(blobs.get(path)).hexdigest()
    return found


def compare(expected: Day, found: Day) -> Difference:
    """Hold what was found to what an undisturbed run gave, which must have each row once.

    Raises:
        ValueError: The undisturbed run is no measure: it has a row twice.
    """
    told = Difference()
    for table, rows in expected.items():
        key = TABLES[table].key
        wanted = {row[key]: _compared(row) for row in rows}
        if len(wanted) != len(rows):
            raise ValueError(f"{table}: the undisturbed run has rows twice")
        stored = found.get(table, ())
        times = Counter(row[key] for row in stored)
        told.lost += (lost := len(wanted.keys() - times.keys()))
        told.duplicated += (twice := sum(n - 1 for n in times.values()))
        other = {row[key] for row in stored if _compared(row) != wanted.get(row[key])}
        told.differing += len(other)
        if lost or twice or other:
            told.examples.append(f"{table}: {lost} lost, {twice} twice, other: {_named(key, stored, wanted, other)}")
    return told


def _compared(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in LEFT_OUT}


def _named(key: str, stored: Sequence[Row], wanted: Mapping[str, Row], other: set[str]) -> str:
    """The first few rows that differ, and in which columns."""
    told = []
    for row in stored:
        if row[key] in other:
            should = wanted.get(row[key], {})
            columns = [name for name, value in _compared(row).items() if should.get(name) != value]
            told.append(f"{row[key]} in {', '.join(columns)} ({row['status']}: {row['error']})")
    return "; ".join(told[:3])
