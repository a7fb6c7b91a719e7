"""Where batches of items are computed, and by which encoders."""

import os
from collections.abc import Mapping

import dagster as dg
from pydantic import PrivateAttr

from avrec_dag.engine import Engine, engine
from avrec_dag.incremental import advance
from avrec_dag.items import Outcome, Task
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.limits import Limits
from avrec_dag.recommend.model import DEFAULT
from avrec_dag.steps import Step
from resources.workers import LAUNCHED, catches_up, mark, release_lost

GIVES_WAY = 10
"""Niceness of processes that catch up: what is live goes first on the same cores, too."""
_LAUNCHED = {LAUNCHED, ".dagster/grpc_info"}


class Compute(dg.ConfigurableResource):
    """The engine of one run: workers start with the first batch, keep their models, and stop with the run.

    Attributes:
        engine: `local`, `inline`, `ray` or a Ray address.
        limits: What one upload may cost, as in `Limits.canonical`.
        encoders: Name of the encoder preset.
        speech: The speech recogniser.
        dnsmos: Who judges how speech sounds.
        screen_text: The reader of text on screen.
        moderation: The model that scores pictures for moderation.
        recommender: The models that recommend, joined by `+`.
    """

    engine: str = "local"
    limits: str = ""
    encoders: str = "packaged"
    speech: str = "auto"
    dnsmos: str = "auto"
    screen_text: str = "off"
    moderation: str = "packaged"
    recommender: str = DEFAULT
    _running: Engine | None = PrivateAttr(default=None)

    def advance(
        self,
        ledger: Ledger,
        step: Step,
        partition: str,
        task: Task,
        *,
        plan: Plan | None = None,
        run_id: str = "",
        guard: float | None = None,
    ) -> Outcome:
        """Bring one partition of one table up to date; see `incremental.advance`."""
        if self._running is None:
            self._running = engine(self.engine, bounds=Limits.read(self.limits))
        return advance(ledger, self._running, step, partition, task, plan=plan, run_id=run_id, guard=guard)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Give way to what is live, say which machine works on the run, and take back the pool slots of runs that were killed."""
        if context.run is not None and gives_way(context.run.tags):
            os.nice(GIVES_WAY)
        if context.instance is None:
            return
        if context.run is not None and context.instance.has_run(context.run.run_id):
            mark(context.instance, context.run.run_id)
        release_lost(context.instance)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Stop the workers."""
        running, self._running = self._running, None
        if running is not None:
            running.close()


def gives_way(tags: Mapping[str, str]) -> bool:
    """Whether a run catches up in a process of its own; a person who waits for a command, whose process lives on, is not slowed down."""
    return not _LAUNCHED.isdisjoint(tags) and catches_up(tags)
