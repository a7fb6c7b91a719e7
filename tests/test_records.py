from pathlib import Path

import dagster as dg
import pytest

from assets.pictures import plain
from resources.records import Records

ITEM, OTHER = 'dt=2026-01-01/猫 [1] "a".mp4', "dt=2026-01-01/b.mp4"
DAYS = dg.DailyPartitionsDefinition("2026-01-01")
SHOWN = tuple(dict.fromkeys([ITEM, plain(ITEM)]))


@dg.asset(partitions_def=DAYS, name="frames")
def shown(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.warning("%r failed: it is cut short", ITEM)
    print(f"looked at {ITEM}")  # noqa: T201 - for the log of the run
    return dg.MaterializeResult(metadata={"sheet": dg.MetadataValue.md(f"{plain(ITEM)} ![](data:,x)"), "rows": 7, "other": OTHER})


@dg.asset_check(asset="frames")
def promise() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata={"offenders": f"{ITEM}, {OTHER}"})


@pytest.fixture
def instance(tmp_path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as one:
        assert dg.materialize([shown, promise], partition_key="2026-01-01", instance=one).success
        yield one


def holding(folder: Path, text: str) -> list[str]:
    forms = [text.encode(), *(text.encode("ascii", "backslashreplace").replace(b'"', quote) for quote in (b'"', b'\\"'))]
    return [str(path) for path in folder.rglob("*") if path.is_file() and any(form in path.read_bytes() for form in forms)]


def test_previews_messages_checks_and_logs_of_runs_name_an_erased_item_no_more_and_still_say_what_was_done(instance, tmp_path):
    records, others = Records(instance, SHOWN), Records(instance, (OTHER,))
    assert set(records.find()) == {"records of runs", "logs of runs"}
    assert holding(tmp_path, ITEM)
    assert len(others.find()) == 1
    events = instance.all_logs(instance.get_run_ids()[0])

    records.erase()

    assert (records.find(), holding(tmp_path, ITEM), holding(tmp_path, plain(ITEM))) == ({}, [], [])
    assert len(instance.all_logs(instance.get_run_ids()[0])) == len(events)
    (page,) = instance.fetch_materializations(dg.AssetKey("frames"), limit=5).records
    told = {name: value.value for name, value in page.asset_materialization.metadata.items()}
    assert {name: told[name] for name in ("sheet", "rows", "other")} == {"sheet": "erased", "rows": 7, "other": OTHER}
    statuses = instance.get_status_by_partition(dg.AssetKey("frames"), ["2026-01-01"], DAYS)
    assert statuses["2026-01-01"].name == "MATERIALIZED"
    assert instance.get_latest_materialization_event(dg.AssetKey("frames")) is not None


def test_a_name_that_is_also_a_word_of_dagster_breaks_no_record(instance):
    for name in ("frames", "AssetKey", "2026-01-01", "STEP_SUCCESS", "7"):
        Records(instance, (name,)).erase()
    (page,) = instance.fetch_materializations(dg.AssetKey("frames"), limit=5).records
    assert (page.partition_key, page.asset_key.path) == ("2026-01-01", ["frames"])
    assert instance.all_logs(instance.get_run_ids()[0])
