"""Bringing item_index up to date, and reading it with what happened since."""

from collections.abc import Collection, Iterator, Sequence
from typing import cast

import pyarrow as pa

from avrec_dag import index, moments
from avrec_dag.encoders.registry import preset
from avrec_dag.errors import MissingError
from avrec_dag.index import MOST_EXACT, Index, ItemIndex, LiveIndex, files
from avrec_dag.items import Item, Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.moments import Moments
from avrec_dag.recommend.storing import digest, fields_of, noted, put_files, write
from avrec_dag.schema import VECTOR
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs

_VECTORS = Step("item_index", "", {}, {"fused_features": ("vector", "joint")}, partition="whole")


def update_index(
    ledger: Ledger, blobs: Blobs, step: Step, *, encoders: str = "packaged", most_exact: int = MOST_EXACT, run_id: str = ""
) -> Outcome:
    """Build the index anew when any item's vector or moments changed, appeared or left, or the preset of encoders did.

    Readers keep the one before until its row is replaced, and find what is new beside it: see `current`.

    Args:
        ledger: The tables.
        blobs: Where the files go.
        step: Of item_index.
        encoders: Name of the preset that made the vectors.
        most_exact: With more items than this, an inverted file is made.
        run_id: Who builds it.
    """
    space = preset(encoders).joint_space
    told = [fields_of(ledger, table, field) for table, fields in step.needs.items() for field in fields]
    version = digest(step.code, encoders, space, most_exact, *told)
    plan = ledger.wanted(step.name, WHOLE, {index.KEY: version})
    if not plan.todo:
        return write(ledger, step, WHOLE, plan, (), run_id)
    versions = _versions(ledger)  # read before the vectors: what changes in between counts as changed
    features = ledger.rows("fused_features", columns=["vector", "joint"])
    built = ItemIndex.build(features, encoders, space, versions, most_exact=most_exact)
    found = Moments.build(built.items, _moments(ledger, built.joint.shape[1]))
    stored = files.files(built)
    values = {
        "blob": put_files(blobs, step, index.KEY, version, {**stored, **found.files()}),
        "n_items": len(built.items),
        "n_moments": len(found),
        "dim": built.fused.shape[1],
        "kind": built.kind,
        "sha256": files.digests(stored),
    }
    # What is recommended follows from the items' vectors alone, so that a new shot makes no list anew.
    row = Row(index.KEY, version, {"index": digest(values["sha256"])}, values)
    notes = {"items": len(built.items), "left_out": built.left_out, "moments": len(found), "kind": built.kind}
    return noted(write(ledger, step, WHOLE, plan, [row], run_id), notes)


def current(ledger: Ledger, blobs: Blobs, shown: Collection[str]) -> tuple[Index, Moments]:
    """The index that the ledger names, with what joined, changed or left since it was built, and the moments it was built with.

    Args:
        ledger: The tables.
        blobs: Where the files are.
        shown: The items that may be found.

    Raises:
        MissingError: None has been built.
        AvrecError: Its files are broken.
    """
    row = ledger.row(index.TABLE, index.KEY)
    if row is None or not row["blob"]:
        raise MissingError("there is no item index yet: materialise `item_index` (avrec materialize)")
    blob, sha256 = str(row["blob"]), cast("str | None", row["sha256"])
    stored = ledger.once(index.TABLE, "index", lambda: files.opened(blobs, blob, sha256))
    found = ledger.once(index.TABLE, "moments", lambda: _stored_moments(blobs, blob, stored.items))
    return LiveIndex.of(stored, shown, _beside(ledger, stored, shown)), found


def _beside(ledger: Ledger, stored: ItemIndex, shown: Collection[str]) -> ItemIndex | None:
    """The items whose vectors are not those of the stored index; None where it does not tell of which those are."""
    if not stored.versions and stored.items:
        return None
    built = dict(zip(stored.items, stored.versions, strict=True))
    versions = {key: version for key, version in _versions(ledger).items() if key in shown and built.get(key) != version}
    rows = ledger.fill(_VECTORS, WHOLE, [Item(key, "", "") for key in sorted(versions)])
    known = [(row.key, row.parents["fused_features"]) for row in rows if "fused_features" in row.parents]
    if not known:
        return None
    told = {"media_id": [key for key, _ in known], **{name: [columns[name] for _, columns in known] for name in ("vector", "joint")}}
    table = pa.table(told, schema=pa.schema([("media_id", pa.string()), ("vector", VECTOR), ("joint", VECTOR)]))
    dims = (stored.fused.shape[1], stored.joint.shape[1]) if stored.items else (None, None)
    return ItemIndex.build(table, stored.encoders, stored.space, versions, dims=dims)


def _versions(ledger: Ledger) -> dict[str, str]:
    """media_id -> hash of its vectors, of every item that has any."""
    joints = dict(fields_of(ledger, "fused_features", "joint"))
    return {key: digest(vector, joints.get(key, ""))[:16] for key, vector in fields_of(ledger, "fused_features", "vector")}


def _stored_moments(blobs: Blobs, prefix: str, items: Sequence[str]) -> Moments:
    path = f"{prefix}/{moments.FILE}"
    if not blobs.exists(path):  # an index of before there were moments serves until the next one is built
        return Moments.none()
    return Moments.read(blobs.local(path) or blobs.get(path), items)


def _moments(ledger: Ledger, dim: int) -> Iterator[moments.Told]:
    """What tables tell of moments, a day at a time: the vectors of a whole library would fill the memory."""
    for table, columns in moments.COLUMNS.items():
        for day in ledger.partitions(table):
            yield from moments.told(ledger.rows(table, day, columns), table, dim)
