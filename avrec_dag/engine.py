"""Run batches of items: in this process, over this machine's processes, or on Ray."""

import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from avrec_dag.errors import MediaError, SettingError
from avrec_dag.items import Item, Row, Task

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One process per core keeps the cores busy; threads inside each would only contend."""
log = logging.getLogger("avrec")


class Engine(Protocol):
    """Runs a task over batches, yielding each batch's rows as it is finished, in any order."""

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """Rows of each batch; an item that cannot be computed becomes a failed row, never an exception."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


def attempt(task: Task, items: Sequence[Item]) -> list[Row]:
    """The task's rows; where the batch raises, each item is tried alone and the culprits become failed rows."""
    try:
        return task(items)
    except Exception as error:
        if len(items) > 1:
            return [row for item in items for row in attempt(task, [item])]
        if isinstance(error, MediaError):
            return [items[0].failed(str(error), permanent=True)]
        log.debug("%r raised", items[0].key, exc_info=True)
        return [items[0].failed(f"{type(error).__name__}: {error}")]


class Inline:
    """Runs batches in this process: for arithmetic on rows, and for tests."""

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`."""
        for batch in batches:
            yield attempt(task, batch)

    def close(self) -> None:
        """Nothing to stop."""


def _start_worker() -> None:
    for name in THREADS:
        os.environ.setdefault(name, "1")


class Local:
    """Runs batches over spawned processes, started at the first batch and kept for every task after it."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or int(os.environ.get("AVREC_WORKERS", "0")) or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    def _executor(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), _start_worker)
        return self._pool

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`; twice as many batches as workers are in flight, so memory stays bounded."""
        waiting: deque[tuple[Sequence[Item], Future[list[Row]]]] = deque()
        try:
            for batch in batches:
                waiting.append((batch, self._executor().submit(attempt, task, batch)))
                if len(waiting) >= 2 * self.workers:
                    yield self._result(task, *waiting.popleft())
            while waiting:
                yield self._result(task, *waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()

    def _result(self, task: Task, batch: Sequence[Item], future: Future[list[Row]]) -> list[Row]:
        try:
            return future.result()
        except BrokenProcessPool:
            self.close()
            return [self._alone(task, item) for item in batch]

    def _alone(self, task: Task, item: Item) -> Row:
        try:
            return self._executor().submit(attempt, task, [item]).result()[0]
        except BrokenProcessPool:
            self.close()
            return item.failed("the worker process died while computing this item (out of memory, or a crash in a decoder)")

    def close(self) -> None:
        """Stop the workers; the next task starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def engine(setting: str = "local", workers: int | None = None) -> Engine:
    """The engine a setting names.

    Args:
        setting: `local` or `inline`.
        workers: Processes; every core by default.

    Raises:
        SettingError: No engine has this name.
    """
    if setting == "inline":
        return Inline()
    if setting == "local":
        return Local(workers)
    raise SettingError(f"AVREC_ENGINE={setting!r} names no engine; use local, inline, ray or ray://host:port")
