import itertools
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from assets import automation, backfilling, graph, nights
from assets.automation import INGEST_TABLES
from avrec_dag import synthetic
from avrec_dag.cli.app import app
from avrec_dag.expectations import RULES
from tests.made_runs import DAYS, Library, made_runs
from tests.test_definitions import ROOT

AT = datetime(2026, 3, 5, 3, tzinfo=UTC)
WEEK = [(date(2026, 3, 1) + timedelta(days=n)).isoformat() for n in range(7)]
TWO = ("frames", "moderation")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    instance = dg.DagsterInstance.ephemeral()
    yield instance
    instance.dispose()


def made(instance: dg.DagsterInstance, table: str, day: str, code: str | None = None) -> None:
    tags = {"dagster/code_version": graph.STEPS[table].code if code is None else code}
    instance.report_runless_asset_event(dg.AssetMaterialization(table, partition=day, tags=tags))


def test_a_day_is_due_where_a_table_is_missing_or_made_by_older_code_newest_first(instance):
    made(instance, "frames", WEEK[0])
    for day, table in itertools.product(WEEK[1:3], TWO):
        made(instance, table, day)
    made(instance, "moderation", WEEK[2], code="of last year")
    found = backfilling.due(instance, "ingest_and_embed", TWO, WEEK[:4])
    assert [(one.day, one.why) for one in found] == [
        (WEEK[3], dict.fromkeys(TWO, backfilling.MISSING)),
        (WEEK[2], {"moderation": backfilling.OLD_CODE}),
        (WEEK[0], {"moderation": backfilling.MISSING}),
    ]
    made(instance, "moderation", WEEK[2])  # the newest materialization counts
    assert WEEK[2] not in [one.day for one in backfilling.due(instance, "ingest_and_embed", TWO, WEEK)]


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.tuples(st.sampled_from(WEEK), st.sampled_from(TWO)), st.booleans()))
def test_the_planner_agrees_with_a_plain_reading_of_what_was_recorded(recorded):
    with dg.DagsterInstance.ephemeral() as instance:
        for (day, table), current in recorded.items():
            made(instance, table, day, None if current else "older")
        found = {one.day: dict(one.why) for one in backfilling.due(instance, "ingest_and_embed", TWO, WEEK)}
    words = {None: backfilling.MISSING, False: backfilling.OLD_CODE}
    expected = {day: {table: words[recorded.get((day, table))] for table in TWO if not recorded.get((day, table))} for day in WEEK}
    assert found == {day: why for day, why in expected.items() if why}
    assert list(found) == sorted(found, reverse=True)


def test_a_failed_day_is_due_and_a_day_that_is_being_worked_on_is_not(instance):
    @dg.asset(name="frames", partitions_def=graph.UPLOAD_DAYS)
    def failing() -> None:
        raise RuntimeError("no")

    dg.materialize([failing], partition_key=WEEK[0], instance=instance, raise_on_error=False)
    (one,) = backfilling.due(instance, "ingest_and_embed", ["frames"], WEEK[:1])
    assert one.why == {"frames": backfilling.FAILED}
    assert backfilling.failed_days(instance, {"ingest_and_embed": ["frames"]}) == {"ingest_and_embed": [WEEK[0]]}
    job = dg.job(name="ingest_and_embed")(lambda: None)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": WEEK[0]})
    assert backfilling.due(instance, "ingest_and_embed", ["frames"], WEEK[:1]) == []


def test_the_ledger_is_asked_only_where_dagster_sees_nothing(instance):
    made(instance, "frames", WEEK[0])
    asked = []

    def behind(day: str) -> list[str]:
        asked.append(day)
        return ["frames"]

    found = backfilling.due(instance, "ingest_and_embed", ["frames"], WEEK[:2], behind=behind)
    assert [(one.day, one.why["frames"]) for one in found] == [(WEEK[1], backfilling.MISSING), (WEEK[0], backfilling.BEHIND)]
    assert asked == [WEEK[0]]


def test_newer_days_come_first_and_all_of_them_after_what_is_live():
    priorities = [int(backfilling.tags(day, "planner", date(2026, 3, 7))["dagster/priority"]) for day in WEEK]
    assert priorities == sorted(priorities)
    assert max(priorities) < 0
    assert backfilling.within(WEEK, 2, date(2026, 3, 7)) == WEEK[-2:]


