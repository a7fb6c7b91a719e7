"""Erasing an item or a person: what is about them, their blobs, their place in the rows of others; found before, looked for after."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from avrec_dag.items import Row
from avrec_dag.ledger.files import TableFiles, now_ns
from avrec_dag.ledger.newest import live
from avrec_dag.ledger.records import records
from avrec_dag.ledger.subjects import Subject
from avrec_dag.ledger.sweeping import by_prefix, delete_folder, files_in, named
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs, filesystem

_ROUNDS = 5
"""A compaction at work elsewhere may bring old rows back under a new name; so often they are removed again."""
_PIECE = 1 << 24
_TEXTS = (pa.string(), pa.list_(pa.string()))
_PEOPLE_IN = ("label_corrections", "labels", "moderation_decisions")


def item(uri: str, media_id: str) -> Subject:
    """An item with every title that the store knows of it, by which the reasons of others may call it."""
    files = TableFiles(uri, "raw_media")
    own = ds.field(files.key) == media_id
    titles = tuple(title for title in files.read(None, ["title"], own)["title"].unique().to_pylist() if title)
    others = files.read(None, ["title"], ~own & ds.field("title").isin(pa.array(titles, pa.string())))["title"]
    return Subject("item", media_id, titles, frozenset(others.to_pylist()))


def find(uri: str, subject: Subject) -> dict[str, int]:
    """Place -> how many stored rows or files there are about it or name it, old rows and tombstones included; reads everything anew."""
    subject, found = subject.sure, dict[str, int]()
    for table in TABLES:
        files = TableFiles(uri, table)
        if (own := _about(files, subject)) is not None:
            found[f"table {table}"] = files.read(None, [files.key], own & ~ds.field("gone")).num_rows
        elif table in _searched(subject):
            found[f"table {table}"] = sum(len(rows) for _, rows in _naming(files, subject))
        if files.key == subject.column:
            gone = files.read(None, [files.key], (ds.field(files.key) == subject.key) & ds.field("gone"))
            found["bare keys of removed rows"] = found.get("bare keys of removed rows", 0) + gone.num_rows
        if table == "duplicates" and subject.kind == "item":
            found[f"table {table}"] += sum(len(rows) for _, rows in _naming(files, subject))
    fs, root = filesystem(uri)
    for table in TABLES if subject.kind == "item" else ():
        found[f"files of {table}"] = len(list(files_in(fs, f"{root}/{Blobs(uri).home(table, subject.key)}")))
    for table, prefixes in _models(uri, subject).items():
        found[f"model of {table}"] = sum(prefixes.values())
    return {place: n for place, n in found.items() if n}


def erase(uri: str, subject: Subject, *, keep_keys: bool = False) -> None:
    """Remove everything stored about an item or a person, old rows included, and their name from the rows of others.

    Models that serve are left: their next fit does without, and `delete_outdated` deletes what it replaces.

    Args:
        uri: The store.
        subject: Who or what.
        keep_keys: Leave tombstones, that is, the bare keys, for seven days, without which a writer at work could bring rows back.
    """
    for table in _searched(subject):
        _rewrite(TableFiles(uri, table), subject)
    for table in TABLES:
        files = TableFiles(uri, table)
        if (own := _about(files, subject)) is not None:
            _forget(files, own, keep_keys)
    fs, root = filesystem(uri)
    for table in TABLES if subject.kind == "item" else ():
        delete_folder(fs, f"{root}/{Blobs(uri).home(table, subject.key)}")
    delete_outdated(uri, subject)


def delete_outdated(uri: str, subject: Subject) -> None:
    """Delete the model files that name it and that no row names any more, however young."""
    fs, root = filesystem(uri)
    serving = set(named(uri))
    for prefixes in _models(uri, subject).values():
        for prefix in prefixes:
            if prefix not in serving:
                delete_folder(fs, f"{root}/{prefix}")


def _about(files: TableFiles, subject: Subject) -> ds.Expression | None:
    """Which rows are about it; None where no row can be."""
    if subject.column not in files.schema.names:
        return None
    return ds.field(subject.column) == subject.key


def _searched(subject: Subject) -> list[str]:
    """The tables whose rows are about others and may name it; those of people's own words are theirs."""
    others = [name for name, table in TABLES.items() if table.key != "media_id" and "media_id" not in table.columns.names]
    if subject.kind == "item":
        return [*others, "duplicates"]
    return [*(name for name in others if "user_id" not in (TABLES[name].key, *TABLES[name].columns.names)), *_PEOPLE_IN]


