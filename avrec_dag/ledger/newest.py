"""Which of the stored rows of each key count."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

_LAST = """
    SELECT "{key}" AS key, arg_max({{'at_row': at_row, 'gone': gone, 'written_ns': written_ns}}, written_ns) AS last
    FROM light GROUP BY "{key}", partition
"""


def newest(stored: pa.Table, key: str) -> pa.Table:
    """The newest row of each key in each partition, tombstones included, ordered by key.

    Args:
        stored: Rows with the columns key, partition, written_ns, gone and any others.
        key: Name of the key column.
    """
    return _pick(stored, key, f"SELECT last.at_row FROM ({_LAST.format(key=key)}) ORDER BY key")


def live(stored: pa.Table, key: str) -> pa.Table:
    """The newest row of each key that is not gone, ordered by key.

    A tombstone speaks for its partition alone: an item that moved to another day lives there, whichever was written first.
    """
    standing = f"SELECT key, last FROM ({_LAST.format(key=key)}) WHERE NOT last.gone"
    return _pick(stored, key, f"SELECT arg_max(last.at_row, last.written_ns) FROM ({standing}) GROUP BY key ORDER BY key")


def _pick(stored: pa.Table, key: str, sql: str) -> pa.Table:
    """The rows whose numbers the query gives: only the light columns pass through DuckDB, never vectors."""
    light = stored.select(dict.fromkeys([key, "partition", "written_ns", "gone"]))
    light = light.append_column("at_row", pa.array(np.arange(stored.num_rows)))
    with duckdb.connect() as con:
        con.register("light", light)
        rows = con.execute(sql).fetchnumpy()
    (chosen,) = rows.values()
    if len(chosen) == stored.num_rows and (chosen == light["at_row"].to_numpy()).all():
        return stored
    return stored.take(pa.array(np.asarray(chosen)))


def only(rows: pa.Table, status: str) -> pa.Table:
    """The rows of one status."""
    return rows.filter(ds.field("status") == status)
