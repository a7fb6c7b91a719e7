"""What every update of this package does with the ledger: versions as hashes, blobs before rows, rows in chunks."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice

import pyarrow.compute as pc

from avrec_dag import progress
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.steps import Step
from avrec_dag.storage import Blobs

_CHUNK = 2000


def digest(*parts: object) -> str:
    """Hash of bytes and of values that JSON can say, 32 hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else json.dumps(part).encode()
        sha.update(len(content).to_bytes(8, "little"))  # so that no two lists of parts read the same
        sha.update(content)
    return sha.hexdigest()[:32]


def fields_of(ledger: Ledger, table: str, field: str) -> list[tuple[str, str]]:
    """Key and field hash of every good row that has the field, sorted."""
    rows = ledger.rows(table, columns=["fields"])
    hashes = pc.call_function("map_lookup", [rows["fields"]], pc.MapLookupOptions(field, "first"))
    return sorted((key, found) for key, found in zip(rows[0].to_pylist(), hashes.to_pylist(), strict=True) if found is not None)


def put_files(blobs: Blobs, step: Step, key: str, version: str, files: Mapping[str, bytes]) -> str:
    """Store a model's files; returns the prefix that holds them."""
    for name, content in files.items():
        blobs.put(step.name, key, version, name, content)
    return blobs.prefix(step.name, key, version)


def write(ledger: Ledger, step: Step, partition: str, plan: Plan, rows: Iterable[Row], run_id: str) -> Outcome:
    """Remove what is gone, append the rows in chunks as they come, compact, and say what happened."""
    if plan.gone:
        ledger.tombstone(step.name, partition, plan.gone, run_id)
    computed, failed, stream = 0, 0, iter(rows)
    while chunk := list(islice(stream, _CHUNK)):
        ledger.append(step.name, partition, chunk, run_id)
        computed += len(chunk)
        failed += sum(row.error is not None for row in chunk)
        progress.report(step.name, partition, computed, max(computed, len(plan.todo)))
    if computed or plan.gone:
        ledger.compact(step.name, partition)
    rows_now = ledger.rows(step.name, partition, columns=[]).num_rows
    return Outcome(step.name, partition, computed - failed, failed, len(plan.gone), rows_now, ledger.data_version(step.name, partition))


def noted(outcome: Outcome, notes: Mapping[str, float | int | str], blobs: Mapping[str, str] | None = None) -> Outcome:
    """The same outcome with facts and pictures worth showing."""
    return replace(outcome, notes=dict(notes), blobs=dict(blobs or {}))
