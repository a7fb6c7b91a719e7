"""Batches over the processes of this machine."""

import pickle
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue

from avrec_dag.encoders import devices
from avrec_dag.engine.base import worker_count
from avrec_dag.engine.worker import Worker
from avrec_dag.items import Item, Row, Task
from avrec_dag.limits import Limits


class Local:
    """Runs batches over spawned processes, started at the first batch and kept for every task after it.

    A task that computes on graphics cards (`on_card`) has a process for each card instead of one for each core: more would
    each hold the model in the card's memory, and gain nothing.

    Args:
        workers: Processes; AVREC_WORKERS, else every core, by default.
        bounds: What one upload may cost.
    """

    def __init__(self, workers: int | None = None, bounds: Limits | None = None) -> None:
        self.workers = worker_count(workers)
        self._bounds = bounds or Limits()
        self._crews: dict[int, _Crew] = {}
        self._hiring = threading.Lock()

    def at_once(self, task: Task) -> int:
        """Processes that a task is run over."""
        return min(self.workers, devices.cards() or self.workers) if getattr(task, "on_card", False) else self.workers

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`; at most twice as many batches as workers are in flight, so memory stays bounded.

        Raises:
            AttributeError, TypeError or pickle.PicklingError: The task cannot be sent to another process.
        """
        pickle.dumps(task)  # a task that cannot be sent is told at once, not by a thread of the pool in the middle of its shutdown
        stream, size = iter(batches), self.at_once(task)
        flying: set[Future[list[Row]]] = set()
        finished = False
        try:
            while True:
                flying |= {self._crew(size).submit(task, batch) for batch in islice(stream, 2 * size - len(flying))}
                if not flying:
                    break
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
            finished = True
        finally:
            if not finished:  # interrupted, or the caller gave up: nobody waits for what still runs
                self.close()

    def _crew(self, size: int) -> "_Crew":
        with self._hiring:
            if size not in self._crews:
                self._crews[size] = _Crew(size, self._bounds)
            return self._crews[size]

    def close(self) -> None:
        """Stop the workers at once; the next batch starts new ones."""
        with self._hiring:
            crews, self._crews = list(self._crews.values()), {}
        for crew in crews:
            crew.close()


class _Crew:
    """Workers, and for each a thread that waits for it: so the death of one is nobody else's business."""

    def __init__(self, size: int, bounds: Limits) -> None:
        self._workers = [Worker(ordinal, bounds) for ordinal in range(size)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(size, "avrec-worker")

    def submit(self, task: Task, batch: Sequence[Item]) -> Future[list[Row]]:
        return self._threads.submit(self._rows, task, batch)

    def _rows(self, task: Task, batch: Sequence[Item]) -> list[Row]:
        worker = self._idle.get()
        try:
            return worker.rows(task, batch)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
