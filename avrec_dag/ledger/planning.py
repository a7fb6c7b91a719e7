"""Which items of a step are new, changed or gone, from the newest rows of the step and of its parents."""

import atexit
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

import duckdb
import pyarrow as pa

from avrec_dag.items import Item
from avrec_dag.ledger.records import MAX_ATTEMPTS
from avrec_dag.schema import TABLES
from avrec_dag.steps import Step

PLANNED = ("version", "fields", "status", "attempts", "written_ns", "gone")
"""All that is read of a table to know what is left to do, besides its key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to do for one partition.

    Attributes:
        todo: Items to compute, without their parents' columns.
        gone: Keys whose row has no item any more.
        stale: How many of `todo` have an older good row that readers are served meanwhile.
    """

    todo: list[Item]
    gone: list[str]
    stale: int = 0


@dataclass(frozen=True)
class Expected:
    """The (key, version) that every item should have: SQL over registered tables, or a table itself."""

    sql: str
    tables: Mapping[str, pa.Table]


NOTHING = Expected("SELECT '' AS key, '' AS version WHERE false", {})


def members(step: Step) -> tuple[list[str], list[str]]:
    """The parents an item must have and those it may have, by the parents' own keys.

    A parent that only orders (no fields) is left out, but for the first that an item must have: it says which items there are.

    Raises:
        ValueError: The step's items are none of its parents' items, so only its own code knows what it should hold.
    """
    key = TABLES[step.name].key
    same = [parent for parent in step.needs if TABLES[parent].key == key]
    orders = [parent for parent in same if not step.needs[parent] and parent not in step.optional]
    must = [parent for parent in same if (step.needs[parent] or parent in orders[:1]) and parent not in step.optional]
    may = [parent for parent in same if step.needs[parent] and parent in step.optional]
    if not any(step.needs[parent] for parent in (*must, *may)):
        raise ValueError(f"{step.name}: no needed field of a parent is keyed by {key!r}; plan it with Ledger.wanted")
    return must, may


def expected(step: Step, good: Callable[[str], pa.Table], models: Mapping[str, str]) -> Expected:
    """What every item of a step should have, from its parents.

    A version is the first 32 hex digits of the SHA-256 over the lines `step@code`, `model=version` of each model and
    `parent.field=hash` of each needed field that the item has. Of the fields of one parent that an item must have, and of
    all fields together, at least one has to be there.

    Args:
        step: The step.
        good: Parent -> its good rows, with key and fields.
        models: Whole-library parent -> its current version.
    """
    must, may = members(step)
    key = f'"{TABLES[step.name].key}"'
    lines = [_text(f"{step.name}@{step.code}"), *(_text(f"{name}={version}") for name, version in models.items())]
    conditions, present = ["true"], []
    for i, parent in enumerate([*must, *may]):
        values = [f"p{i}.fields[{_text(name)}]" for name in step.needs[parent]]
        lines += [f"{_text(f'{parent}.{name}=')} || {value}" for name, value in zip(step.needs[parent], values, strict=True)]
        present += values
        if values and i < len(must):
            conditions.append(_any(values))
    joins = [f"{'LEFT' if i >= len(must) else ''} JOIN p{i} USING ({key})" for i in range(1, len(must) + len(may))]
    if not must:
        joins = [f"FULL {join.strip().removeprefix('LEFT')}" for join in joins]
    version = f"left(sha256(concat_ws(chr(10), {', '.join(lines)})), 32)"  # concat_ws leaves out what an item lacks
    sql = f"SELECT {key} AS key, {version} AS version FROM p0 {' '.join(joins)} WHERE {' AND '.join([*conditions, _any(present)])}"
    return Expected(sql, {f"p{i}": good(parent) for i, parent in enumerate([*must, *may])})


def difference(own: pa.Table, key: str, partition: str, wanted: Expected, keys: Collection[str] | None) -> Plan:
    """Compare what should be there with the step's own live rows.

    Args:
        own: Live rows with key, version, status and attempts.
        key: Name of the key column.
        partition: Of the items to come.
        wanted: What should be there.
        keys: Look at these alone.
    """
    with _database(os.getpid()).cursor() as con:
        for name, table in wanted.tables.items():
            con.register(name, table)
        con.register("own", own)
        con.sql(f"CREATE TEMP TABLE wanted AS {wanted.sql}")
        con.sql(f'CREATE TEMP TABLE have AS SELECT "{key}" AS key, version, status, attempts FROM own')
        if keys is not None:
            con.register("chosen", pa.table({"key": pa.array(keys, pa.string())}))
            for table in ("wanted", "have"):
                con.sql(f"DELETE FROM {table} WHERE key NOT IN (FROM chosen)")
        todo = con.sql(
            f"""SELECT wanted.key, wanted.version, if(have.version = wanted.version, attempts, 0), coalesce(status = 'ok', false)
            FROM wanted LEFT JOIN have USING (key)
            WHERE have.key IS NULL OR have.version <> wanted.version OR (status = 'failed' AND attempts < {MAX_ATTEMPTS})
            ORDER BY wanted.key"""
        ).fetchall()
        gone = con.sql("SELECT key FROM have ANTI JOIN wanted USING (key) ORDER BY key").fetchall()
    items = [Item(name, version, partition, attempts=attempts or 0) for name, version, attempts, _ in todo]
    return Plan(items, [name for (name,) in gone], sum(served for *_, served in todo))


@lru_cache(maxsize=1)
def _database(_process: int) -> duckdb.DuckDBPyConnection:
    """One empty database per process, since opening one takes longer than a plan; what a cursor registers is its own."""
    return duckdb.connect()


atexit.register(_database.cache_clear)  # a connection that outlives the interpreter makes DuckDB report leaks on stderr


def _any(values: Collection[str]) -> str:
    return f"coalesce({', '.join([*values, 'NULL'])}) IS NOT NULL"


def _text(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
