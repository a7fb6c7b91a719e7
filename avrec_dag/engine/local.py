"""Batches over the processes of this machine."""

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from avrec_dag.encoders import devices
from avrec_dag.engine.base import DIED, THREADS, attempt, worker_count
from avrec_dag.errors import AvrecError
from avrec_dag.items import Item, Row, Task

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


class Local:
    """Runs batches over spawned processes, started at the first batch and kept for every task after it.

    A task that computes on graphics cards (`on_card`) has a process for each card instead of one for each core: more would
    each hold the model in the card's memory, and gain nothing.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = worker_count(workers)
        self._pools: dict[int, ProcessPoolExecutor] = {}

    def at_once(self, task: Task) -> int:
        """Processes that a task is run over."""
        return min(self.workers, devices.cards() or self.workers) if getattr(task, "on_card", False) else self.workers

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`; at most twice as many batches as workers are in flight, so memory stays bounded.

        Raises:
            AttributeError, TypeError or pickle.PicklingError: The task cannot be sent to another process.
        """
        pickle.dumps(task)  # a task that cannot be sent is told at once, not by a thread of the pool in the middle of its shutdown
        stream = iter(batches)
        flying: dict[Future[list[Row]], Sequence[Item]] = {}
        finished = False
        try:
            while True:
                flying |= {self._submit(task, batch): batch for batch in islice(stream, 2 * self.at_once(task) - len(flying))}
                if not flying:
                    break
                done = wait(flying, return_when=FIRST_COMPLETED).done
                if any(map(_broken, done)):
                    done = wait(flying).done
                suspects = []
                for future in done:
                    batch = flying.pop(future)
                    if _broken(future):
                        suspects.append(batch)
                    else:
                        yield future.result()
                if suspects:
                    yield from self._one_by_one(task, suspects)
            finished = True
        finally:
            if not finished:  # interrupted, or the caller gave up: nobody waits for what still runs
                self.close()

    def _submit(self, task: Task, batch: Sequence[Item]) -> Future[list[Row]]:
        size = self.at_once(task)
        if size not in self._pools:
            self._pools[size] = _start(size)
        try:
            return self._pools[size].submit(attempt, task, batch)
        except BrokenProcessPool as error:  # a worker died since the last look
            broken: Future[list[Row]] = Future()
            broken.set_exception(error)
            return broken

    def _one_by_one(self, task: Task, suspects: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """A worker died, and with it every batch in flight: run each alone, to find the item that kills."""
        self.close()
        for batch in suspects:
            try:
                yield self._submit(task, batch).result()
            except BrokenProcessPool:
                self.close()
                if len(batch) == 1:
                    yield [batch[0].failed(DIED)]
                else:
                    yield from self._one_by_one(task, [[item] for item in batch])

    def close(self) -> None:
        """Stop the workers at once; the next batch starts new ones."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            for process in list((pool._processes or {}).values()):  # Python 3.14 names this terminate_workers
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


def _broken(future: Future[list[Row]]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _start(workers: int) -> ProcessPoolExecutor:
    """A pool whose workers have shown that they run.

    Raises:
        AvrecError: They do not.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (context.Value("i", 0),))
    try:
        with _environment(THREADS):  # numeric libraries read it when they load, which may be before any code of ours runs in a worker
            wait([pool.submit(os.getpid) for _ in range(workers)])
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise AvrecError(
            "worker processes cannot start: call from a module with `if __name__ == '__main__':`, or set AVREC_ENGINE=inline"
        ) from error
    return pool


def _begin(started: "Synchronized[int]") -> None:
    """Set up a worker: Ctrl-C is the parent's business, and the parent's end is the worker's end; it takes the next number."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with started.get_lock():
        os.environ[devices.ORDINAL] = str(started.value)
        started.value += 1
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    threading.Thread(target=_end_with_parent, daemon=True).start()


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
