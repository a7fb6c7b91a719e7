import json
import os
import runpy
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

from resources.compute import gives_way
from resources.warm_launcher import WarmRunLauncher
from resources.workers import BACKFILL, HOST, LAUNCHED, process_of
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux alone")

CODE = """
import json, os, sys, time
from pathlib import Path
import dagster as dg

@dg.op
def told(context) -> None:
    found = {"pid": os.getpid(), "parent": os.getppid(), "loaded": [one for one in ("great_expectations", "torch") if one in sys.modules]}
    Path(__file__).with_name(context.run_id).write_text(json.dumps({**found, "edition": EDITION}))

@dg.op
def asleep(context) -> None:
    Path(__file__).with_name(context.run_id).write_text("{}")
    time.sleep(600)

@dg.job
def quick() -> None:
    told()

@dg.job
def slow() -> None:
    asleep()

defs = dg.Definitions(jobs=[quick, slow], executor=dg.in_process_executor)
"""
SETTINGS = "{telemetry: {enabled: false}, run_launcher: {module: resources.warm_launcher, class: WarmRunLauncher}}"


@dataclass
class Place:
    """One instance, and code that may be edited."""

    root: Path
    instance: dg.DagsterInstance
    context: WorkspaceProcessContext

    @property
    def launcher(self) -> WarmRunLauncher:
        assert isinstance(self.instance.run_launcher, WarmRunLauncher)
        return self.instance.run_launcher

    def edit(self, edition: int) -> None:
        (self.root / "code.py").write_text(f"EDITION = {edition}\n{CODE}")

    def begin(self, job: str, **tags: str) -> str:
        """The id of a run that has got as far as its operation."""
        context = self.context.create_request_context()
        (location,) = context.code_locations
        (repository,) = location.get_repositories().values()
        remote = repository.get_full_job(job)
        run = self.instance.create_run_for_job(
            runpy.run_path(str(self.root / "code.py"))[job],
            tags=tags,
            remote_job_origin=remote.get_remote_origin(),
            job_code_origin=remote.get_python_origin(),
        )
        self.instance.launch_run(run.run_id, context)
        until((self.root / run.run_id).exists, 30)
        return run.run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def told(self, job: str = "quick", **tags: str) -> dict:
        run_id = self.begin(job, **tags)
        until(lambda: self.run(run_id).is_finished, 30)
        assert self.run(run_id).status == dg.DagsterRunStatus.SUCCESS
        return json.loads((self.root / run_id).read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("warm")
    (root / "dagster.yaml").write_text(SETTINGS)
    (root / "code.py").write_text(f"EDITION = 1\n{CODE}")
    target = PythonFileTarget(str(root / "code.py"), None, str(root), None)
    with dg.DagsterInstance.from_config(str(root)) as instance, WorkspaceProcessContext(instance, target) as context:
        yield Place(root, instance, context)


def test_runs_are_forks_that_have_the_packages_and_read_code_anew(place):
    first = place.told()
    assert first["loaded"] == ["great_expectations", "torch"]
    place.edit(2)
    second = place.told()
    assert (first["edition"], second["edition"]) == (1, 2)
    assert first["parent"] == second["parent"] == place.launcher._warm.pid
    assert first["pid"] != second["pid"]


def test_a_run_that_is_terminated_is_cancelled(place):
    run_id = place.begin("slow")
    assert place.launcher.check_run_worker_health(place.run(run_id)).status == WorkerStatus.RUNNING
    assert place.launcher.terminate(run_id)
    until(lambda: place.run(run_id).is_finished, 30)
    assert place.run(run_id).status == dg.DagsterRunStatus.CANCELED
    assert not place.launcher.terminate(run_id)


def test_a_run_whose_process_is_not_known_yet_is_left_as_it_is(place):
    job = runpy.run_path(str(place.root / "code.py"))["slow"]
    run_id = place.instance.create_run_for_job(job, tags={LAUNCHED: "warm"}).run_id
    assert not place.launcher.terminate(run_id)
    assert place.run(run_id).status == dg.DagsterRunStatus.NOT_STARTED


def test_of_a_run_that_was_killed_it_is_known_and_of_another_machines_nothing(place):
    run_id = place.begin("slow")
    run = place.run(run_id)
    os.kill(process_of(run.tags), signal.SIGKILL)
    until(lambda: place.launcher.check_run_worker_health(run).status == WorkerStatus.FAILED, 30)
    place.instance.add_run_tags(run_id, {HOST: "another-machine"})
    assert place.launcher.check_run_worker_health(place.run(run_id)).status == WorkerStatus.RUNNING
    assert not place.launcher.terminate(run_id)  # nor may a process of this machine with that number be touched
    place.instance.report_run_failed(place.run(run_id))


def test_what_forks_may_be_killed(place):
    before = place.told()["parent"]
    os.kill(before, signal.SIGKILL)
    assert place.told()["parent"] not in (before, 1)


def test_runs_that_catch_up_give_way_before_they_begin(place):
    run_id = place.begin("quick", **{BACKFILL: "planner"})
    assert gives_way(place.run(run_id).tags)


def test_runs_end_with_what_launched_them_as_interrupted_ones_that_are_tried_again(place):
    run_id = place.begin("slow")
    place.launcher.dispose()
    run = place.run(run_id)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert not Path(f"/proc/{process_of(run.tags)}").exists()
    assert run.tags["dagster/failure_reason"] == "UNEXPECTED_TERMINATION"
