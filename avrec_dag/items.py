"""The values that travel between the ledger, the engine and the code that computes rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from avrec_dag.errors import MediaError, MissingError, ReplacedError


@dataclass(frozen=True, slots=True)
class Row:
    """One computed row, not yet stored.

    Attributes:
        key: The table's key (`Table.key`): a media_id, user_id, event_id or model_id.
        version: What the row was computed from, as planned (`Item.version`).
        fields: Hash of each output that other steps may depend on; empty for a failed row.
        values: The table's own typed columns.
        error: Why there is no result; None for a good row.
        permanent: A failed row that trying again cannot mend.
        attempts: How often this very version was tried before.
    """

    key: str
    version: str
    fields: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None
    permanent: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work: what to compute, and the columns of its parents that the step reads.

    Attributes:
        key: As in `Row`.
        version: The version that the computed row will carry.
        partition: The day (or `steps.WHOLE`) that the row belongs to.
        parents: Parent step -> its columns (`Step.reads`); a missing optional parent is absent.
        attempts: How often this very version has been tried before.
    """

    key: str
    version: str
    partition: str
    parents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    attempts: int = 0

    def done(self, fields: Mapping[str, str], values: Mapping[str, object]) -> Row:
        """The good row for this item."""
        return Row(self.key, self.version, fields, values)

    def failed(self, error: str, *, permanent: bool = False) -> Row:
        """The failed row for this item."""
        return Row(self.key, self.version, error=error, permanent=permanent, attempts=self.attempts)


def each(items: Sequence[Item], compute: Callable[[Item], Row]) -> list[Row]:
    """One row per item; an upload that cannot be read, or is another by now, becomes a failed row, so that its neighbours stand."""
    rows = []
    for item in items:
        try:
            rows.append(compute(item))
        except MediaError as error:
            rows.append(item.failed(str(error), permanent=True))
        except (MissingError, ReplacedError) as error:
            rows.append(item.failed(str(error)))
    return rows


class Task(Protocol):
    """Computes the rows of one batch. Frozen, picklable, cheap to construct: models load on first call, once per process."""

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item, in any order. An exception fails the batch; the engine then retries item by item."""
        ...


class DecodesUploads:
    """A task that decodes uploads: engines give it one item at a time, held to `limits.Limits`, in a process that may die of it.

    Attributes:
        patience: How often as long as decoding it may take.
    """

    patience: float = 1

    def get_ready(self, items: Sequence[Item]) -> None:
        """Load the models that a batch needs: before an item's limits hold, so that they do not count."""

    def size_bytes(self, item: Item) -> int:
        """Size of the upload, which its time goes by."""
        size = item.parents.get("raw_media", {}).get("size_bytes")
        return size if isinstance(size, int) else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What bringing one partition of one table up to date did.

    Attributes:
        table: The table's name.
        partition: The day, or `steps.WHOLE`.
        computed: Rows computed well in this run.
        failed: Rows that failed in this run.
        removed: Rows whose item left.
        rows: Good rows the partition holds afterwards.
        data_version: Hash of the partition's (key, version) pairs.
        notes: Facts worth showing (metric name -> value), for metadata and for the command line.
        blobs: Blob paths worth looking at (label -> path of a PNG or JPEG), for metadata pictures.
    """

    table: str
    partition: str
    computed: int
    failed: int
    removed: int
    rows: int
    data_version: str
    notes: Mapping[str, float | int | str] = field(default_factory=dict)
    blobs: Mapping[str, str] = field(default_factory=dict)
