"""From computed rows to the columns of a file."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from avrec_dag.items import Row
from avrec_dag.ledger.files import TableFiles, now_ns
from avrec_dag.schema import TABLES

MAX_ATTEMPTS = 3
"""How often one version of an item is tried. A permanent failure is stored as the last attempt."""
_ERROR_CHARS = 2_000
log = logging.getLogger("avrec")


def records(files: TableFiles, rows: Sequence[Row], run_id: str, *, gone: bool = False) -> tuple[pa.Table, int]:
    """Rows in the file's columns, and how many of the good ones had to become failed rows.

    Values come from uploads: text that is no Unicode or a number out of range costs its own row, not the batch.

    Raises:
        ValueError: A row has a column that the table does not have.
    """
    known = set(TABLES[files.table].columns.names)
    for row in rows:
        if unknown := row.values.keys() - known:
            raise ValueError(f"{files.table} has no column {', '.join(sorted(unknown))}; its columns are in schema.py")
    written = now_ns()
    try:
        return pa.Table.from_pylist([_record(files, row, run_id, written, gone) for row in rows], files.schema), 0
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError):
        good = [_storable(files, row) for row in rows]
    refused = sum(before.error is None and after.error is not None for before, after in zip(rows, good, strict=True))
    return pa.Table.from_pylist([_record(files, row, run_id, written, gone) for row in good], files.schema), refused


def _storable(files: TableFiles, row: Row) -> Row:
    try:
        pa.Table.from_pylist([_record(files, row, "", 0, False)], files.schema)
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError) as error:
        log.warning("%s: %r cannot be stored: %s", files.table, row.key, error)
        return replace(row, fields={}, values={}, error=f"cannot be stored: {error}", permanent=True)
    return row


def _record(files: TableFiles, row: Row, run_id: str, written_ns: int, gone: bool) -> dict[str, object]:
    failed = row.error is not None
    return {
        files.key: row.key,
        "version": row.version,
        "fields": [] if failed else list(row.fields.items()),
        "status": "failed" if failed else "ok",
        "error": row.error[:_ERROR_CHARS].encode(errors="replace").decode() if row.error is not None else None,
        "attempts": MAX_ATTEMPTS if row.permanent else row.attempts + 1,
        "run_id": run_id,
        "written_ns": written_ns,
        "gone": gone,
        **row.values,
    }
