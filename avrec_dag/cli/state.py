"""The state of a library in one value: what `avrec status` prints."""

from typing import Any

from rich.console import Group

from avrec_dag.cli import changes, output
from avrec_dag.cli.library import Library
from avrec_dag.cli.runs import Checked, Runner


def status(library: Library) -> dict[str, Any]:
    """Items, rows per table, what is stale or failed, and how every check ended the last time it ran.

    Returns:
        `{"items", "failed", "warned", "assets": {name: {"rows", "stale", "failed"}}, "checks": {"passed", "failed"}}`
    """
    runner = Runner(library)
    stale = changes.stale(library, runner)
    assets = {}
    for name in library.steps:
        counts = library.ledger.counts(name)
        assets[name] = {"rows": counts.ok, "stale": stale[name], "failed": counts.failed}
    passed = [one.passed for one in runner.checks()]
    return {
        "items": assets["raw_media"]["rows"],
        "failed": assets["raw_media"]["failed"],
        "warned": sum(bool(one) for one in library.ledger.rows("raw_media", None, ["warnings"])["warnings"].to_pylist()),
        "assets": assets,
        "checks": {"passed": passed.count(True), "failed": passed.count(False)},
    }


def shown(found: dict[str, Any]) -> Group:
    """The state as a person reads it."""
    rows = [[name, one["rows"], one["stale"], one["failed"]] for name, one in found["assets"].items()]
    checks = found["checks"]
    told = (
        f"\n{found['items']} items, {found['warned']} of them with warnings, {found['failed']} unreadable; "
        f"checks: {checks['passed']} passed, {checks['failed']} failed"
    )
    return Group(output.table_of(["table", "rows", "stale", "failed"], rows), told)


def checks(library: Library) -> list[dict[str, Any]]:
    """Checks by day and table, newest day first, the whole library last.

    Returns:
        `[{"day", "table", "passed", "failed", "broken": [names]}]`
    """
    ended: dict[tuple[str, str], list[Checked]] = {}
    for one in Runner(library).checks():
        ended.setdefault((one.day, one.table), []).append(one)
    order = {name: place for place, name in enumerate(library.steps)}
    found = [
        {"day": day, "table": table, "passed": sum(one.passed for one in some), "failed": sum(not one.passed for one in some),
         "broken": sorted(one.check for one in some if not one.passed)}
        for (day, table), some in sorted(ended.items(), key=lambda pair: order.get(pair[0][1], len(order)))
    ]  # fmt: skip
    return sorted(found, key=lambda one: str(one["day"]), reverse=True)
