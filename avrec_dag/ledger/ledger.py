"""The ledger: plan what is left to do, append what was done, read what holds."""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.fs as pafs

from avrec_dag.items import Item, Row
from avrec_dag.ledger.files import TableFiles, latest
from avrec_dag.ledger.planning import Plan, difference, wanted_sql
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import filesystem

PLANNED = ("version", "fields", "status", "attempts", "written_ns", "gone")


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

    def _files(self, table: str) -> TableFiles:
        return TableFiles(self.uri, table)

    def append(self, table: str, partition: str, rows: Sequence[Row], run_id: str = "", attempts: Mapping[str, int] | None = None) -> None:
        """Store computed rows; they replace older rows of the same key for every reader.

        Args:
            table: The table's name.
            partition: The day, or `steps.WHOLE`.
            rows: Rows in the table's own columns.
            run_id: Who computed them.
            attempts: Key -> how often this version failed before.
        """
        if rows:
            files = self._files(table)
            files.add(partition, files.records(rows, attempts or {}, run_id, gone=False))

    def tombstone(self, table: str, partition: str, keys: Collection[str], run_id: str = "") -> None:
        """Mark rows as gone."""
        if keys:
            files = self._files(table)
            files.add(partition, files.records([Row(key, "") for key in keys], {}, run_id, gone=True))

    def rows(
        self,
        table: str,
        partition: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        status: Literal["ok", "failed"] | None = "ok",
    ) -> pa.Table:
        """The newest live row of each key.

        Args:
            table: The table's name.
            partition: One partition, or None for all.
            columns: Own and bookkeeping columns wanted besides the key; None for version, fields, partition and all own columns.
            status: Which rows: good, failed, or both (None).
        """
        files = self._files(table)
        wanted = list(columns) if columns is not None else ["version", "fields", "partition", *TABLES[table].columns.names]
        wanted = [files.key, *(c for c in wanted if c != files.key)]
        inner = list(dict.fromkeys([*(c for c in wanted if c != "partition"), "status", "written_ns", "gone"]))
        stored = files.read(partition, inner)
        condition = "NOT gone" + (f" AND status = '{status}'" if status else "")
        with duckdb.connect() as con:
            con.register("stored", stored)
            chosen = con.sql(
                f"SELECT {', '.join(quoted(c) for c in wanted)} FROM {latest('stored', files.key)} WHERE {condition} ORDER BY {quoted(files.key)}"
            ).to_arrow_table()
        return chosen.cast(pa.schema([stored.schema.field(c) for c in wanted]))

    def row(self, table: str, key: str) -> dict[str, object] | None:
        """The good row of one key, or None."""
        found = self.rows(table)
        matching = found.filter(pa.compute.equal(found[TABLES[table].key], key)).to_pylist()
        return matching[0] if matching else None

    def plan(self, step: Step, partition: str) -> Plan:
        """What is left to do for a step; reads key columns only.

        A parent's failed row counts as absent; a step of the whole library looks at every day of its parents.
        """
        key = TABLES[step.name].key
        scope = None if step.partition == "whole" else partition
        models = {model: self.model_version(model) for model in step.models}
        with duckdb.connect() as con:
            sql = wanted_sql(con, step, lambda parent: self._files(parent).read(scope, [TABLES[parent].key, *PLANNED]), models)
            return difference(con, key, partition, self._files(step.name).read(partition, [key, *PLANNED]), sql)

    def wanted(self, table: str, partition: str, wanted: Mapping[str, str]) -> Plan:
        """What is left to do where the caller knows the version each key should have."""
        key = TABLES[table].key
        pairs = pa.table({"key": pa.array(wanted, pa.string()), "version": pa.array(wanted.values(), pa.string())})
        with duckdb.connect() as con:
            con.register("pairs", pairs)
            return difference(con, key, partition, self._files(table).read(partition, [key, *PLANNED]), "SELECT * FROM pairs")

    def model_version(self, table: str) -> str:
        """The version of a whole-library model, empty where there is none."""
        found = self.rows(table, WHOLE, ["version"]).to_pylist()
        return "|".join(row["version"] for row in found)

    def fill(self, step: Step, partition: str, items: Sequence[Item]) -> list[Item]:
        """The items with the columns of their parents that the step reads."""
        scope = None if step.partition == "whole" else partition
        found: dict[str, dict[str, Mapping[str, object]]] = {item.key: dict(item.parents) for item in items}
        keys = pa.array(found, pa.string())
        for parent, columns in step.reads.items():
            key = TABLES[parent].key
            rows = self.rows(parent, scope, columns)
            for row in rows.filter(pa.compute.is_in(rows[key], keys)).to_pylist():
                found[row.pop(key)][parent] = row
        return [dataclasses.replace(item, parents=found[item.key]) for item in items]

    def compact(self, table: str, partition: str) -> None:
        """Merge the files of one partition."""
        self._files(table).compact(partition)

    def partitions(self, table: str) -> list[str]:
        """The partitions that have files, in order."""
        fs, _ = filesystem(self.uri)
        found = fs.get_file_info(pafs.FileSelector(self._files(table).base, allow_not_found=True))
        return sorted(f.base_name for f in found if f.type == pafs.FileType.Directory)

    def data_version(self, table: str, partition: str | None = None) -> str:
        """Hash of the (key, version) pairs of the good rows: equal content, equal hash."""
        rows = self.rows(table, partition, ["version"])
        digest = hashlib.sha256()
        for key, version in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            digest.update(f"{key}\0{version}\n".encode())
        return digest.hexdigest()[:32]

    def counts(self, table: str, partition: str | None = None) -> Counts:
        """Good and failed live rows."""
        statuses = self.rows(table, partition, ["status"], status=None)["status"].to_pylist()
        return Counts(statuses.count("ok"), statuses.count("failed"))


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
