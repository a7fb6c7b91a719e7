"""Rounds of `bench/faults.py` in which `dagster dev` works: it finds the day, and what was killed, by itself."""

import random
import time

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from fault_kinds import Kind
from fault_rounds import MOST_LAUNCHES, ROOT, Round, Told, say

from tests.made_dagster_dev import free_port, recorded_in, running

_STARTS_S, _AT_REST_S, _MOST_S, _ENDS_S = 30, 12, 600, 120
"""By the first, sensors look for the first time; they look every 5 s, so that by the second what follows from the last run has begun; the
others are patience."""


def disturbed(one: Round, kind: Kind, faults: int, rng: random.Random, told: Told) -> None:
    """Let the daemon work while faults happen, each followed by a new start, until it has been at rest for a while."""
    recorded_in(one.home)
    missing, killed = faults, False
    for launch in range(MOST_LAUNCHES + 2 * faults):
        log, began_at = one.place.root / f"daemon-{one.number}-{launch}", time.time()
        ends_at, waits, killed = began_at + rng.uniform(*kind.every_s), killed, False
        told.launches += 1
        with running(free_port(), log, cwd=ROOT, env=one.environment) as dev, dg.DagsterInstance.from_config(str(one.home)) as records:
            while not killed and time.time() < began_at + _MOST_S:
                if waits and _at_work_since(records, began_at):
                    told.restarts_s.append(time.time() - began_at)
                    waits = False
                if missing and time.time() >= ends_at and kind.cause(one.place, dev, rng):
                    missing, told.faults, killed = missing - 1, told.faults + 1, True
                elif time.time() >= began_at + _STARTS_S and _at_rest(one, records):
                    return
                time.sleep(0.2)
            if not killed:
                break
            dev.wait(_ENDS_S)
    told.unfinished += 1
    say(f"  not at rest: {log.read_text(errors='replace')[-400:]}")


def _at_work_since(records: dg.DagsterInstance, at_s: float) -> bool:
    return any((record.start_time or 0) >= at_s for record in records.get_run_records(limit=5))


def _at_rest(one: Round, records: dg.DagsterInstance) -> bool:
    """Whether no run is under way and no table behind, and stays so for a while."""
    until = time.monotonic() + _AT_REST_S
    while not _awaited(records) and not one.left():
        if time.monotonic() > until:
            return True
        time.sleep(1)
    return False


def _awaited(records: dg.DagsterInstance) -> bool:
    """Whether a run is under way, or one that failed is to be tried again and is not yet."""
    if records.get_runs_count(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        return True
    failed = records.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return any(run.tags.get("dagster/will_retry") == "true" and "dagster/auto_retry_run_id" not in run.tags for run in failed)
