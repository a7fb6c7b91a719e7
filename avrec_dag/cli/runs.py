"""Dagster runs in this very process: recorded where `dagster dev` shows them, silent on the terminal."""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from avrec_dag.cli.library import Library
from avrec_dag.dagster_home import prepared
from avrec_dag.errors import SettingError

_STATE_TAG = "avrec/state"
_INTERRUPTED = "DagsterExecutionInterruptedError"


class Done(NamedTuple):
    """How many rows of one table a run wrote, failed to compute, or removed."""

    computed: int = 0
    failed: int = 0
    removed: int = 0


@dataclass(frozen=True)
class FailedCheck:
    """One promise that a table broke."""

    asset: str
    check: str
    partition: str
    offenders: str
    blocking: bool


class Checked(NamedTuple):
    """How one check of one table ended on one day; the day is empty for the whole library."""

    table: str
    check: str
    day: str
    passed: bool


@dataclass(frozen=True)
class Ran:
    """What one run did.

    Attributes:
        job: Its job.
        partition: Its day; empty for the whole library.
        ok: Whether every step succeeded and no blocking check failed.
        done: Asset -> rows computed, failed and removed.
        checks: The promises that were broken.
        errors: Why steps failed, one line each.
        run_id: As Dagster's page shows it.
        seconds: Wall time.
    """

    job: str
    partition: str
    ok: bool
    done: dict[str, Done] = field(default_factory=dict)
    checks: tuple[FailedCheck, ...] = ()
    errors: tuple[str, ...] = ()
    run_id: str = ""
    seconds: float = 0.0


class Runner:
    """Runs this project's jobs for one library.

    Args:
        library: What they work on.
        verbose: Let Dagster's log through to the terminal.

    Attributes:
        instance: Where its runs are recorded.
    """

    def __init__(self, library: Library, *, verbose: bool = False) -> None:
        self.instance = records()
        from assets.automation import DRIVEN
        from avrec_dag import definitions
        from resources.workers import BACKFILL

        self._tags, self._catching_up = {DRIVEN: "avrec"}, {BACKFILL: "command"}
        self._library, self._verbose = library, verbose
        self._definitions = definitions.build(library.settings.resources())

    def steps(self, job: str) -> list[str]:
        """The tables that a job writes, in the graph's order."""
        keys = {key.to_python_identifier() for key in self._definitions.resolve_job_def(job).asset_layer.executable_asset_keys}
        return [name for name in self._library.steps if name in keys]

    def settled(self, job: str, partition: str, inputs: Sequence[str]) -> bool:
        """Whether the job's last success left everything as it stands now; see `state`."""
        wanted = dg.RunsFilter(job_name=job, tags={_STATE_TAG: self.state(job, partition, inputs)}, statuses=[dg.DagsterRunStatus.SUCCESS])
        return bool(self.instance.get_runs(wanted, limit=1))

    def state(self, job: str, partition: str, inputs: Sequence[str]) -> str:
        """Hash of the job's code, of what it reads (`inputs`) and of the tables it writes."""
        parts = [job, *inputs]
        parts += [
            f"{name}@{self._library.steps[name].code}={self._library.ledger.data_version(name, partition or None)}"
            for name in self.steps(job)
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def checks(self) -> list[Checked]:
        """How every check (per day, where it has days) ended when it last ran; one that did not end is left out."""
        keys = list(self._definitions.resolve_asset_graph().asset_check_keys)
        found = self.instance.event_log_storage.get_asset_check_partition_info(keys)
        return [
            Checked(one.check_key.asset_key.to_python_identifier(), one.check_key.name, one.partition_key or "", status == "SUCCEEDED")
            for one in found
            if (status := one.latest_execution_status.value) in ("SUCCEEDED", "FAILED")
        ]

    def run(
        self, job: str, partition: str = "", *, inputs: Sequence[str] = (), catching_up: bool = False, tables: Sequence[str] = ()
    ) -> Ran:
        """Run one job in this process and say what it did; a step's failure is told, not raised.

        Args:
            job: Which.
            partition: Its day; empty for the whole library.
            inputs: What it reads; see `state`.
            catching_up: Mark it as a backfill, of which the daemons run few at once.
            tables: Only these of its tables; empty: all.

        Raises:
            KeyboardInterrupt: The run was stopped; what it had written is kept.
        """
        began = time.monotonic()
        level = "DEBUG" if self._verbose else "CRITICAL"
        with _muted(not self._verbose):
            result = self._definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                partition_key=partition or None,
                asset_selection=[dg.AssetKey(table) for table in tables] or None,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": level}}}},
                tags=self._tags | (self._catching_up if catching_up else {}),
            )
        told = _told(result, job, partition, time.monotonic() - began)
        if any(_INTERRUPTED in error for error in told.errors):
            raise KeyboardInterrupt  # Dagster turns it into a failed step, to record the run's end
        if told.ok:
            self.instance.add_run_tags(result.run_id, {_STATE_TAG: self.state(job, partition, inputs)})
        return told


