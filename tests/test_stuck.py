import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._daemon.types import DaemonHeartbeat
from typer.testing import CliRunner

from avrec_dag.cli import stuck
from avrec_dag.cli.app import app
from resources import workers
from resources.workers import HOST, PROCESS, Worker, begun, reap, worker_of

ASLEEP = """
import sys, time
import dagster as dg
from resources.workers import mark

@dg.asset(pool="gpu")
def asleep(context: dg.AssetExecutionContext) -> None:
    mark(context.instance, context.run_id)
    print("at work", flush=True)
    time.sleep(600)

dg.materialize([asleep], instance=dg.DagsterInstance.get())
"""
CONCURRENCY = "concurrency: {pools: {default_limit: 1}, runs: {max_concurrent_runs: 1}}"


@pytest.fixture
def instance(tmp_path, monkeypatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{CONCURRENCY}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def sleeper(instance) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a run."""
    process = subprocess.Popen([sys.executable, "-c", ASLEEP], env={**os.environ}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def told(instance: dg.DagsterInstance, **failed: list[str]) -> dict[str, tuple[bool, str, str]]:
    return {one.name: (one.ok, one.detail, one.remedy) for one in stuck.findings(instance, failed)}


def test_a_run_whose_process_lives_is_left_alone_and_one_whose_process_was_killed_is_ended(instance, sleeper):
    (run,) = instance.get_runs()
    assert [one.worker for one in begun(instance)] == [Worker.LIVES]
    assert reap(instance) == []
    assert instance.event_log_storage.get_concurrency_info("gpu").claimed_slots
    kill(sleeper)
    assert reap(instance, older_than_min=10) == []
    assert [one.run_id for one in reap(instance, dry_run=True)] == [run.run_id]
    assert instance.get_runs()[0].status == dg.DagsterRunStatus.STARTED
    (ended,) = reap(instance)
    assert (ended.run_id, ended.slots, ended.status) == (run.run_id, ("gpu",), "STARTED")
    assert instance.get_runs()[0].status == dg.DagsterRunStatus.FAILURE
    assert not instance.event_log_storage.get_concurrency_info("gpu").claimed_slots
    assert reap(instance) == []


def test_the_command_tells_what_is_stuck_and_the_command_it_names_mends_it(instance, sleeper, tmp_path):
    kill(sleeper)

    def ask(*arguments: str) -> tuple[int, list[dict]]:
        result = CliRunner().invoke(app, [*arguments, "--json"], env={"DAGSTER_HOME": str(tmp_path)}, prog_name="avrec")
        return result.exit_code, json.loads(result.stdout)

    code, found = ask("doctor", "--instance")
    bad = {one["name"]: one["remedy"] for one in found if not one["ok"]}
    assert code == 1
    assert bad == {f"run {instance.get_runs()[0].run_id[:8]}": "avrec reap", "pool gpu": "avrec reap"}
    code, ended = ask("reap")
    assert (code, [one["worker"] for one in ended]) == (0, ["gone"])
    code, found = ask("doctor", "--instance")
    assert (code, [one["name"] for one in found]) == (0, ["daemons", "pool gpu"])


def recorded(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), "work")
    return instance.create_run_for_job(dg.job(name="work")(lambda: None), status=status, tags=tags, remote_job_origin=origin)


STARTED, QUEUED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED


def test_what_is_not_known_to_be_gone_is_never_ended(instance):
    elsewhere = recorded(instance, STARTED, **{HOST: "another-machine", PROCESS: "1 x"})
    unknown = recorded(instance, STARTED)
    mine = recorded(instance, STARTED)
    workers.mark(instance, mine.run_id)
    states = {one.run_id: one.worker for one in begun(instance)}
    assert states == {elsewhere.run_id: Worker.ELSEWHERE, unknown.run_id: Worker.UNKNOWN, mine.run_id: Worker.LIVES}
    assert reap(instance) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")
def test_a_process_id_that_was_given_out_again_is_another_process(instance):
    run = recorded(instance, STARTED, **{HOST: os.uname().nodename, PROCESS: f"{os.getpid()} 1@another-boot"})
    assert worker_of(instance, run) is Worker.GONE
    ended = subprocess.Popen([sys.executable, "-c", ""])  # not waited for: its id stays in use
    until = time.monotonic() + 30
    while workers._born(ended.pid) != workers._ENDED:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not workers._alive(ended.pid, "")
    ended.wait()


def test_what_waits_is_told_with_what_it_waits_for(instance):
    recorded(instance, QUEUED, **{PARTITION_NAME_TAG: "2026-03-02"})
    assert told(instance)["1 waiting"] == (False, "work 2026-03-02: for a daemon: none is running", "make ui")
    recorded(instance, STARTED)
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), name, None, None))
    assert told(instance)["1 waiting"] == (True, "work 2026-03-02: for one of 1 places", "")
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 3600, "SENSOR", None, None))
    found = told(instance)["daemon SENSOR"]
    assert (found[0], found[2]) == (False, "stop and start it: make ui")


def test_failed_days_and_failed_ticks_are_told(instance):
    found = told(instance, ingest_and_embed=[f"2026-03-0{n}" for n in range(9, 0, -1)], classify=[])
    assert found["ingest_and_embed failed"] == (
        False,
        "on 2026-03-09, 2026-03-08, 2026-03-07, 2026-03-06, 2026-03-05 and 4 more",
        "avrec backfill",
    )
    assert "classify failed" not in found
