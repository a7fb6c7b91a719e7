"""The same batches on Ray: on this machine, or on a cluster that has this package installed."""

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from avrec_dag import limits
from avrec_dag.encoders import devices
from avrec_dag.engine.base import DIED, THREADS, attempt_within, worker_count
from avrec_dag.errors import SettingError
from avrec_dag.items import Item, Row, Task
from avrec_dag.limits import Limits

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


class OnRay:
    """Runs every batch as one Ray task. Ray keeps its worker processes, and they their models, from task to task.

    A task that computes on graphics cards (`on_card`) has an actor for each card of the cluster instead, which keeps its card and
    its model and sees no other card. Ray ends the process of a plain task that asks for a card, and would load the model for every batch.
    """

    def __init__(self, address: str | None = None, workers: int | None = None, bounds: Limits | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise SettingError("AVREC_ENGINE asks for Ray, which is not installed; pip install 'avrec_dag[ray]'")
        self.address, self._bounds = address, bounds or Limits()
        self.workers = worker_count(workers)
        self._remote: Any = None
        self._n_cards = 0
        self._on_cards: dict[int, Any] = {}

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        """As `Engine.run`; at most twice as many batches as there are processors, or one for each card, are in flight."""
        import ray

        stream = iter(batches)
        self._connect()
        shared = ray.put(task)
        free: list[int | None] = [*range(self._n_cards)] if self._wants_cards(task, shared) else [None] * (2 * self.workers)
        flying: dict[Any, tuple[int | None, Sequence[Item]]] = {}
        try:
            while True:
                for batch in islice(stream, len(free)):
                    card = free.pop()
                    flying[self._submit(card, shared, batch)] = card, batch
                if not flying:
                    break
                for done in ray.wait(list(flying), num_returns=1)[0]:
                    card, batch = flying.pop(done)
                    yield from self._result(card, shared, done, batch)
                    free.append(card)
        finally:
            for future, (card, _) in flying.items():
                if card is None:
                    ray.cancel(future, force=True)
                else:
                    self._drop(card)

    def _wants_cards(self, task: Task, shared: Any) -> bool:
        """Whether the task computes on a card; where this machine has none, a process that has one is asked."""
        import ray

        told = getattr(task, "on_card", None)
        if told is None or not self._n_cards:
            return False
        return bool(told) or (not devices.cards() and ray.get(self._holder(0).on_card.remote(shared)))

    def _submit(self, card: int | None, shared: Any, batch: Sequence[Item]) -> Any:
        compute = self._remote if card is None else self._holder(card).attempt
        return compute.remote(self._bounds, shared, batch)

    def _holder(self, card: int) -> Any:
        """The actor that keeps one of the cards; which one, Ray decides."""
        import ray

        if card not in self._on_cards:
            self._on_cards[card] = ray.remote(_CardHolder).options(**needs(on_card=True)).remote()
        return self._on_cards[card]

    def _drop(self, card: int) -> None:
        """End the actor of a card; the next batch starts a new one."""
        import ray

        if card in self._on_cards:
            ray.kill(self._on_cards.pop(card))

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
            own |= {"num_cpus": self.workers, "num_gpus": devices.cards(), "include_dashboard": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Ray announces its own future changes
                ray.init(**own, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": THREADS})
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SettingError(f"AVREC_ENGINE={self.address or 'ray'!r}: no Ray answers ({error}); start one, or use local") from error
        self.workers = max(1, int(ray.cluster_resources().get("CPU", self.workers)))
        self._n_cards = int(ray.cluster_resources().get("GPU", 0))
        self._remote = ray.remote(_attempt).options(**needs(on_card=False), max_retries=0)

    def _result(self, card: int | None, task: Any, future: Any, batch: Sequence[Item]) -> Iterator[list[Row]]:
        """The rows of one batch; if its process died, each item alone, to find the one that kills."""
        import ray
        from ray import exceptions

        try:
            yield ray.get(future)
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError, exceptions.RayActorError):
            if card is not None:
                self._drop(card)
            if len(batch) == 1:
                yield [batch[0].failed(f"{DIED}: it passed the seconds of AVREC_LIMITS, memory ran out, or a decoder crashed")]
                return
            for item in batch:
                yield from self._result(card, task, self._submit(card, task, [item]), [item])

    def close(self) -> None:
        """Stop the Ray that was started here, or leave the one that was joined."""
        import ray

        if self._remote is not None:
            self._remote = None
            self._on_cards.clear()
            ray.shutdown()


def _attempt(bounds: Limits, task: Task, items: Sequence[Item]) -> list[Row]:
    limits.become_expendable()
    return attempt_within(bounds, task, items)


class _CardHolder:
    """A process that Ray gives one card for good."""

    def attempt(self, bounds: Limits, task: Task, items: Sequence[Item]) -> list[Row]:
        return _attempt(bounds, task, items)

    def on_card(self, task: Task) -> bool:
        return bool(getattr(task, "on_card", False))


def needs(*, on_card: bool) -> dict[str, int]:
    """What Ray reserves for a process: a core, or a whole card.

    No core with a card: processes that keep their cards would keep the cores from every other task.
    """
    return {"num_cpus": 0, "num_gpus": 1} if on_card else {"num_cpus": 1, "num_gpus": 0}
