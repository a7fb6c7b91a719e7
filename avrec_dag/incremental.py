"""Bring one partition of one table up to date, writing as it goes: a crash loses the batches in flight, nothing else."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from avrec_dag import progress
from avrec_dag.engine import Engine
from avrec_dag.errors import AvrecError
from avrec_dag.items import Item, Outcome, Row, Task
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.steps import Step

WINDOW = 1_024
"""Items whose parents' columns are held in memory at once."""
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
    batch_size: int = 16,
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
        batch_size: Items per call of the task.
        guard: Share of the partition's rows above which removal is refused.

    Raises:
        AvrecError: More rows would vanish than the guard allows.
    """
    given = plan is not None
    todo = plan or ledger.plan(step, partition)
    if guard is not None:
        _refuse_mass_removal(ledger, step.name, partition, len(todo.gone), guard)
    ledger.tombstone(step.name, partition, todo.gone, run_id)
    attempts = {item.key: item.attempts for item in todo.todo}
    computed = failed = 0
    progress.report(step.name, partition, 0, len(todo.todo))
    for rows in _flushes(engine.run(task, _batches(ledger, step, partition, todo.todo, batch_size, fill=not given))):
        ledger.append(step.name, partition, rows, run_id, attempts)
        for row in rows:
            if row.error is not None:
                log.warning("%s %s: %r failed: %s", step.name, partition, row.key, row.error)
        failed += sum(row.error is not None for row in rows)
        computed += sum(row.error is None for row in rows)
        progress.report(step.name, partition, computed + failed, len(todo.todo))
    ledger.compact(step.name, partition)
    rows_now = ledger.counts(step.name, partition).ok
    return Outcome(step.name, partition, computed, failed, len(todo.gone), rows_now, ledger.data_version(step.name, partition))


def _refuse_mass_removal(ledger: Ledger, table: str, partition: str, n_gone: int, guard: float) -> None:
    counts = ledger.counts(table, partition)
    have = counts.ok + counts.failed
    if n_gone >= GUARD_ROWS and n_gone > guard * have:
        raise AvrecError(
            f"{table} {partition}: {n_gone} of {have} items would vanish, more than the {guard:.0%} that is taken for normal; "
            "check that the whole of AVREC_MEDIA is readable, or set AVREC_GUARD=1 to remove them all the same"
        )


def _batches(ledger: Ledger, step: Step, partition: str, items: Sequence[Item], size: int, *, fill: bool) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), WINDOW):
        window = items[start : start + WINDOW]
        filled = ledger.fill(step, partition, window) if fill else window
        yield from (filled[i : i + size] for i in range(0, len(filled), size))


def _flushes(results: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """Group results into writes of at least FLUSH_ROWS rows or FLUSH_S seconds."""
    held: list[Row] = []
    since = time.monotonic()
    for rows in results:
        held += rows
        if len(held) >= FLUSH_ROWS or time.monotonic() - since > FLUSH_S:
            yield held
            held, since = [], time.monotonic()
    if held:
        yield held
