"""A ledger that is read again and again by one reader, who keeps what did not change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds

from avrec_dag.ledger.ledger import Ledger, Status

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Kept(Ledger):
    """The same tables; of one whose files are those of the last time, nothing is read or made anew.

    No name of a file is used twice (`Ledger.mark`), so that equal names are equal rows. Files that are written while they are read make
    what was read newer than the names say: the next look has other names, and reads again. What is kept is as much as the answers
    are together. For one thread.
    """

    _held: dict[tuple[object, ...], tuple[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def once(self, table: str, what: str, make: Callable[[], _Made]) -> _Made:
        """As in `Ledger`."""
        return self._once(table, (what,), make)

    def data_version(self, table: str, partition: str | None = None) -> str:
        """As in `Ledger`."""
        return self._once(table, ("data_version", partition), lambda: super(Kept, self).data_version(table, partition))

    def _rows(
        self,
        table: str,
        partition: str | None,
        columns: Sequence[str] | None,
        status: Status | None = "ok",
        where: ds.Expression | None = None,
    ) -> pa.Table:
        def read() -> pa.Table:
            return super(Kept, self)._rows(table, partition, columns, status, where)

        if where is not None:
            return read()
        return self._once(table, ("rows", partition, None if columns is None else tuple(columns), status), lambda: read().combine_chunks())

    def _once(self, table: str, what: tuple[object, ...], make: Callable[[], _Made]) -> _Made:
        mark = self.mark(table)
        held = self._held.get((table, *what))
        if held is None or held[0] != mark:
            held = self._held[table, *what] = (mark, make())
        return held[1]
