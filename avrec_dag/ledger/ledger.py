"""The ledger: plan what is left to do, append what was done, read what holds."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds

from avrec_dag.items import Item, Row
from avrec_dag.ledger import erasing
from avrec_dag.ledger.files import TableFiles
from avrec_dag.ledger.newest import live, only
from avrec_dag.ledger.planning import NOTHING, PLANNED, Expected, Plan, difference, expected
from avrec_dag.ledger.records import records
from avrec_dag.ledger.subjects import Subject
from avrec_dag.ledger.sweeping import Swept, sweep
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE, Step

Status = Literal["ok", "failed"]
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many live rows of a table are good and how many failed."""

    ok: int
    failed: int


@dataclass(frozen=True)
class Ledger:
    """All tables of one store.

    Attributes:
        uri: A folder or `s3://bucket/prefix` (see `storage.filesystem`).
    """

    uri: str

    def append(self, table: str, partition: str, rows: Sequence[Row], run_id: str = "") -> int:
        """Store computed rows; they replace older rows of the same key for every reader.

        Args:
            table: The table's name.
            partition: The day, or `steps.WHOLE`.
            rows: Rows in the table's own columns.
            run_id: Who computed them.

        Returns:
            How many good rows were stored as failed ones, because their values do not fit the table.

        Raises:
            ValueError: A row has a column that the table does not have.
        """
        if not rows:
            return 0
        files = TableFiles(self.uri, table)
        stored, refused = records(files, rows, run_id)
        files.add(partition, stored)
        return refused

    def tombstone(self, table: str, partition: str, keys: Collection[str], run_id: str = "") -> None:
        """Mark rows as gone."""
        if keys:
            files = TableFiles(self.uri, table)
            files.add(partition, records(files, [Row(key, "") for key in keys], run_id, gone=True)[0])

    def rows(
        self, table: str, partition: str | None = None, columns: Sequence[str] | None = None, *, status: Status | None = "ok"
    ) -> pa.Table:
        """The newest live row of each key, ordered by key, whatever its version: an old result is served until the new one is there.

        Args:
            table: The table's name.
            partition: One partition, or None for all.
            columns: Own and bookkeeping columns wanted besides the key; None for version, fields, partition and all own columns.
            status: Which rows: good, failed, or both (None).
        """
        return self._rows(table, partition, columns, status)

    def _rows(
        self,
        table: str,
        partition: str | None,
        columns: Sequence[str] | None,
        status: Status | None = "ok",
        where: ds.Expression | None = None,
    ) -> pa.Table:
        files = TableFiles(self.uri, table)
        own = ("version", "fields", "partition", *TABLES[table].columns.names)
        wanted = list(dict.fromkeys([files.key, *(own if columns is None else columns)]))
        found = live(files.read(partition, [*wanted, "status", "written_ns", "gone"], where), files.key)
        return (found if status is None else only(found, status)).select(wanted)

    def row(self, table: str, key: str, columns: Sequence[str] | None = None) -> dict[str, object] | None:
        """The good row of one key with its version, fields, partition and own columns, or None.

        Args:
            table: The table's name.
            key: Of the row.
            columns: As for `rows`.
        """
        found = self._rows(table, None, columns, where=ds.field(TABLES[table].key) == key).to_pylist()
        return found[0] if found else None

    def once(self, table: str, what: str, make: Callable[[], _Made]) -> _Made:  # noqa: ARG002 - for who keeps it
        """What `make` makes of one table alone: made for every call here, and kept by `Kept` as long as the table is the same.

        Args:
            table: Its name.
            what: Is made of it.
            make: Makes something that nobody changes.
        """
        return make()

    def plan(self, step: Step, partition: str, *, keys: Collection[str] | None = None) -> Plan:
        """What is left to do for a step; reads key columns only.

        A parent's failed row counts as absent; a step of the whole library looks at every day of its parents; of a step that is
        switched off, every row is gone.

        Args:
            step: The step.
            partition: The day, or `steps.WHOLE`.
            keys: Plan for these alone.
        """
        if step.off:
            return self._difference(step.name, partition, NOTHING, keys)
        scope = _scope(step, partition)
        models = {model: self._model_version(model) for model in step.models}
        wanted = expected(step, lambda parent: self.rows(parent, scope, ["fields"]), models)
        return self._difference(step.name, partition, wanted, keys)

    def wanted(self, step_name: str, partition: str, wanted: Mapping[str, str]) -> Plan:
        """What is left to do where the caller knows the version that each key should have.

        Args:
            step_name: The table's name.
            partition: The day, or `steps.WHOLE`.
            wanted: Key -> version of every row that the partition should hold; others are gone.
        """
        pairs = pa.table({"key": pa.array(wanted, pa.string()), "version": pa.array(wanted.values(), pa.string())})
        return self._difference(step_name, partition, Expected("FROM pairs", {"pairs": pairs}), None)

    def _difference(self, table: str, partition: str, wanted: Expected, keys: Collection[str] | None) -> Plan:
        key = TABLES[table].key
        return difference(live(TableFiles(self.uri, table).read(partition, [key, *PLANNED]), key), key, partition, wanted, keys)

    def _model_version(self, table: str) -> str:
        return "|".join(self.rows(table, WHOLE, ["version"])["version"].to_pylist())

    def fill(self, step: Step, partition: str, items: Sequence[Item]) -> list[Item]:
        """The items with the columns of their parents that the step reads; a parent that an item lacks is absent."""
        scope = _scope(step, partition)
        found = {item.key: dict(item.parents) for item in items}
        if not found:
            return []
        keys = pa.array(found, pa.string())
        for parent, columns in step.reads.items():
            key = TABLES[parent].key
            within = (ds.field(key) >= min(found)) & (ds.field(key) <= max(found))  # lets files of other days be skipped
            for row in self._rows(parent, scope, columns, where=within & ds.field(key).isin(keys)).to_pylist():
                found[row[key]][parent] = {column: row[column] for column in columns}
        return [replace(item, parents=found[item.key]) for item in items]

    def compact(self, table: str, partition: str) -> None:
        """Merge the files of one partition: the newest row of each key, and tombstones of the last seven days."""
        TableFiles(self.uri, table).compact(partition)

    def drop(self, table: str, partition: str) -> None:
        """Delete a partition with everything in it, tombstones too: it is older than the table is kept."""
        TableFiles(self.uri, table).drop(partition)

    def forget(self, table: str, partition: str, keys: Collection[str]) -> None:
        """Delete every row of some keys, old ones and tombstones too."""
        TableFiles(self.uri, table).compact(partition, list(keys), bare=True)

    def purge(self, *, dry_run: bool = True) -> int:
        """Find tombstones that no writer can need any more (`files.TOMBSTONE_S`), and delete them unless `dry_run`; returns how many."""
        return sum(TableFiles(self.uri, table).purge(dry_run=dry_run) for table in TABLES)

    def partitions(self, table: str) -> list[str]:
        """The partitions that have rows, in order."""
        return sorted({path.split("/")[-2] for path in TableFiles(self.uri, table).paths()})

    def data_version(self, table: str, partition: str | None = None) -> str:
        """Hash of the (key, version) pairs of the good rows: equal content, equal hash."""
        rows = self.rows(table, partition, ["version"])
        digest = hashlib.sha256()
        for key, version in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            digest.update(f"{key}\0{version}\n".encode())
        return digest.hexdigest()[:32]

    def mark(self, table: str) -> str:
        """Hash of the names of a table's files, which costs a listing alone: no name is used twice, so that equal mark means equal rows."""
        return hashlib.sha256("\n".join(TableFiles(self.uri, table).paths()).encode()).hexdigest()[:32]

    def counts(self, table: str, partition: str | None = None) -> Counts:
        """Good and failed live rows."""
        statuses = self.rows(table, partition, ["status"], status=None)["status"]
        ok = statuses.to_pylist().count("ok")
        return Counts(ok, len(statuses) - ok)

    def sweep(self, *, dry_run: bool = True, older_than_s: float = 86_400) -> Swept:
        """Find, and unless `dry_run` delete, blobs that no newest live row names and that are older than `older_than_s` seconds."""
        return sweep(self.uri, dry_run=dry_run, older_than_s=older_than_s)

    def item(self, media_id: str) -> Subject:
        """An item as `traces` and `erase` want it."""
        return erasing.item(self.uri, media_id)

    def traces(self, subject: Subject) -> dict[str, int]:
        """Place -> rows and files that are about an item or a person, or name it; see `erasing.find`."""
        return erasing.find(self.uri, subject)

    def erase(self, subject: Subject, *, keep_keys: bool = False) -> None:
        """Remove everything stored about an item or a person, for good; see `erasing.erase`."""
        erasing.erase(self.uri, subject, keep_keys=keep_keys)

    def delete_outdated(self, subject: Subject) -> None:
        """Delete model files that name it and were replaced."""
        erasing.delete_outdated(self.uri, subject)


def _scope(step: Step, partition: str) -> str | None:
    """The partition of the parents' rows that a step's partition is made from; None for all of them."""
    return None if step.partition == "whole" else partition
