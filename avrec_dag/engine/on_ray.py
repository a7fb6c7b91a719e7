"""The same batches on Ray: on this machine, or on a cluster that has this package installed."""

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from avrec_dag.engine.base import DIED, THREADS, attempt, worker_count
from avrec_dag.errors import SettingError
from avrec_dag.items import Item, Row, Task

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


class OnRay:
    """Runs every batch as one Ray task. Ray keeps its worker processes, and they their models, from task to task."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise SettingError("AVREC_ENGINE asks for Ray, which is not installed; pip install 'avrec_dag[ray]'")
        self.address = address
        self.workers = worker_count(workers)
        self._remote: Any = None

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`; at most twice as many batches as there are processors are in flight, so memory stays bounded."""
        import ray

        stream = iter(batches)
        self._connect()
        shared = ray.put(task)
        flying: dict[Any, Sequence[Item]] = {}
        try:
            while True:
                flying |= {self._remote.remote(shared, batch): batch for batch in islice(stream, 2 * self.workers - len(flying))}
                if not flying:
                    break
                for done in ray.wait(list(flying), num_returns=1)[0]:
                    yield from self._result(shared, done, flying.pop(done))
        finally:
            for future in flying:
                ray.cancel(future, force=True)

    def _connect(self) -> None:
        """Start or join Ray, once.

        Raises:
            SettingError: Nothing answers at the address.
        """
        import ray

        if self._remote is not None:
            return
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        own: dict[str, Any] = {"address": self.address or "local"}  # local: whatever RAY_ADDRESS says
        if self.address is None:
            own |= {"num_cpus": self.workers, "include_dashboard": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Ray announces its own future changes
                ray.init(**own, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": THREADS})
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SettingError(f"AVREC_ENGINE={self.address or 'ray'!r}: no Ray answers ({error}); start one, or use local") from error
        self.workers = max(1, int(ray.cluster_resources().get("CPU", self.workers)))
        self._remote = ray.remote(attempt).options(num_cpus=1, max_retries=0)

    def _result(self, task: Any, future: Any, batch: Sequence[Item]) -> Iterator[list[Row]]:
        """The rows of one batch; if its process died, each item alone, to find the one that kills."""
        import ray
        from ray import exceptions

        try:
            yield ray.get(future)
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError):
            if len(batch) == 1:
                yield [batch[0].failed(DIED)]
                return
            for item in batch:
                yield from self._result(task, self._remote.remote(task, [item]), [item])

    def close(self) -> None:
        """Stop the Ray that was started here, or leave the one that was joined."""
        import ray

        if self._remote is not None:
            self._remote = None
            ray.shutdown()
