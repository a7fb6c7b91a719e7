"""What every engine promises, and what it does with a batch that raises."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from avrec_dag.errors import MediaError
from avrec_dag.items import Item, Row, Task

_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
THREADS = dict.fromkeys(_LIBRARIES, "1")
"""Environment of a worker. One process per core keeps the cores busy; threads inside each would only contend."""
DIED = "the worker process died while computing this item: out of memory, or a crash inside a decoder"
log = logging.getLogger("avrec")


class Engine(Protocol):
    """Runs a task over batches, yielding each batch's rows as it is finished, in any order."""

    @property
    def workers(self) -> int:
        """Batches computed at once."""
        ...

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """Rows of each batch; an item that cannot be computed becomes a failed row, never an exception."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


class Inline:
    """Runs batches in this process: for arithmetic on rows, and for tests."""

    workers = 1

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`."""
        for batch in batches:
            yield attempt(task, batch)

    def close(self) -> None:
        """Nothing to stop."""


def attempt(task: Task, items: Sequence[Item]) -> list[Row]:
    """The task's rows; where the batch raises, each item is tried alone and the culprits become failed rows."""
    try:
        return _answered(items, task(items))
    except Exception as error:  # whatever hostile media make a library raise costs the item, not the day
        if len(items) > 1:
            return [row for item in items for row in attempt(task, [item])]
        if isinstance(error, MediaError):
            return [items[0].failed(str(error), permanent=True)]
        log.debug("%r raised", items[0].key, exc_info=True)
        return [items[0].failed(f"{type(error).__name__}: {error}")]


def _answered(items: Sequence[Item], rows: list[Row]) -> list[Row]:
    """Hold a task to one row per item: an item left out would be planned again for ever.

    Raises:
        ValueError: Rows and items differ.
    """
    asked, answered = sorted(item.key for item in items), sorted(row.key for row in rows)
    if asked != answered:
        raise ValueError(f"a task owes one row per item: asked for {asked[:3]}, got {answered[:3]}")
    return rows


def worker_count(asked: int | None) -> int:
    """Workers as asked, else AVREC_WORKERS, else one per core."""
    return asked or int(os.environ.get("AVREC_WORKERS") or 0) or os.cpu_count() or 1