def test_the_queue_leaves_a_place_for_what_is_live():
    runs = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))["concurrency"]["runs"]
    limits = {limit["key"]: limit["limit"] for limit in runs["tag_concurrency_limits"]}
    assert set(limits) == {backfilling.BACKFILL, "dagster/backfill"}
    assert sum(limits.values()) < runs["max_concurrent_runs"]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Iterator[Library]:
    """Two days of uploads, the first of them ingested, recorded on disk as schedules and the command need it."""
    root = tmp_path_factory.mktemp("backfilling")
    (root / "home").mkdir()
    (root / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    made_runs(root / "library", per_kind=1).close()
    with dg.DagsterInstance.from_config(str(root / "home")) as instance:
        library = Library(root / "library", instance=instance)
        library.upload(f"dt={DAYS[1]}/rings 0.wav", "rings", 0, duration_s=0.3)
        assert library.run("ingest_and_embed", DAYS[0]).ok
        yield library


def night(library: Library) -> list[dg.RunRequest]:
    parts = {"resources": library.settings.resources(), "repository_def": library.defs.get_repository_def()}
    with dg.build_schedule_context(instance=library.instance, scheduled_execution_time=AT, **parts) as context:
        return list(nights.nightly_catch_up.evaluate_tick(context).run_requests or ())


def ask(library: Library, *arguments: str) -> dict:
    where = {name: getattr(library.settings, name.removeprefix("AVREC_").lower()) for name in ("AVREC_MEDIA", "AVREC_STORE")}
    where |= {"AVREC_FEEDBACK": library.settings.feedback, "AVREC_ENGINE": "inline", "DAGSTER_HOME": str(library.root.parent / "home")}
    result = CliRunner().invoke(app, [*arguments, "--json"], env=where, prog_name="avrec")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_night_and_the_command_ask_for_the_day_that_lacks_tables_and_for_no_other(library):
    (asked,) = night(library)
    assert (asked.partition_key, asked.tags[backfilling.BACKFILL]) == (DAYS[1], "planner")
    plan = ask(library, "backfill", "--dry-run")
    (one, *events) = sorted(plan["due"], key=lambda one: one["job"], reverse=True)
    assert (one["day"], one["why"]) == (DAYS[1], dict.fromkeys(INGEST_TABLES, backfilling.MISSING) | one["why"])
    assert one["seconds"] == pytest.approx(plan["seconds_per_item"]["ingest_and_embed"])  # one upload
    assert [day["job"] for day in events] == ["collect_feedback"]
    assert (events[0]["seconds"], plan["seconds"]) == (None, None)  # nothing was ever collected
    assert ask(library, "backfill", "--dry-run", "--window-days", "1")["due"] == []


def test_what_the_ledger_sees_is_asked_for_as_well(library):
    path = library.root / "media" / f"dt={DAYS[0]}" / f"{synthetic.KINDS[0]} 0.mp4.json"
    before = path.read_text()
    path.write_text(json.dumps({"title": "another title"}))
    try:
        assert [one.partition_key for one in night(library)] == [DAYS[1], DAYS[0]]
        why = {one["day"]: one["why"] for one in ask(library, "backfill", "--dry-run")["due"]}
        assert why[DAYS[0]] == {"raw_media": backfilling.BEHIND}
    finally:
        path.write_text(before)


def test_after_a_new_version_of_one_step_a_day_runs_that_table_and_what_is_computed_from_it_with_their_checks(library):
    made(library.instance, "audio_embeddings", DAYS[0], code="older")
    (asked,) = [one for one in night(library) if one.partition_key == DAYS[0]]
    expected = ["audio_embeddings", "fused_features", "content_classes"]
    assert [key.to_user_string() for key in asked.asset_selection] == expected
    job = library.defs.resolve_job_def("ingest_and_embed")
    result = job.execute_in_process(partition_key=DAYS[0], asset_selection=asked.asset_selection, instance=library.instance)
    assert {one.asset_key.to_user_string() for one in result.get_asset_materialization_events()} == set(expected)
    checked = {(one.asset_key.to_user_string(), one.check_name) for one in result.get_asset_check_evaluations()}
    assert checked == {(name, rule.name) for name in expected for rule in RULES[name]}
    assert backfilling.due(library.instance, "ingest_and_embed", INGEST_TABLES, DAYS[:1]) == []


def condition_asks(instance: dg.DagsterInstance, at: datetime, cursor: object = None, *, code: str = "1") -> tuple[set[str], object]:
    @dg.asset(name="one", partitions_def=graph.UPLOAD_DAYS, code_version=code, automation_condition=graph.CATCH_UP)
    def one() -> None: ...

    found = dg.evaluate_automation_conditions(dg.Definitions([one]), instance, cursor=cursor, evaluation_time=at)
    return set(found.get_requested_partitions(dg.AssetKey("one"))), found.cursor


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # Dagster's own call, inside its tester of conditions
def test_the_condition_asks_at_night_for_days_of_its_window_that_are_missing_or_made_by_older_code(instance):
    evening = datetime(2026, 3, 5, 1, 50, tzinfo=UTC)
    none, cursor = condition_asks(instance, evening)
    asked, cursor = condition_asks(instance, evening + timedelta(minutes=20), cursor)
    last = date(2026, 3, 5)
    window = {(last - timedelta(days=n)).isoformat() for n in range(graph.CATCH_UP_DAYS)}
    assert none == set()
    assert asked <= {key for key in graph.UPLOAD_DAYS.get_partition_keys() if key <= last.isoformat()}
    assert len(asked ^ window) <= 1  # the window ends with the last partition, not with the day
    for day in asked:
        instance.report_runless_asset_event(dg.AssetMaterialization("one", partition=day, tags={"dagster/code_version": "1"}))
    again, cursor = condition_asks(instance, evening + timedelta(days=1, minutes=20), cursor)
    assert len(again) == 1  # the day that has begun since
    changed, _ = condition_asks(instance, evening + timedelta(days=2, minutes=20), cursor, code="2")
    assert len(changed) >= graph.CATCH_UP_DAYS - 1


def test_of_the_two_that_do_the_same_work_one_is_on():
    assert automation.nightly_backfill.default_status is dg.DefaultSensorStatus.STOPPED
    assert nights.nightly_catch_up.default_status is dg.DefaultScheduleStatus.RUNNING
    assert automation.nightly_backfill.emit_backfills
