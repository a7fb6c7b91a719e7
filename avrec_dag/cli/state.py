"""The state of a library in one value: what `avrec status` prints."""

from typing import Any

from avrec_dag.cli import changes
from avrec_dag.cli.library import Library
from avrec_dag.cli.runs import Runner


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
    passed, failed = runner.checks()
    return {
        "items": assets["raw_media"]["rows"],
        "failed": assets["raw_media"]["failed"],
        "warned": sum(bool(one) for one in library.ledger.rows("raw_media", None, ["warnings"])["warnings"].to_pylist()),
        "assets": assets,
        "checks": {"passed": passed, "failed": failed},
    }
