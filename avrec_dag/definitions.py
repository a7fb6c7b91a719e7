"""The door: everything that Dagster is told."""

from collections.abc import Mapping

import dagster as dg

from assets import (
    automation,
    checks,
    failures,
    features,
    graph,
    housekeeping,
    ingest,
    moderation,
    nights,
    quality,
    recommend,
    understanding,
)
from resources import logs, profiles

GROUPS = {
    "ingest": ingest,
    "features": features,
    "understanding": understanding,
    "moderation": moderation,
    "quality": quality,
    "recommend": recommend,
}


def build(resources: Mapping[str, object]) -> dg.Definitions:
    """Everything this code location offers, wired to `resources`."""
    return dg.Definitions(
        assets=[one for group, module in GROUPS.items() for one in dg.load_assets_from_modules([module], group_name=group)],
        asset_checks=checks.CHECKS,
        jobs=[*automation.JOBS, housekeeping.housekeeping],
        sensors=[*automation.SENSORS, *failures.SENSORS],
        schedules=[*nights.SCHEDULES, housekeeping.nightly_housekeeping],
        resources=resources,
        # One process for all steps of a run: a step of its own would take 2 s to start; parallelism lives inside the assets.
        executor=dg.in_process_executor,
    )


logs.configure(graph.SETTINGS.log)
defs = build(profiles.from_env())