def _forget(files: TableFiles, own: ds.Expression, keep_keys: bool) -> None:
    for _ in range(_ROUNDS):
        found = files.read(None, [files.key, "gone"], own)
        found = found.filter(~ds.field("gone")) if keep_keys else found
        if not found.num_rows:
            return
        for partition in found["partition"].unique().to_pylist():
            keys = found.filter(ds.field("partition") == partition)[files.key].unique().to_pylist()
            files.add(partition, records(files, [Row(key, "") for key in keys], "erase", gone=True)[0])
            files.compact(partition, keys, bare=not keep_keys)


def _naming(files: TableFiles, subject: Subject) -> Iterator[tuple[str, list[dict]]]:
    """Partition -> stored rows about others that name it, old ones included, tombstones not."""
    columns = [name for name in files.schema.names if files.schema.field(name).type in _TEXTS and name != "run_id"]
    stored = files.read(None, columns, ~ds.field("gone"))
    hit = np.zeros(stored.num_rows, bool)
    for name in columns:
        hit |= _holding(stored[name].combine_chunks(), subject.needles)
    for partition in stored["partition"].filter(pa.array(hit)).unique().to_pylist():
        rows = stored.filter(pa.array(hit)).filter(ds.field("partition") == partition).drop_columns("partition").to_pylist()
        rows = [row for row in rows if row.get("media_id") != subject.key and subject.without(files.table, row) != row]
        if rows:
            yield partition, rows


def _holding(column: pa.Array, needles: tuple[str, ...]) -> np.ndarray:
    """(rows,) bool: whether a text of the row holds one of the needles."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    hit = np.zeros(len(column), bool)
    nested = pa.types.is_list(column.type)
    texts = pc.call_function("list_flatten", [column]) if nested else column
    rows = np.asarray(pc.call_function("list_parent_indices", [column])) if nested else np.arange(len(column))
    for needle in needles:
        match = pc.call_function("match_substring", [texts], pc.MatchSubstringOptions(needle)).fill_null(False)
        hit[rows[np.asarray(match, dtype=bool)]] = True
    return hit


def _rewrite(files: TableFiles, subject: Subject) -> None:
    for _ in range(_ROUNDS):
        found = list(_naming(files, subject))
        if not found:
            return
        for partition, named_rows in found:
            keys = pa.array({row[files.key] for row in named_rows}, pa.string())
            current = live(files.read(partition, files.schema.names, ds.field(files.key).isin(keys)), files.key)
            rows = [subject.without(files.table, row) for row in current.drop_columns("partition").to_pylist()]
            files.add(partition, pa.Table.from_pylist([{**row, "written_ns": now_ns()} for row in rows], files.schema))
            files.compact(partition, [])


def _models(uri: str, subject: Subject) -> dict[str, dict[str, int]]:
    """Table -> prefix of blobs -> files below it that name it, of tables whose rows are no items."""
    fs, root = filesystem(uri)
    found: dict[str, dict[str, int]] = {}
    for table in (name for name, one in TABLES.items() if one.key != "media_id"):
        for prefix, infos in by_prefix(files_in(fs, f"{root}/blobs/{table}"), root).items():
            if n := sum(_holds(fs, info.path, subject.in_files) for info in infos):
                found.setdefault(table, {})[prefix] = n
    return found


def _holds(fs: pafs.FileSystem, path: str, needles: tuple[bytes, ...]) -> bool:
    """Whether a file holds one of the needles; read in pieces that overlap."""
    overlap, before = max(map(len, needles)), b""
    try:
        with fs.open_input_stream(path) as file:
            while piece := file.read(_PIECE):
                if any(needle in before + piece for needle in needles):
                    return True
                before = piece[-overlap:]
    except FileNotFoundError:
        return False  # somebody else was faster
    return False
