"""What every asset has from `avrec_dag.steps`: its parents, code version and partitions, under the settings of this process."""

from datetime import timedelta
from typing import Any

import dagster as dg

from avrec_dag.schema import TABLES
from avrec_dag.steps import Step, graph
from resources.profiles import Settings

SETTINGS = Settings.from_env()
STEPS: dict[str, Step] = graph(SETTINGS.recipe())
UPLOAD_DAYS = dg.DailyPartitionsDefinition(SETTINGS.start.isoformat(), end_offset=1)  # with today
EVENT_DAYS = dg.DailyPartitionsDefinition(SETTINGS.start.isoformat(), end_offset=1)
OWNER = "team:avrec"
GPU_POOL = "gpu"
"""Assets whose models may sit on a graphics card: one at a time, as two would not fit into its memory."""
TRANSIENT = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For work over a network, which fails for a moment now and then; what was computed before is kept, so a retry is cheap."""

CATCH_UP_DAYS = 30
_AC = dg.AutomationCondition
CATCH_UP = (
    _AC.cron_tick_passed("0 2 * * *")
    & _AC.in_latest_time_window(timedelta(days=CATCH_UP_DAYS))
    & (_AC.missing() | _AC.execution_failed() | _AC.code_version_changed().since(_AC.newly_updated()))
    & _AC.all_deps_blocking_checks_passed()
    & ~_AC.in_progress()
    & ~_AC.any_deps_missing()
    & ~_AC.any_deps_in_progress()
).with_label("catch_up")
"""At two in the morning: days of the last thirty that are missing, failed or made by older code, and whose inputs keep their promises."""
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
"""For tables of the whole library, which every night brings up to date: two nights missed are a failure. Days have none: without
uploads there is nothing to bring."""

_REMOTE = any("://" in uri and not uri.startswith(("file:", "sqlite:")) for uri in (SETTINGS.media, SETTINGS.store, SETTINGS.feedback))
_PARTITIONS = {"upload_day": UPLOAD_DAYS, "event_day": EVENT_DAYS, "whole": None}


def partitions_of(name: str) -> dg.PartitionsDefinition | None:
    """What a table is partitioned by."""
    return _PARTITIONS[STEPS[name].partition]


def of(name: str) -> dict[str, Any]:
    """The arguments of `dg.asset` that follow from the step of this name."""
    step, table = STEPS[name], TABLES[name]
    names = [table.key, *table.columns.names]
    types = ["string", *map(str, table.columns.types)]
    columns = [dg.TableColumn(column, kind) for column, kind in zip(names, types, strict=True)]
    return {
        "name": name,
        "deps": list(step.parents),
        "code_version": step.code,
        "partitions_def": partitions_of(name),
        "owners": [OWNER],
        "freshness_policy": NIGHTLY if step.partition == "whole" else None,
        "automation_condition": CATCH_UP if step.partition == "upload_day" else None,
        "retry_policy": TRANSIENT if _REMOTE else None,
        "tags": {"partition": step.partition},
        "metadata": {"dagster/table_name": name, "dagster/column_schema": dg.TableSchema(columns)},
    }
