"""Bringing item_index up to date."""

from collections.abc import Iterator

from avrec_dag import index, moments
from avrec_dag.encoders.registry import preset
from avrec_dag.index import ItemIndex
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.moments import Moments
from avrec_dag.recommend.storing import digest, fields_of, noted, put_files, write
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs


def update_index(ledger: Ledger, blobs: Blobs, step: Step, *, encoders: str = "packaged", run_id: str = "") -> Outcome:
    """Build the index anew when any item's vector or moments changed, appeared or left, or the preset of encoders did."""
    space = preset(encoders).joint_space
    told = [fields_of(ledger, table, field) for table, fields in step.needs.items() for field in fields]
    version = digest(step.code, encoders, space, *told)
    plan = ledger.wanted(step.name, WHOLE, {index.KEY: version})
    if not plan.todo:
        return write(ledger, step, WHOLE, plan, (), run_id)
    built = ItemIndex.build(ledger.rows("fused_features", columns=["vector", "joint"]), encoders, space)
    found = Moments.build(built.items, _moments(ledger, built.joint.shape[1]))
    files = built.files()
    values = {
        "blob": put_files(blobs, step, index.KEY, version, {**files, **found.files()}),
        "n_items": len(built.items),
        "n_moments": len(found),
        "dim": built.fused.shape[1],
        "kind": index.KIND,
    }
    # What is recommended follows from the items' vectors alone, so that a new shot makes no list anew.
    row = Row(index.KEY, version, {"index": digest(*files.values())}, values)
    notes = {"items": len(built.items), "left_out": built.left_out, "moments": len(found)}
    return noted(write(ledger, step, WHOLE, plan, [row], run_id), notes)


def _moments(ledger: Ledger, dim: int) -> Iterator[moments.Told]:
    """What tables tell of moments, a day at a time: the vectors of a whole library would fill the memory."""
    for table, columns in moments.COLUMNS.items():
        for day in ledger.partitions(table):
            yield from moments.told(ledger.rows(table, day, columns), table, dim)
