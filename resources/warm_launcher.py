"""Runs that begin warm: with Dagster's own launcher each imports everything anew, 5 to 8 s of a processor before its first step."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Self

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData

from resources.workers import LAUNCHED, PROCESS, Worker, mark, process_of, worker_of

_ENDS_S = 30.0


class WarmRunLauncher(DefaultRunLauncher):
    """Runs are processes of this machine, forked from one that has the packages in memory (`warm_runs`).

    It starts with the first run and ends with the process that launches, and so do its runs. Where there is no fork, or the code
    lives in another environment, Dagster's own launcher does it. Whether a run's process lives is known, so that Dagster's monitoring
    fails the run of one that was killed, and its retries begin it again.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._warm: subprocess.Popen[str] | None = None
        self._one_at_a_time = Lock()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:  # noqa: ARG003 (Dagster's)
        """See `ConfigurableClass`; there is nothing to configure."""
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Fork, and write down which process it is."""
        run, origin = context.dagster_run, context.job_code_origin
        if sys.platform != "linux" or origin is None or origin.executable_path != sys.executable:
            super().launch_run(context)
            return
        self._instance.add_run_tags(run.run_id, {LAUNCHED: "warm"})
        arguments = ExecuteRunArgs(job_origin=origin, run_id=run.run_id, instance_ref=self._instance.get_ref()).get_command_args()
        with self._one_at_a_time:
            process = self._forked([*arguments][-3:])  # without what to start them with: api execute_run and what it takes
        mark(self._instance, run.run_id, process)

    def _forked(self, arguments: list[str]) -> int:
        """The id of a process that runs `dagster` with these arguments; one that forks is started where none is, or it was killed."""
        for _ in range(2):
            if self._warm is None:
                command = [sys.executable, "-m", "resources.warm_runs"]
                self._warm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if answer := _asked(self._warm, json.dumps(arguments)):
                return int(answer)
            self._end_warm()
        raise dg.DagsterError("launching a run: what forks runs (python -m resources.warm_runs) ended at once; see what it printed")

    def _end_warm(self) -> None:
        """End what forks, and with it the runs that it forked."""
        ending, self._warm = self._warm, None
        if ending is None or ending.stdin is None or ending.stdout is None:
            return
        for pipe in (ending.stdin, ending.stdout):
            with suppress(BrokenPipeError):
                pipe.close()
        ending.wait(_ENDS_S)

    def terminate(self, run_id: str) -> bool:
        """Ask the process of a run to stop; whether it was there, which in the moment a run begins is not known yet."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if LAUNCHED not in run.tags:
            return super().terminate(run_id)
        if PROCESS not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        if worker_of(self._instance, run) is not Worker.LIVES:
            return False
        os.kill(process_of(run.tags), signal.SIGTERM)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """A run whose process is gone has failed; of another machine's, nothing is known, and it goes on."""
        gone = worker_of(self._instance, run) is Worker.GONE
        return CheckRunHealthResult(WorkerStatus.FAILED if gone else WorkerStatus.RUNNING, "its process is gone" if gone else None)

    def dispose(self) -> None:
        """End the runs, and what forks them."""
        self._end_warm()
        super().dispose()


def _asked(warm: "subprocess.Popen[str]", line: str) -> str:
    """The answer; empty where nobody answers any more."""
    assert warm.stdin is not None
    assert warm.stdout is not None
    with suppress(BrokenPipeError):
        warm.stdin.write(f"{line}\n")
        warm.stdin.flush()
    return warm.stdout.readline()
