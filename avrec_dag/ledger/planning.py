"""Which items of a step are new, changed or gone, from the newest rows of the step and of its parents."""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from avrec_dag.items import Item
from avrec_dag.ledger.files import MAX_ATTEMPTS, latest
from avrec_dag.schema import TABLES
from avrec_dag.steps import Step


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


def quote(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def wanted_sql(con: duckdb.DuckDBPyConnection, step: Step, read: Callable[[str], pa.Table], models: dict[str, str]) -> str:
    """Register the step's parents and return SQL for (key, version) of every item that should have a row."""
    key = TABLES[step.name].key
    joined = [p for p in step.needs if TABLES[p].key == key]
    joined.sort(key=lambda parent: parent in step.optional)
    parts = [quote(f"{step.name}@{step.code}"), *(quote(f"{name}={version}") for name, version in models.items())]
    source, present = "", []
    conditions = ["true"]
    for i, parent in enumerate(joined):
        con.register(f"stored{i}", read(parent))
        con.sql(f"CREATE TEMP TABLE p{i} AS SELECT * FROM {latest(f'stored{i}', key)} WHERE NOT gone AND status = 'ok'")
        join = "" if not i else ("LEFT JOIN " if parent in step.optional else "JOIN ")
        source += f"{join}p{i} " + (f'USING ("{key}") ' if i else "")
        fields = [f"p{i}.fields[{quote(name)}]" for name in step.needs[parent]]
        parts += [f"{quote(f'{parent}.{name}')}, coalesce({sql}, '')" for name, sql in zip(step.needs[parent], fields, strict=True)]
        present += fields
        if fields and parent not in step.optional:
            conditions.append(f"coalesce({', '.join(fields)}, NULL) IS NOT NULL")
    if present:
        conditions.append(f"coalesce({', '.join(present)}, NULL) IS NOT NULL")
    version = f"left(sha256(concat_ws('|', {', '.join(parts)})), 32)"
    return f'SELECT "{key}" AS key, {version} AS version FROM {source} WHERE {" AND ".join(conditions)}'


def difference(con: duckdb.DuckDBPyConnection, key: str, partition: str, stored: pa.Table, wanted: str) -> Plan:
    """Compare the wanted (key, version) pairs with the step's own rows."""
    con.register("own", stored)
    con.sql(f"CREATE TEMP TABLE wanted AS {wanted}")
    con.sql(f'CREATE TEMP TABLE have AS SELECT "{key}" AS key, version, status, attempts FROM {latest("own", key)} WHERE NOT gone')
    todo = con.sql(
        f"""SELECT w.key, w.version, CASE WHEN h.version = w.version THEN h.attempts ELSE 0 END, h.status = 'ok'
        FROM wanted w LEFT JOIN have h ON h.key = w.key
        WHERE h.key IS NULL OR h.version <> w.version OR (h.status = 'failed' AND h.attempts < {MAX_ATTEMPTS}) ORDER BY w.key"""
    ).fetchall()
    gone = con.sql("SELECT key FROM have ANTI JOIN wanted USING (key) ORDER BY key").fetchall()
    items = [Item(key, version, partition, attempts=attempts or 0) for key, version, attempts, _ in todo]
    return Plan(items, [row[0] for row in gone], sum(bool(served) for *_, served in todo))
