import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from resources.sqlite_records import SqliteEventLog
from tests.made_dagster_dev import ROOT, recorded_in

DAYS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("fine", asset="thing")])
def thing() -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


@pytest.fixture
def home(tmp_path) -> Path:
    return recorded_in(tmp_path)


@pytest.fixture
def instance(home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def run(instance: dg.DagsterInstance, day: str = "a") -> str:
    return dg.materialize([thing], instance=instance, partition_key=day).run_id


def open_files(home: Path) -> set[str]:
    names = {str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()}
    return {name.removesuffix("-wal").removesuffix("-shm") for name in names if name.startswith(str(home)) and ".db" in name}


def test_the_settings_of_this_project_record_through_it_and_dagster_s_own_reads_the_same(home, instance, tmp_path):
    run_id = run(instance)
    assert isinstance(instance.event_log_storage, SqliteEventLog)
    theirs = SqliteEventLogStorage(str(home / ".dagster" / "storage" / "history" / "runs"))
    (tmp_path / "theirs").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "theirs")) as plain:
        expected = [event.dagster_event_type for event in plain.all_logs(run(plain)) if event.is_dagster_event]
    for storage in (instance.event_log_storage, theirs):
        assert [event.dagster_event_type for event in storage.get_logs_for_run(run_id) if event.is_dagster_event] == expected
        assert storage.get_materialized_partitions(dg.AssetKey("thing")) == {"a"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells which files a process has open")
def test_however_many_runs_there_were_eight_files_are_kept_open(home, instance):
    runs = [run(instance) for _ in range(12)]
    assert 0 < len([name for name in open_files(home) if "/runs/" in name]) <= 8
    assert all(instance.all_logs(run_id) for run_id in runs)
    instance.event_log_storage.dispose()
    assert not [name for name in open_files(home) if "/runs/" in name]
    assert instance.all_logs(runs[0])


def test_who_watches_a_run_is_told_of_its_events_as_they_come(instance):
    run_id, told = run(instance), threading.Event()
    instance.event_log_storage.watch(run_id, None, lambda event, _: told.set() if event.message == "look" else None)
    instance.report_engine_event("look", instance.get_run_by_id(run_id))
    assert told.wait(20)


KILLED = """
import os, signal, sys
import dagster as dg
from tests.test_sqlite_records import run
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    print(run(instance, "b"), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_recorded_outlives_a_kill_of_the_process(home, instance):
    run(instance)
    told = subprocess.run(
        [sys.executable, "-c", KILLED, str(home)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == -signal.SIGKILL, told.stderr
    assert instance.get_run_by_id(told.stdout.strip()).status is dg.DagsterRunStatus.SUCCESS
    assert instance.event_log_storage.get_materialized_partitions(dg.AssetKey("thing")) == {"a", "b"}
