"""What every engine promises, and what it does with a batch that raises."""

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from avrec_dag import limits
from avrec_dag.errors import AvrecError, MediaError, UnreachableError
from avrec_dag.items import DecodesUploads, Item, Row, Task
from avrec_dag.limits import Limits

_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
THREADS = dict.fromkeys(_LIBRARIES, "1")
"""Environment of a worker. One process per core keeps the cores busy; threads inside each would only contend."""
DIED = "the worker process died while computing this item"
log = logging.getLogger("avrec")


class Engine(Protocol):
    """Runs a task over batches, yielding each batch's rows as it is finished, in any order."""

    @property
    def workers(self) -> int:
        """Batches computed at once."""
        ...

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """Rows of each batch; an item that cannot be computed becomes a failed row.

        Raises:
            UnreachableError: Uploads or store do not answer; what was yielded before stands.
        """
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


class Inline:
    """Runs batches in this process: for arithmetic on rows, and for tests. Nothing ends an upload that takes too long or too much.

    Args:
        bounds: What one upload may cost; of these, pixels and packets hold here.
    """

    workers = 1

    def __init__(self, bounds: Limits | None = None) -> None:
        self._bounds = bounds or Limits()

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`."""
        for batch in batches:
            with limits.kept(self._bounds):
                rows = attempt(task, batch)
            yield rows

    def close(self) -> None:
        """Nothing to stop."""


def attempt(task: Task, items: Sequence[Item]) -> list[Row]:
    """The task's rows; where the batch raises, each item is tried alone and the culprits become failed rows.

    Raises:
        UnreachableError: Uploads or store do not answer, which is no item's fault.
    """
    try:
        return _answered(items, task(items))
    except UnreachableError:
        raise
    except Exception as error:  # whatever hostile media make a library raise costs the item, not the day
        if len(items) > 1:
            return [row for item in items for row in attempt(task, [item])]
        if isinstance(error, MediaError):
            return [items[0].failed(str(error), permanent=True)]
        if isinstance(error, AvrecError):
            return [items[0].failed(str(error))]
        log.debug("%r raised", items[0].key, exc_info=True)
        return [items[0].failed(_told(error))]


def attempt_within(bounds: Limits, task: Task, items: Sequence[Item], at: Callable[[int], object] = lambda _: None) -> list[Row]:
    """As `attempt`, in a process that may die: a task that decodes uploads is given them one by one, each within its bounds.

    Args:
        bounds: What one upload may cost.
        task: The task.
        items: The batch.
        at: Told the place in the batch of the item that comes next, so that it is known if the process does not live to say so.
    """
    if not isinstance(task, DecodesUploads):
        return attempt(task, items)
    with suppress(Exception):  # whatever it raises, each item meets again, and is told
        task.get_ready(items)
    on_card = getattr(task, "on_card", False)  # its driver takes what memory it likes
    rows = []
    for place, item in enumerate(items):
        at(place)
        with limits.enforced(bounds, task.size_bytes(item), patience=task.patience, memory=not on_card):
            rows += attempt(task, [item])
    at(-1)
    return rows


def _told(error: Exception) -> str:
    bounds = limits.in_force()
    if isinstance(error, MemoryError):
        return f"it needs more than {bounds.memory_mb} MB of memory, the most for one upload; raise memory_mb in AVREC_LIMITS, or shrink it"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return f"it would write a file of more than {bounds.written_mb} MB; raise written_mb in AVREC_LIMITS, or cut it"
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return f"it opens more than {bounds.open_files} files at once; raise open_files in AVREC_LIMITS"
    return f"{type(error).__name__}: {error}"


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
