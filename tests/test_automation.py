import json
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from assets import automation, nights
from avrec_dag.labelling import Correction, LabelLog
from tests.made_runs import DAYS, EVENT_DAY, Library, made_runs

AT = datetime(2026, 3, 5, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[Library]:
    library = made_runs(tmp_path_factory.mktemp("automation") / "library", per_kind=1)
    yield library
    library.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    instance = dg.DagsterInstance.ephemeral()
    yield instance
    instance.dispose()


@pytest.fixture
def recorder() -> Iterator[dg.DagsterInstance]:
    """An instance on disk: schedules open it anew by reference."""
    with dg.instance_for_test() as instance:
        yield instance


def look(library: Library, instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[list[dg.RunRequest], str, str]:
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, resources=library.settings.resources(), definitions=library.defs
    ) as context:
        data = automation.media_arrivals.evaluate_tick(context)
    return list(data.run_requests or ()), data.cursor or cursor or "", data.skip_message or ""


def test_new_uploads_ask_for_their_days_once(made, instance):
    requests, cursor, told = look(made, instance)
    assert (requests, told) == ([], f"still changing: {DAYS[0]}")
    requests, cursor, _ = look(made, instance, cursor)
    assert [one.partition_key for one in requests] == [DAYS[0]]
    assert requests[0].run_key.startswith(f"{DAYS[0]}:")
    requests, cursor, told = look(made, instance, cursor)
    assert (requests, told) == ([], "nothing came, changed or left")
    assert len(cursor) < 300


def test_an_upload_to_another_day_asks_for_that_day_alone(made, instance, tmp_path):
    library = made.copy(tmp_path / "library")
    cursor = look(library, instance, look(library, instance)[1])[1]
    library.upload(f"dt={DAYS[1]}/rings 0.wav", "rings", 0, duration_s=0.3)
    cursor = look(library, instance, cursor)[1]
    requests, _, _ = look(library, instance, cursor)
    assert [one.partition_key for one in requests] == [DAYS[1]]
    library.close()


def test_what_the_command_line_did_is_not_asked_for_again(trained):
    requests, cursor, told = look(trained, trained.instance)
    assert (requests, told) == ([], "nothing came, changed or left")
    assert json.loads(cursor)["waiting"] == {}


def test_a_missing_media_folder_is_told_and_asks_for_nothing(tmp_path, instance):
    library = Library(tmp_path)
    requests, _, told = look(library, instance)
    library.close()
    assert requests == []
    assert "AVREC_MEDIA: there is no folder" in told


def test_labels_ask_for_one_training_once_nobody_is_labelling_any_more(made, instance, tmp_path):
    library = made.copy(tmp_path / "library")
    log = LabelLog(library.settings.feedback)

    def ask(cursor: str | None) -> tuple[int, str, str]:
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources=library.settings.resources()) as context:
            data = automation.label_arrivals.evaluate_tick(context)
        return len(data.run_requests or ()), data.cursor or "", data.skip_message or ""

    key = f"dt={DAYS[0]}/any.mp4"
    labelled = next(iter(log.newest()))
    log.add([Correction(media_id=labelled, labels=("cat",), by="ada")])
    assert ask(None)[2] == "somebody is still labelling"
    log.remove_item(labelled)
    assert ask(None)[2] == "nobody said anything new"
    log.add([Correction(media_id=key, labels=("cat",), by="ada", at=AT)])
    requests, cursor, _ = ask(None)
    assert requests == 1
    assert ask(cursor)[0] == 0
    log.close()
    library.close()