def home() -> Path:
    """The folder where runs are recorded: DAGSTER_HOME, else this folder where it holds dagster.yaml, else ./.dagster."""
    if not os.environ.get("DAGSTER_HOME"):
        here = Path.cwd()
        if not (here / "dagster.yaml").exists():
            here = prepared(here / ".dagster")
        os.environ["DAGSTER_HOME"] = str(here)
    return Path(os.environ["DAGSTER_HOME"])


def records() -> dg.DagsterInstance:
    """Where runs are recorded, opened.

    Raises:
        SettingError: dagster.yaml says what cannot be, or the server it names refuses or does not answer.
    """
    where = home()
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # of Dagster, of its storage's driver, or of the system, as may be
        raise SettingError(f"Dagster's records do not open ({_why(error)}): mend {where}/dagster.yaml or what it names") from None


def _why(error: BaseException) -> str:
    unset = re.findall(r'environment variable "(\w+)" which is not set', str(error))
    if unset:
        return f"{', '.join(dict.fromkeys(unset))} not set"
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
    if "dagster_postgres" in lines[0]:
        return "the extra postgres is missing: pip install 'avrec_dag[postgres]'"
    return lines[0][:300]


def _told(result: dg.ExecuteInProcessResult, job: str, partition: str, seconds: float) -> Ran:
    done: dict[str, Done] = {}
    errors = []
    for event in result.all_events:
        if event.is_step_materialization:
            written = event.step_materialization_data.materialization
            done[written.asset_key.to_python_identifier()] = Done(
                *(int(str(written.metadata[f"avrec/{name}"].value)) if f"avrec/{name}" in written.metadata else 0 for name in Done._fields)
            )
        elif event.is_step_failure and event.step_failure_data.error is not None:
            cause = event.step_failure_data.error
            while cause.cause is not None:
                cause = cause.cause
            errors.append(f"{event.step_key}: {cause.message.strip().splitlines()[0]}")
    broken = tuple(_broken(one, partition) for one in result.get_asset_check_evaluations() if not one.passed)
    return Ran(job, partition, result.success, done, broken, tuple(errors), result.run_id, seconds)


def _broken(evaluation: dg.AssetCheckEvaluation, partition: str) -> FailedCheck:
    shown = {name: value.value for name, value in evaluation.metadata.items()}
    offenders = next((str(shown[name]) for name in shown if "offend" in name or "unexpected_list" in name), "")
    return FailedCheck(
        evaluation.asset_key.to_python_identifier(), evaluation.check_name, partition, offenders,
        evaluation.blocking if evaluation.blocking is not None else False,
    )  # fmt: skip


@contextmanager
def _muted(mute: bool) -> Iterator[None]:
    """Send what the process itself writes to its terminal nowhere; Dagster's own capture keeps a copy beneath."""
    if not mute:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, target)
            os.close(saved)
        os.close(nowhere)
