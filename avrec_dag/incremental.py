"""Bring one partition of one table up to date, writing as it goes: a crash loses the batches in flight, nothing else."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from avrec_dag import progress
from avrec_dag.engine import Engine
from avrec_dag.errors import AvrecError
from avrec_dag.items import Item, Outcome, Row, Task
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.steps import Step

WINDOW = 1_024
"""Items whose parents' columns are held in memory at once."""
MOST_BATCH, BATCHES_PER_WORKER = 16, 4
"""Larger batches gain nothing; with several for each worker, none waits long for the slowest."""
GUARD_ROWS = 5
"""Fewer rows than this may vanish whatever the share."""
FLUSH_ROWS, FLUSH_S = 32, 30.0
log = logging.getLogger("avrec")


def advance(
    ledger: Ledger,
    engine: Engine,
    step: Step,
    partition: str,
    task: Task,
    *,
    plan: Plan | None = None,
    run_id: str = "",
    batch_size: int | None = None,
    guard: float | None = None,
) -> Outcome:
    """Plan, remove what left, compute what is new or changed, compact.

    Args:
        ledger: Where rows are planned and stored.
        engine: Where batches run.
        step: The step to bring up to date.
        partition: The day, or `steps.WHOLE`.
        task: Computes the rows.
        plan: What to do, where it does not follow from the step's parents (uploads).
        run_id: Kept in every row.
        batch_size: Items per call of the task; by default so many that every worker gets about four batches, at most 16.
        guard: Share of the partition's rows above which removal is refused.

    Raises:
        AvrecError: More rows would vanish than the guard allows.
    """
    work = ledger.plan(step, partition) if plan is None else plan
    if guard is not None:
        _refuse_mass_removal(ledger, step.name, partition, len(work.gone), guard)
    ledger.tombstone(step.name, partition, work.gone, run_id)
    size = batch_size or max(1, min(MOST_BATCH, len(work.todo) // (BATCHES_PER_WORKER * engine.workers)))
    writer = _Writer(ledger, step.name, partition, run_id, len(work.todo))
    try:
        for rows in engine.run(task, _batches(ledger, step, partition, work.todo, size)):
            writer.add(rows)
    finally:
        writer.flush()  # also when interrupted: what was computed is kept
    ledger.compact(step.name, partition)
    rows_now = ledger.counts(step.name, partition).ok
    data_version = ledger.data_version(step.name, partition)
    done = {"table": step.name, "partition": partition, "computed": writer.computed, "failed": writer.failed, "removed": len(work.gone)}
    log.info("%(table)s %(partition)s: %(computed)d computed, %(failed)d failed, %(removed)d removed", done, extra=done)
    return Outcome(step.name, partition, writer.computed, writer.failed, len(work.gone), rows_now, data_version)


@dataclass
class _Writer:
    """Appends rows in writes of at least FLUSH_ROWS rows or FLUSH_S seconds, and counts them."""

    ledger: Ledger
    table: str
    partition: str
    run_id: str
    total: int
    computed: int = 0
    failed: int = 0
    held: list[Row] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        progress.report(self.table, self.partition, 0, self.total)

    def add(self, rows: Sequence[Row]) -> None:
        self.held += rows
        if len(self.held) >= FLUSH_ROWS or time.monotonic() - self.since > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        rows, self.held, self.since = self.held, [], time.monotonic()
        if not rows:
            return
        refused = self.ledger.append(self.table, self.partition, rows, self.run_id)
        for row in rows:
            if row.error is not None:
                log.warning("%s %s: %r failed: %s", self.table, self.partition, row.key, row.error)
        failed = sum(row.error is not None for row in rows) + refused
        self.failed += failed
        self.computed += len(rows) - failed
        progress.report(self.table, self.partition, self.computed + self.failed, self.total)


def _refuse_mass_removal(ledger: Ledger, table: str, partition: str, n_gone: int, guard: float) -> None:
    counts = ledger.counts(table, partition)
    have = counts.ok + counts.failed
    if n_gone >= GUARD_ROWS and n_gone > guard * have:
        raise AvrecError(
            f"{table} {partition}: {n_gone} of {have} items would vanish, more than the {guard:.0%} that is taken for normal; "
            "check that the whole of AVREC_MEDIA is readable, or set AVREC_GUARD=1 to remove them all the same"
        )


def _batches(ledger: Ledger, step: Step, partition: str, items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), WINDOW):
        window = ledger.fill(step, partition, items[start : start + WINDOW])
        yield from (window[i : i + size] for i in range(0, len(window), size))