def requests(library: Library, run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    event = dg.DagsterEvent("PIPELINE_SUCCESS", run.job_name)
    resources = library.settings.resources()
    with dg.build_run_status_sensor_context("what_follows", event, instance, run, resources=resources) as context:
        return automation.what_follows(context) or []


def follow(library: Library, run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[tuple[str | None, str | None]]:
    return [(one.job_name, one.partition_key) for one in requests(library, run, instance)]


def recorded(library: Library, instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(library.defs.resolve_job_def(job), status=status, tags=tags)


@pytest.fixture(scope="module")
def trained(made, tmp_path_factory) -> Iterator[Library]:
    library = made.copy(tmp_path_factory.mktemp("trained") / "library")
    assert library.run("ingest_and_embed", DAYS[0]).ok
    assert library.run("train_classifier").ok
    yield library
    library.close()


DONE, STARTED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED
A_DAY = {"dagster/partition": DAYS[0]}


def test_uploads_are_followed_by_the_first_training_where_there_is_no_classifier(made, instance, tmp_path):
    library = Library(tmp_path)
    assert follow(library, recorded(library, instance, "ingest_and_embed", DONE, **A_DAY), instance) == [("train_classifier", None)]
    library.close()


def test_training_is_followed_by_the_days_whose_classes_it_changed(trained, instance):
    assert follow(trained, recorded(trained, instance, "train_classifier", DONE), instance) == [("classify", DAYS[0])]


def test_uploads_classes_and_feedback_are_followed_by_the_lists_once_all_is_quiet(trained, instance):
    for job in ("ingest_and_embed", "classify", "collect_feedback"):
        assert follow(trained, recorded(trained, instance, job, DONE, **A_DAY), instance) == [("recommend", None)]
    recorded(trained, instance, "ingest_and_embed", STARTED)
    assert follow(trained, recorded(trained, instance, "classify", DONE, **A_DAY), instance) == []


def test_a_backfill_holds_back_no_lists_of_what_is_live_and_has_its_own_when_it_is_done(trained, instance):
    backfill = {"avrec/backfill": "planner", "dagster/priority": "-9"}
    recorded(trained, instance, "ingest_and_embed", STARTED, **backfill)
    assert follow(trained, recorded(trained, instance, "classify", DONE, **A_DAY), instance) == [("recommend", None)]
    assert follow(trained, recorded(trained, instance, "classify", DONE, **A_DAY, **backfill), instance) == []


def test_an_upload_does_not_wait_for_a_look_at_each_day_that_caught_up_before_it(trained, instance):
    resources = trained.settings.resources()

    def look(cursor: str | None) -> tuple[list[str | None], str | None]:
        with dg.build_sensor_context(instance, cursor, resources=resources, repository_def=trained.defs.get_repository_def()) as context:
            data = automation.what_follows.evaluate_tick(context)
        return [one.job_name for one in data.run_requests or ()], data.cursor

    _, cursor = look(None)
    recorded(trained, instance, "ingest_and_embed", STARTED, **{"avrec/backfill": "planner"})
    days = [recorded(trained, instance, "ingest_and_embed", STARTED, **A_DAY, **{"avrec/backfill": "planner"}) for _ in range(4)]
    for run in (*days, recorded(trained, instance, "ingest_and_embed", STARTED, **A_DAY)):
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", run.job_name), run.run_id)
    assert look(cursor)[0] == ["recommend"]


def test_what_a_training_leads_to_comes_after_what_is_live(trained, instance):
    (asked,) = requests(trained, recorded(trained, instance, "train_classifier", DONE), instance)
    assert asked.job_name == "classify"
    assert int(asked.tags["dagster/priority"]) < 0
    assert "avrec/backfill" in asked.tags


def test_the_command_line_sees_to_what_follows_its_own_runs(trained, instance):
    assert follow(trained, recorded(trained, instance, "ingest_and_embed", DONE, **A_DAY, **{"avrec/by": "cli"}), instance) == []


def night(library: Library, instance: dg.DagsterInstance, schedule: dg.ScheduleDefinition) -> list[str | None]:
    parts = {"resources": library.settings.resources(), "repository_def": library.defs.get_repository_def()}
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=AT, **parts) as context:
        return [one.partition_key for one in schedule.evaluate_tick(context).run_requests or ()]


def test_the_night_collects_the_days_on_which_people_did_something(made, recorder):
    assert night(made, recorder, nights.nightly_feedback) == [EVENT_DAY]


def test_everything_that_starts_runs_is_on_by_default():
    off = {one.name for one in automation.SENSORS if one.default_status is not dg.DefaultSensorStatus.RUNNING}
    assert off == {"nightly_backfill"}  # `nightly_catch_up` does the same work
    assert {one.default_status for one in nights.SCHEDULES} == {dg.DefaultScheduleStatus.RUNNING}
