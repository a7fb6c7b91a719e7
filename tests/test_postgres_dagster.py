import os
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from assets.ingest import feedback_events
from avrec_dag.cli.app import app
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.ledger import Ledger
from resources.feedback import Feedback
from resources.profiles import Settings
from tests.made_dagster_dev import ask, free_port, running
from tests.made_postgres import OWNER, Postgres
from tests.made_runs import EVENT_DAY, made_runs

ROOT = Path(__file__).parent.parent
FILE = ROOT / "deploy" / "postgres" / "dagster.yaml"
PREFIX = "DAGSTER_POSTGRES_"


def where(server: Postgres, database: str) -> dict[str, str]:
    told = {"HOSTNAME": "127.0.0.1", "PORT": str(server.port), "DB": database, "USER": OWNER, "PASSWORD": server.password}
    return {f"{PREFIX}{name}": value for name, value in told.items()}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The folder of the instance, with nothing said of the server yet."""
    made = tmp_path / "home"
    made.mkdir()
    shutil.copy(FILE, made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(made))
    for name in where(Postgres(made, made, 0, ""), ""):
        monkeypatch.delenv(name, raising=False)
    return made


def test_both_instances_are_alike_but_for_where_records_are():
    here, there = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "dagster.yaml", FILE))
    assert here.pop("storage") != there.pop("storage")
    assert here == there


def test_a_materialisation_is_recorded_on_the_server_and_the_feedback_it_read_is_there_too(postgres, home, monkeypatch):
    database = postgres.new_database()
    for name, value in {**where(postgres, database), "AVREC_FEEDBACK": postgres.url(database), "AVREC_STORE": str(home / "store")}.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env()
    with dg.DagsterInstance.get() as instance:
        event = Event(user_id="ann", media_id="a.mp4", kind="like", happened_at=datetime.fromisoformat(f"{EVENT_DAY}T12:00:00+00:00"))
        log = FeedbackLog(settings.feedback)
        log.add([event])
        log.close()
        ran = dg.materialize([feedback_events], resources=settings.resources(), instance=instance, partition_key=EVENT_DAY)
        assert ran.success
        assert instance.get_materialized_partitions(feedback_events.key) == {EVENT_DAY}
        assert postgres.password not in instance.info_str()
    with dg.DagsterInstance.get() as again:
        assert [run.run_id for run in again.get_runs()] == [ran.run_id]
    assert Ledger(settings.store).counts("feedback_events").ok == 1
    assert postgres.run("SELECT status FROM runs", database=database) == [("SUCCESS",)]
    assert postgres.run("SELECT count(*) > 5 FROM event_logs", database=database) == [(True,)]
    assert not list(home.parent.rglob("*.db"))


def said(**env: str) -> str:
    ran = CliRunner().invoke(app, ["reap", "--dry-run"], env=env, prog_name="avrec")
    assert ran.exit_code == 2, ran.output
    return ran.stderr


def test_a_server_that_is_not_named_or_not_there_is_a_sentence(home, monkeypatch):
    assert f"{PREFIX}HOSTNAME" in said()
    monkeypatch.setattr("dagster_postgres.utils.calculate_delay", lambda **_: 0.0)
    nobody = where(Postgres(home, home, 9, "secret-sauce"), "x")
    told = said(**nobody)
    assert "Dagster's records do not open (connection to server" in told
    assert "Connection refused" in told
    assert "sauce" not in told
    assert "home/dagster.yaml" in told.replace("\n", "")


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")
def test_no_password_reaches_what_dagster_keeps_and_shows(postgres, monkeypatch):
    from dagster._core.remote_representation.external_data import RepositorySnap

    from avrec_dag import definitions

    monkeypatch.setenv("AVREC_FEEDBACK", postgres.url(postgres.new_database()))
    settings = Settings.from_env()
    assert postgres.password not in repr(settings)
    built = definitions.build(settings.resources())
    assert postgres.password not in dg.serialize_value(RepositorySnap.from_def(built.get_repository_def()))
    seen = []

    @dg.asset
    def asks(feedback: Feedback) -> None:
        seen.append(feedback.log.add([Event(user_id="ann", media_id="a.mp4", kind="like", happened_at=datetime(2026, 1, 5, tzinfo=UTC))]))

    assert dg.materialize([asks], resources={"feedback": settings.resources()["feedback"]}).success
    assert seen == [1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_daemons_sensors_and_runs_work_from_the_server_and_outlive_its_restart(postgres, home):
    database, library = postgres.new_database(), made_runs(home.parent / "library", per_kind=1)
    s = library.settings
    feedback = postgres.url(database)
    env = {**os.environ, **where(postgres, database), "AVREC_MEDIA": s.media, "AVREC_STORE": s.store, "AVREC_FEEDBACK": feedback}
    env |= {"DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    port, log = free_port(), home / "log"
    with running(port, log, "-w", str(ROOT / "workspace.yaml"), cwd=home.parent, env=env) as process:
        _wait(process, log, lambda: postgres.run("SELECT count(*) FROM job_ticks", database=database)[0][0] > 0)
        postgres.stop()
        postgres.start()
        succeeded = "SELECT count(*) FROM runs WHERE status = 'SUCCESS'"
        _wait(process, log, lambda: postgres.run(succeeded, database=database)[0][0] >= 2)
        runs = ask(port, "{ runsOrError { ... on Runs { results { jobName status } } } }")["data"]["runsOrError"]["results"]
    library.close()
    assert process.returncode != -signal.SIGKILL
    assert {run["jobName"] for run in runs} & {"ingest_and_embed"}
    assert "FAILURE" not in {run["status"] for run in runs}
    assert postgres.run("SELECT count(*) > 2 FROM daemon_heartbeats", database=database) == [(True,)]
    assert Ledger(s.store).counts("raw_media").ok == 2
    assert postgres.password not in log.read_text(errors="replace")


def _wait(process: subprocess.Popen, log: Path, done) -> None:
    import psycopg2

    until = time.monotonic() + 240
    while True:
        assert time.monotonic() < until and process.poll() is None, log.read_text(errors="replace")[-4000:]
        try:
            if done():
                return
        except psycopg2.Error:  # not made yet
            pass
        time.sleep(1)
