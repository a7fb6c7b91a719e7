"""Erasing one item: its rows, its blobs, and its place in the lists of others."""

import json
from collections.abc import Collection
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from avrec_dag.errors import AvrecError
from avrec_dag.items import Row
from avrec_dag.ledger.files import TableFiles, now_ns
from avrec_dag.ledger.newest import live
from avrec_dag.ledger.records import records
from avrec_dag.ledger.sweeping import delete_folder, files_in
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs, filesystem

_ALONE = {"canonical": None, "group_id": None, "kind": "unique", "similarity": None, "evidence": None}
_ROUNDS = 5
"""A compaction at work elsewhere may bring old rows back under a new name; so often they are removed again."""


@dataclass(frozen=True, slots=True)
class Erased:
    """Proof of an erasure, counted after everything was read again.

    Attributes:
        media_id: What was erased.
        rows: Table -> rows about the item that left its files, old ones included.
        lists: Table -> rows of others that named the item and were rewritten without it.
        blobs: Files deleted.
        left: Rows that still name the item: 0.
        rebuild: Tables whose stored model names the item until their next run makes it anew; `sweep` then deletes the old one.
    """

    media_id: str
    rows: dict[str, int]
    lists: dict[str, int]
    blobs: int
    left: int
    rebuild: tuple[str, ...]


def erase(uri: str, media_id: str) -> Erased:
    """Remove everything stored about one item, old rows included.

    Rows keyed by the item and events about it leave the files; what stays for seven days is their tombstone, that is, the
    bare key, without which a writer still at work could bring the item back. Lists of other rows are rewritten without it.
    The upload and the feedback log are not touched: while the upload is there, the next ingest takes it in again.

    Raises:
        AvrecError: Rows about the item kept appearing while it was erased.
    """
    names = _names(uri, media_id)
    every = [TableFiles(uri, table) for table in TABLES]
    rows = {files.table: _forget(files, media_id) for files in every if "media_id" in files.schema.names}
    lists = {files.table: _rewrite(files, media_id, names) for files in every if "media_ids" in files.schema.names}
    fs, root = filesystem(uri)
    blobs = sum(delete_folder(fs, f"{root}/{Blobs(uri).home(table, media_id)}") for table in TABLES)
    left = sum(_pointing(files, media_id).num_rows for files in every if files.table in rows)
    left += sum(_naming(files, media_id, names).num_rows for files in every if files.table in lists)
    if left:
        raise AvrecError(f"{media_id!r}: {left} rows about it appeared meanwhile; stop the run that works on it, then erase it again")
    return Erased(media_id, _counted(rows), _counted(lists), blobs, left, tuple(_models_naming(every, media_id)))


def _counted(counts: dict[str, int]) -> dict[str, int]:
    return {table: n for table, n in counts.items() if n}


def _names(uri: str, media_id: str) -> list[str]:
    """What the reasons of other items may call this one: its id, or its title in quotes."""
    files = TableFiles(uri, "raw_media")
    stored = files.read(None, [files.key, "title"], ds.field(files.key) == media_id)
    return [media_id, *(f"“{title}”" for title in stored["title"].unique().to_pylist() if title)]


def _pointing(files: TableFiles, media_id: str) -> pa.Table:
    """Stored rows keyed by the item or about it, old ones included, tombstones not."""
    return files.read(None, [files.key], (ds.field("media_id") == media_id) & ~ds.field("gone"))


def _forget(files: TableFiles, media_id: str) -> int:
    removed = 0
    for _ in range(_ROUNDS):
        found = _pointing(files, media_id)
        for partition in found["partition"].unique().to_pylist():
            keys = found.filter(ds.field("partition") == partition)[files.key].unique().to_pylist()
            files.add(partition, records(files, [Row(key, "") for key in keys], "erase", gone=True)[0])
            files.compact(partition, keys)
        if not found.num_rows:
            break
        removed = removed or found.num_rows
    return removed


def _naming(files: TableFiles, media_id: str, names: Collection[str]) -> pa.Table:
    """Stored rows whose lists hold the item or whose reasons mention it, old ones included, tombstones not."""
    reasons = ["reasons"] if "reasons" in files.schema.names else []
    stored = files.read(None, [files.key, "media_ids", *reasons], ~ds.field("gone"))
    lists = stored.append_column("at_row", pa.array(np.arange(stored.num_rows)))
    mentioned = "OR len(list_filter(reasons, lambda r: len(list_filter($names, lambda n: contains(r, n))) > 0)) > 0" if reasons else ""
    with duckdb.connect() as con:
        con.register("lists", lists)
        params = {"media_id": media_id, **({"names": list(names)} if reasons else {})}
        hits = con.execute(f"SELECT at_row FROM lists WHERE list_contains(media_ids, $media_id) {mentioned}", params).fetchnumpy()
    return stored.take(pa.array(np.asarray(hits["at_row"], np.int64)))


def _rewrite(files: TableFiles, media_id: str, names: Collection[str]) -> int:
    rewritten = 0
    for _ in range(_ROUNDS):
        found = _naming(files, media_id, names)
        for partition in found["partition"].unique().to_pylist():
            keys = found.filter(ds.field("partition") == partition)[files.key].unique()
            current = live(files.read(partition, files.schema.names, ds.field(files.key).isin(keys)), files.key)
            rows = [_without(row, media_id, names) for row in current.drop_columns("partition").to_pylist()]
            files.add(partition, pa.Table.from_pylist([{**row, "written_ns": now_ns()} for row in rows], files.schema))
            files.compact(partition, [])
        if not found.num_rows:
            break
        rewritten = rewritten or len(found[files.key].unique())
    return rewritten


def _without(row: dict[str, object], media_id: str, names: Collection[str]) -> dict[str, object]:
    """The row with the item taken out of its lists, which run side by side, and out of what its reasons say."""
    ids = row["media_ids"]
    if not isinstance(ids, list):
        return row
    keep = [i for i, one in enumerate(ids) if one != media_id]
    beside = {name: value for name, value in row.items() if name != "fields" and isinstance(value, list) and len(value) == len(ids)}
    kept = {name: [value[i] for i in keep] for name, value in beside.items()}
    if "reasons" in kept:
        kept["reasons"] = ["" if any(name in reason for name in names) else reason for reason in kept["reasons"]]
    # A group of copies is not named after an item that is gone; the next run finds the group another one.
    alone = _ALONE if row.get("canonical") == media_id else {}
    return {**row, **kept, **alone}


def _models_naming(every: Collection[TableFiles], media_id: str) -> list[str]:
    """Tables whose stored model has the item in one of its files."""
    needles = [json.dumps(media_id, ensure_ascii=ascii_only).encode() for ascii_only in (True, False)]
    naming = []
    for files in every:
        if files.key == "media_id" or "blob" not in files.schema.names:
            continue
        rows = live(files.read(None, [files.key, "blob", "written_ns", "gone"]), files.key)
        fs, root = filesystem(files.uri)
        for prefix in filter(None, rows["blob"].to_pylist()):
            contents = (fs.open_input_file(info.path).readall() for info in files_in(fs, f"{root}/{prefix}"))
            if any(needle in content for content in contents for needle in needles):
                naming.append(files.table)
    return naming
