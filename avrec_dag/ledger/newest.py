"""Which of the stored rows of each key count."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds


def newest(stored: pa.Table, key: str) -> pa.Table:
    """The newest row of each key in each partition, tombstones included, ordered by key.

    Args:
        stored: Rows with the columns key, partition, written_ns, gone and any others.
        key: Name of the key column.
    """
    order = _order(stored, key)
    return _taken(stored, order["at_row"].to_numpy()[_firsts(order, key, "partition")])


def live(stored: pa.Table, key: str) -> pa.Table:
    """The newest row of each key that is not gone, ordered by key.

    A tombstone speaks for its partition alone: an item that moved to another day lives there, whichever was written first.
    """
    order = _order(stored, key)
    standing = order.filter(_firsts(order, key, "partition")).filter(~ds.field("gone"))
    first = _firsts(standing, key)
    if not first.all():  # a key that lives in two partitions; rows of one key lie by partition, not by time
        standing = standing.sort_by([(key, "ascending"), ("written_ns", "descending")])
        first = _firsts(standing, key)
    return _taken(stored, standing["at_row"].to_numpy()[first])


def only(rows: pa.Table, status: str) -> pa.Table:
    """The rows of one status."""
    return rows.filter(ds.field("status") == status)


def _order(stored: pa.Table, key: str) -> pa.Table:
    """The light columns with row numbers, newest first within key and partition: vectors are never moved to be compared."""
    light = stored.select(dict.fromkeys([key, "partition", "written_ns", "gone"]))
    light = light.append_column("at_row", pa.array(np.arange(stored.num_rows)))
    return light.sort_by([(key, "ascending"), ("partition", "ascending"), ("written_ns", "descending")])


def _firsts(rows: pa.Table, *columns: str) -> np.ndarray:
    """Which rows differ from the one before in any of the columns."""
    first = np.zeros(rows.num_rows, bool)
    first[:1] = True
    for column in columns:
        codes = rows[column].combine_chunks().dictionary_encode().indices.to_numpy()
        first[1:] |= codes[1:] != codes[:-1]
    return first


def _taken(stored: pa.Table, chosen: np.ndarray) -> pa.Table:
    if len(chosen) == stored.num_rows and (chosen == np.arange(len(chosen))).all():
        return stored
    return stored.take(pa.array(chosen))
