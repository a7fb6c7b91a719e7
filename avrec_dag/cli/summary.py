"""What bringing a library up to date did, as one value and as tables."""

from typing import Any

from avrec_dag.cli import output
from avrec_dag.cli.flow import Flow
from avrec_dag.cli.library import Library
from avrec_dag.schema import TABLES

_MOST_FAILURES = 20


def of(library: Library, flow: Flow, seconds: float) -> dict[str, Any]:
    """The summary that `avrec materialize --json` prints."""
    totals = flow.totals()
    ordered = [name for name in library.steps if name in totals]
    return {
        "items": totals["raw_media"].computed if "raw_media" in totals else 0,
        "computed": sum(done.computed for done in totals.values()),
        "runs": len(flow.runs),
        "assets": {name: totals[name]._asdict() for name in ordered},
        "failures": _failures(library, ordered),
        "checks": [
            {"asset": one.asset, "check": one.check, "partition": one.partition, "offenders": one.offenders, "blocking": one.blocking}
            for ran in flow.runs
            for one in ran.checks
        ],
        "errors": [
            {"job": ran.job, "partition": ran.partition, "run_id": ran.run_id, "why": why} for ran in flow.runs for why in ran.errors
        ],
        "stopped": flow.stopped,
        "seconds": round(seconds, 1),
        "ok": flow.ok,
    }


def show(told: dict[str, Any]) -> None:
    """Print it for people."""
    print_ = output.stdout().print
    rows = [[name, one["computed"], one["failed"], one["removed"]] for name, one in told["assets"].items() if any(one.values())]
    if rows:
        output.show_table(["table", "computed", "failed", "removed"], rows)
    if told["failures"]:
        output.show_table(["failed", "table", "why"], [[one["key"], one["table"], one["error"]] for one in told["failures"]])
    for one in told["checks"]:
        kind = "check failed" if one["blocking"] else "warning"
        where = f"{one['asset']}.{one['check']} {one['partition']}"
        print_(f"{kind}: {where} {one['offenders']}".rstrip(), markup=False)
    for one in told["errors"]:
        print_(f"run failed: {one['job']} {one['partition']}: {one['why']}", markup=False)
    if told["stopped"]:
        print_(f"Stopped after {told['stopped']}: what follows would build on it. `make ui` shows run by run what happened.", markup=False)
    print_(f"{told['items']} items, {told['computed']} rows computed in {told['runs']} runs, {told['seconds']:.1f} s", markup=False)


def _failures(library: Library, tables: list[str]) -> list[dict[str, Any]]:
    found = []
    for name in tables:
        rows = library.ledger.rows(name, None, ["error", "partition"], status="failed").to_pylist()
        found += [{"table": name, "key": row[TABLES[name].key], "partition": row["partition"], "error": row["error"]} for row in rows]
    return found[:_MOST_FAILURES]
