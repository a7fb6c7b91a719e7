"""Whether the process that works on a run still lives, and the end of runs whose process does not."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import dagster as dg

HOST, PROCESS = "avrec/host", "avrec/process"
"""Tags of a run: the machine, or container, whose process works on it; its id, its start and the boot it belongs to."""
LAUNCHED = "avrec/launched"
"""Tag of a run whose process was started for it by `warm_launcher`."""
BACKFILL = "avrec/backfill"
"""Tag of runs that catch up, with who asked for them; dagster.yaml leaves a place beside them for what is live."""
_BEGUN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
_ENDED = "ended"
_GONE = "its process is gone; what it had computed is kept, and the next run goes on from there"


class Worker(Enum):
    """What is known of the process that works on a run."""

    LIVES = "lives"
    GONE = "gone"
    ELSEWHERE = "on another machine"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Begun:
    """A run that Dagster takes to be at work.

    Attributes:
        run_id: The run.
        job: Its job.
        day: Its day; empty for the whole library.
        status: STARTING or STARTED.
        idle_min: Minutes since its status last changed.
        worker: What is known of its process.
        slots: Pools of which it holds a slot.
    """

    run_id: str
    job: str
    day: str
    status: str
    idle_min: float
    worker: Worker
    slots: tuple[str, ...] = ()


def catches_up(tags: Mapping[str, str]) -> bool:
    """Whether a run catches up, by our planner or as a backfill of Dagster's; else it is live."""
    return BACKFILL in tags or "dagster/backfill" in tags


def mark(instance: dg.DagsterInstance, run_id: str, process: int | None = None) -> None:
    """Write down that a process, or this one, works on a run: process ids mean nothing elsewhere, and are given out again."""
    pid = os.getpid() if process is None else process
    instance.add_run_tags(run_id, {HOST: socket.gethostname(), PROCESS: f"{pid} {_born(pid)}"})


def process_of(tags: Mapping[str, str]) -> int:
    """The id of the process that works on a run, from its tags; KeyError where it was not written down."""
    return int(tags[PROCESS].partition(" ")[0])


def worker_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Worker:
    """What is known of the process of a run, from its tags and from the process ids in its events.

    Without the tags, a process is this machine's only where the instance keeps its records on this disk (SQLite), and an id that
    is in use counts as the run's, whoever has it by now.
    """
    host = run.tags.get(HOST)
    if host is None and "Sqlite" not in type(instance.event_log_storage).__name__:
        return Worker.UNKNOWN
    if host not in (None, socket.gethostname()):
        return Worker.ELSEWHERE
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    told = [entry.dagster_event.engine_event_data.metadata for entry in events if entry.dagster_event]
    born = {int(str(metadata["pid"].value)): "" for metadata in told if "pid" in metadata}
    if marked := run.tags.get(PROCESS):
        pid, _, start = marked.partition(" ")
        born[int(pid)] = start
    if not born:
        return Worker.UNKNOWN
    return Worker.LIVES if any(_alive(pid, start) for pid, start in born.items()) else Worker.GONE


def begun(instance: dg.DagsterInstance) -> list[Begun]:
    """Every run that Dagster takes to be at work, oldest first."""
    held = _slots(instance)
    found = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_BEGUN), ascending=True):
        run, idle_s = record.dagster_run, time.time() - record.update_timestamp.timestamp()
        slots = tuple(held.get(run.run_id, ()))
        day = run.tags.get("dagster/partition", "")
        found.append(Begun(run.run_id, run.job_name, day, run.status.value, idle_s / 60, worker_of(instance, run), slots))
    return found


def reap(instance: dg.DagsterInstance, *, older_than_min: float = 0.0, dry_run: bool = False) -> list[Begun]:
    """End the runs whose process is gone, and free the pool slots that nobody uses.

    A run whose process lives, is on another machine or is not known is left alone.

    Args:
        instance: Where runs are recorded.
        older_than_min: Leave alone what changed its status later than so many minutes ago.
        dry_run: Only tell.

    Returns:
        The runs that were ended, or would be.
    """
    lost = [run for run in begun(instance) if run.worker is Worker.GONE and run.idle_min >= older_than_min]
    if dry_run:
        return lost
    ended = [run for run in lost if _end(instance, run.run_id)]
    for run_id in _slots(instance):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return ended


def release_lost(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs that hold or wait for a slot although their process is gone, and free what they held.

    Without this, `avrec materialize` after a killed one waits for ever where no daemon is running.

    Returns:
        The ids of those runs.
    """
    released = []
    for run_id in sorted(_slots(instance)):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished or (worker_of(instance, run) is Worker.GONE and _end(instance, run_id)):
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
            released.append(run_id)
    return released


def _end(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Fail a run whose process is gone, unless its end was recorded since it was looked at."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    instance.report_run_failed(run, _GONE)
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return True


def _slots(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """Run -> pools of which it holds or awaits a slot."""
    storage, held = instance.event_log_storage, {}
    if not storage.supports_global_concurrency_limits:
        return {}
    for pool in sorted(storage.get_concurrency_keys()):
        found = storage.get_concurrency_info(pool)
        for run_id in {step.run_id for step in (*found.claimed_slots, *found.pending_steps)}:
            held.setdefault(run_id, []).append(pool)
    return held


def _alive(pid: int, start: str) -> bool:
    """Whether a process has this id and, where it is known, this start."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = _born(pid)
    return now != _ENDED and (not start or not now or now == start)


def _born(pid: int) -> str:
    """Clock ticks and boot at which a process began; empty where the system does not tell (macOS), `_ENDED` when it is over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return _ENDED if fields[0] == "Z" else f"{fields[19]}@{boot}"
