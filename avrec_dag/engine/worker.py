"""One process that computes batches, and dies of an upload without taking a neighbour along."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING

from avrec_dag import limits
from avrec_dag.encoders import devices
from avrec_dag.engine.base import DIED, THREADS, attempt_within
from avrec_dag.errors import AvrecError
from avrec_dag.items import DecodesUploads, Item, Row, Task
from avrec_dag.limits import Limits

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.sharedctypes import Synchronized

_SPAWNING = threading.Lock()
_KILLED = (
    "worker processes are killed while they start (SIGKILL): give the machine more memory, or set AVREC_WORKERS to fewer; "
    "what was computed is kept, and the next run goes on from there"
)
_BLAMED = frozenset({signal.SIGALRM, signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
"""Ends that an item brings about itself; another may come from outside."""


class Worker:
    """A spawned process, started at its first batch, again after its death, and kept with its models in between.

    Args:
        ordinal: Which of an engine's workers it is, from 0.
        bounds: What one upload may cost.
    """

    def __init__(self, ordinal: int, bounds: Limits) -> None:
        self._ordinal, self._bounds = ordinal, bounds
        self._context = multiprocessing.get_context("spawn")
        self._at: Synchronized[int] = self._context.Value("i", -1)
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None
        self._closed = False

    def rows(self, task: Task, items: Sequence[Item], *, again: bool = False) -> list[Row]:
        """The rows of one batch; the item that ends the process gets a failed row that says how, the others are computed again.

        An end that may have come from outside is held against an item only when it happens twice.

        Args:
            task: The task.
            items: The batch.
            again: A process has ended over these items before.

        Raises:
            AvrecError: Processes cannot start.
            BrokenProcessPool: The worker was closed.
        """
        try:
            rows, worn_out = self._started().submit(_work, task, items).result()
        except BrokenProcessPool:
            if self._closed:
                raise
        else:
            if worn_out:
                self._end()
            return rows
        place, end = self._at.value, self._end()
        if len(items) == 1 and (again or -end in _BLAMED):
            return [items[0].failed(_told(end, self._bounds, task, items[0]))]
        if 0 <= place < len(items) and -end in _BLAMED:
            culprit, rest = items[place], [*items[:place], *items[place + 1 :]]
            return [culprit.failed(_told(end, self._bounds, task, culprit)), *self.rows(task, rest)]
        return [row for item in items for row in self.rows(task, [item], again=True)]

    def close(self) -> None:
        """End the process at once, and start no other."""
        self._closed = True
        if self._process is not None:
            self._process.terminate()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _started(self, *, again: bool = False) -> ProcessPoolExecutor:
        """The process, which has shown that it runs.

        Args:
            again: Somebody has killed one at its start before.

        Raises:
            AvrecError: It does not.
        """
        if self._pool is None:
            pool = ProcessPoolExecutor(1, self._context, _begin, (self._ordinal, self._bounds, self._at))
            self._at.value = -1
            with _SPAWNING, _environment(THREADS):  # numeric libraries read it when they load, which may be before any code of ours runs
                shown = pool.submit(os.getpid)
            (self._process,) = pool._processes.values()  # the pool tells nobody how its process ended
            self._pool = pool
            try:
                shown.result()
            except BrokenProcessPool as error:
                if self._closed:
                    raise
                if self._end() == -signal.SIGKILL:
                    if not again:
                        return self._started(again=True)
                    raise AvrecError(_KILLED) from error
                raise AvrecError(
                    "worker processes cannot start: call from a module with `if __name__ == '__main__':`, or set AVREC_ENGINE=inline"
                ) from error
        return self._pool

    def _end(self) -> int:
        """How the process ended, as `subprocess` has it: minus the signal."""
        pool, process, self._pool, self._process = self._pool, self._process, None, None
        if pool is None or process is None:
            return 0
        pool.shutdown(wait=True)  # its thread waits for the process
        process.join()
        return process.exitcode or 0


def _told(end: int, bounds: Limits, task: Task, item: Item) -> str:
    size, patience = (task.size_bytes(item), task.patience) if isinstance(task, DecodesUploads) else (0, 1)
    cpu_s, wall_s = bounds.seconds(size, patience)
    if end == -signal.SIGXCPU:
        return f"{DIED}: it took more than {cpu_s} s of a processor; raise cpu_s in AVREC_LIMITS, or cut it"
    if end == -signal.SIGALRM:
        return f"{DIED}: it was not done after {wall_s} s; raise wall_s in AVREC_LIMITS if the machine or the network is slow, or cut it"
    if -end in _BLAMED:
        return f"{DIED}: a crash inside a decoder or model ({signal.Signals(-end).name}); convert it and upload again"
    named = signal.Signals(-end).name if end < 0 else f"exit code {end}"
    return f"{DIED}: ended from outside, as by a machine that runs out of memory ({named}); it is tried again with the next run"


def _begin(ordinal: int, bounds: Limits, at: "Synchronized[int]") -> None:
    """Set up a worker: Ctrl-C is the parent's business, and the parent's end is the worker's end."""
    global _HERE
    _HERE = bounds, at
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits.become_expendable()
    os.environ[devices.ORDINAL] = str(ordinal)
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    threading.Thread(target=_end_with_parent, daemon=True).start()


_HERE: "tuple[Limits, Synchronized[int]] | None" = None


def _work(task: Task, items: Sequence[Item]) -> tuple[list[Row], bool]:
    """The rows, and whether the process had better be replaced."""
    assert _HERE is not None  # `_begin` ran
    bounds, at = _HERE
    return attempt_within(bounds, task, items, lambda place: setattr(at, "value", place)), limits.worn_out(bounds)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables for child processes to inherit; those already set stay as they are."""
    added = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
