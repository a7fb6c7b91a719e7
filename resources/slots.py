"""Pool slots of runs whose process was killed: nobody else gives them back when no daemon is running."""

import os

import dagster as dg


def release_lost(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs that hold or wait for a slot although their process is gone, and free what they held.

    Without this, `avrec materialize` after a killed one waits for ever. Only where the instance keeps its records on this disk, as
    only then are the process ids of this machine's processes.

    Returns:
        The ids of those runs.
    """
    storage = instance.event_log_storage
    if "Sqlite" not in type(storage).__name__:
        return []
    pools = [storage.get_concurrency_info(key) for key in storage.get_concurrency_keys()]
    holders = {step.run_id for pool in pools for step in (*pool.claimed_slots, *pool.pending_steps)}
    lost = [run_id for run_id in sorted(holders) if _lost(instance, run_id)]
    for run_id in lost:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "its process is gone; what it had computed is kept, and the next run goes on from there")
        storage.free_concurrency_slots_for_run(run_id)
    return lost


def _lost(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return True
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    told = [entry.dagster_event.engine_event_data.metadata for entry in events if entry.dagster_event]
    pids = {int(str(metadata["pid"].value)) for metadata in told if "pid" in metadata}
    return bool(pids) and not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
