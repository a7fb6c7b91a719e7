"""One process that materialises one day, as a run of Dagster, until it is done or killed (`bench/faults.py`): `python fault_day.py DAY`.

It says `at work` when the run begins, and `done` where every step succeeded. Checks write nothing, and are left out.
"""

import sys

import dagster as dg


def main(day: str) -> None:
    from assets import automation, graph
    from avrec_dag.cli.runs import home
    from avrec_dag.definitions import defs
    from resources.workers import reap

    home()
    names = [name for name in automation.INGEST_TABLES if not graph.STEPS[name].off]
    chosen = [defs.resolve_assets_def(name) for name in names]
    with dg.DagsterInstance.get() as records:
        reap(records)
        print("at work", flush=True)
        done = dg.materialize(chosen, partition_key=day, instance=records, raise_on_error=False)
    if done.success:
        print("done", flush=True)
    for event in done.all_events:
        if event.is_step_failure and (cause := event.step_failure_data.error):
            while cause.cause is not None:
                cause = cause.cause
            print(f"failed: {event.step_key}: {cause.message.strip()[:300]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
