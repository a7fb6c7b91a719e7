"""What of the instance is stuck and why, each with the command that mends it: what `avrec doctor --instance` prints."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from avrec_dag.encoders.doctor import Finding
from resources.workers import Begun, Worker, begun

_WORKING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_MOST_NAMED = 5
REAP, START, BACKFILL = "avrec reap", "make ui", "avrec backfill"
_TURN, _START_MIN = "their turn", 3.0
_STATES = {
    Worker.LIVES: "lives",
    Worker.GONE: "is gone",
    Worker.ELSEWHERE: "is another machine's: ask there",
    Worker.UNKNOWN: "is not known",
}


def findings(instance: dg.DagsterInstance, failed: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Daemons, runs at work, runs that wait, pools, days and sensors.

    Args:
        instance: The records of `avrec` and `dagster dev`.
        failed: Job -> days whose last run failed (`backfilling.failed_days`).
    """
    at_work = begun(instance)
    alive = _alive(instance)
    return [
        *_daemons(instance, alive),
        *(_at_work(run) for run in at_work),
        *_waiting(instance, at_work, any_alive=any(alive.values())),
        *_pools(instance, at_work),
        *(_failed(job, days) for job, days in failed.items() if days),
        *_ticks(instance),
    ]


def _alive(instance: dg.DagsterInstance) -> dict[str, bool]:
    return {name: bool(status.healthy) for name, status in instance.get_daemon_statuses().items() if status.required}


def _daemons(instance: dg.DagsterInstance, alive: dict[str, bool]) -> Iterator[Finding]:
    if not any(alive.values()):
        # That is how a library lives that only the command line works on.
        yield Finding("daemons", True, "none is running: no sensor, schedule or queued run gets its turn; `make ui` starts them")
        return
    for name, healthy in sorted(alive.items()):
        last = instance.get_daemon_statuses()[name].last_heartbeat
        seen = f"last heard of {datetime.fromtimestamp(last.timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC" if last else "never heard of"
        yield Finding(f"daemon {name}", healthy, seen, "" if healthy else f"stop and start it: {START}")


def _at_work(run: Begun) -> Finding:
    what = f"{run.job} {run.day}".strip()
    told = f"{what} is {run.status} for {run.idle_min:.0f} min; its process {_STATES[run.worker]}"
    held = f"; it holds or awaits a slot of {', '.join(run.slots)}" if run.slots else ""
    remedy = {Worker.GONE: REAP, Worker.UNKNOWN: f"where none works on it: dagster run delete {run.run_id}"}.get(run.worker, "")
    lost = run.worker is Worker.GONE or (run.worker is Worker.UNKNOWN and run.idle_min > _START_MIN)
    return Finding(f"run {run.run_id[:8]}", not lost, told + held, remedy if lost else "")


def _waiting(instance: dg.DagsterInstance, at_work: Sequence[Begun], *, any_alive: bool) -> Iterator[Finding]:
    waiting = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    lost = sum(run.worker is Worker.GONE for run in at_work)
    for reason, runs in _by_reason(instance, waiting).items():
        named = ", ".join(f"{run.job_name} {run.tags.get('dagster/partition', '')}".strip() for run in runs[:_MOST_NAMED])
        more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
        blocked = lost > 0 and reason != _TURN
        remedy = REAP if blocked else "" if any_alive else START
        because = reason if any_alive else "a daemon: none is running"
        yield Finding(f"{len(runs)} waiting", not remedy, f"{named}{more}: for {because}", remedy)


def _by_reason(instance: dg.DagsterInstance, waiting: Sequence[dg.DagsterRun]) -> dict[str, list[dg.DagsterRun]]:
    reasons: dict[str, list[dg.DagsterRun]] = {}
    queue = instance.get_concurrency_config().run_queue_config
    if queue is None:
        return {_TURN: list(waiting)} if waiting else {}
    working = instance.get_runs(dg.RunsFilter(statuses=_WORKING))
    full = 0 <= queue.max_concurrent_runs <= len(working)
    limits = [(str(limit["key"]), int(limit["limit"])) for limit in queue.tag_concurrency_limits if not limit.get("value")]
    taken = {key: sum(key in run.tags for run in working) for key, _ in limits}
    for run in waiting:
        mine = [f"one of {limit} places of runs tagged {key}" for key, limit in limits if key in run.tags and taken[key] >= limit]
        reason = f"one of {queue.max_concurrent_runs} places" if full else (mine or [_TURN])[0]
        reasons.setdefault(reason, []).append(run)
    return reasons


def _pools(instance: dg.DagsterInstance, at_work: Sequence[Begun]) -> Iterator[Finding]:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    lost = {run.run_id for run in at_work if run.worker is Worker.GONE}
    known = lost | {run.run_id for run in at_work}
    for pool in sorted(storage.get_concurrency_keys()):
        found = storage.get_concurrency_info(pool)
        unused = [slot.run_id for slot in found.claimed_slots if slot.run_id in lost or slot.run_id not in known]
        awaited = sum(step.assigned_timestamp is None for step in found.pending_steps)
        told = f"{len(found.claimed_slots)} of {found.slot_count} slots taken, {awaited} steps wait"
        if found.slot_count == 0 and found.limit == 0:
            yield Finding(f"pool {pool}", False, f"{told}: its limit is 0", f"dagster instance concurrency set {pool} 1")
        else:
            by_nobody = f"; {len(unused)} of them by runs that nobody works on" if unused else ""
            yield Finding(f"pool {pool}", not unused, told + by_nobody, REAP if unused else "")


def _failed(job: str, days: Sequence[str]) -> Finding:
    more = f" and {len(days) - _MOST_NAMED} more" if len(days) > _MOST_NAMED else ""
    return Finding(f"{job} failed", False, f"on {', '.join(days[:_MOST_NAMED])}{more}", BACKFILL)


def _ticks(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Sensors and schedules whose last tick raised."""
    for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE, InstigatorType.AUTO_MATERIALIZE):
        for state in instance.all_instigator_state(instigator_type=kind):
            last = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
            if last and last[0].status is TickStatus.FAILURE:
                error = last[0].error
                while error is not None and error.cause is not None:
                    error = error.cause
                why = error.message.strip().splitlines()[0] if error is not None else "without a reason"
                mend = f"mend what it says, then it goes on by itself; its ticks: {START}, Automation"
                yield Finding(f"{kind.value.lower()} {state.instigator_name}", False, f"its last tick failed: {why}", mend)
