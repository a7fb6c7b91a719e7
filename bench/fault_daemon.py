"""A day that Dagster's daemon works on: the sensor finds its uploads, launches its run, and one of them is killed (`bench/faults.py`)."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from fault_kinds import TABLES

from resources.workers import Begun, Worker, begun, reap

ROOT = Path(__file__).resolve().parent.parent
COMPARED = tuple(table for table in TABLES if table != "fused_features")
"""Training follows an ingest by itself, and fuses anew."""
_JOB, _PATIENCE_S, _LEFT_ALONE_S = "ingest_and_embed", 900.0, 40.0


@dataclass
class Daemon:
    """A daemon with its code server and its runs, all of which can be killed.

    Attributes:
        settings: The library's settings and the way to the server, DAGSTER_HOME among them.
        log: Where all of them write to.
    """

    settings: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def home(self) -> Path:
        """Where runs are recorded."""
        return Path(self.settings["DAGSTER_HOME"])

    def start(self) -> None:
        """Start it, with the project's own settings of the instance."""
        self.home.mkdir(exist_ok=True)
        yaml = (ROOT / "dagster.yaml").read_text(encoding="utf-8").replace(".dagster", str(self.home / ".dagster"))
        (self.home / "dagster.yaml").write_text(yaml, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "avrec_dag.definitions", "-d", str(ROOT)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.home, env={**os.environ, **self.settings, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
            )

    def kill_daemon(self, _: Begun, __: dg.DagsterInstance) -> None:
        """The daemon alone: its code server and its runs live on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kill_run(self, run: Begun, records: dg.DagsterInstance) -> None:
        """The process that works on the run alone."""
        found = records.get_run_by_id(run.run_id)
        if found is not None and (marked := found.tags.get("avrec/process")):
            os.kill(int(marked.split()[0]), signal.SIGKILL)

    def kill_all(self, *_: object) -> None:
        """Daemon, code servers, runs and workers."""
        for pid in self._mine():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def _mine(self) -> Iterator[int]:
        """Every process that records its runs here."""
        mark = f"DAGSTER_HOME={self.home}".encode()
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdecimal() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)

    @property
    def lives(self) -> bool:
        """Whether the daemon does."""
        return self.process is not None and self.process.poll() is None


KINDS: Mapping[str, Callable[[Daemon, Begun, dg.DagsterInstance], None]] = {
    "daemon: kill -9 of the daemon": Daemon.kill_daemon,
    "daemon: kill -9 of the run": Daemon.kill_run,
    "daemon: kill -9 of all at once": Daemon.kill_all,
}


@dataclass
class Outcome:
    """What a round under a daemon came to.

    Attributes:
        faults: Kills.
        whole_s: From each kill to the day being whole, or to the next kill.
        reaped: Runs that `avrec reap` had to end.
        finished: Whether the day became whole.
    """

    faults: int = 0
    whole_s: list[float] = field(default_factory=list)
    reaped: int = 0
    finished: bool = False


def disturbed(daemon: Daemon, kind: str, faults: int, rng: random.Random, left: Callable[[], Sequence[str]]) -> Outcome:
    """Let the daemon do the day; kill as the kind says while a run is at work; start again what was killed.

    A run that nobody works on, and that the daemon does not take up again by itself within 40 s, is ended by what `avrec reap` does.
    """
    told, killed_at, until = Outcome(), 0.0, time.monotonic() + _PATIENCE_S
    with _running(daemon), _records(daemon) as records:
        while time.monotonic() < until:
            time.sleep(1)
            if not daemon.lives:
                daemon.start()
            at_work = [run for run in begun(records) if run.job == _JOB and run.worker is Worker.LIVES]
            if at_work and told.faults < faults:
                time.sleep(rng.uniform(0, 12))
                if records.get_runs(dg.RunsFilter(run_ids=[at_work[0].run_id], statuses=[dg.DagsterRunStatus.STARTED])):
                    KINDS[kind](daemon, at_work[0], records)
                    told.faults, killed_at = told.faults + 1, time.monotonic()
            elif not at_work and killed_at and time.monotonic() - killed_at > _LEFT_ALONE_S:
                told.reaped += len(reap(records))
            if not at_work and _rest(records) and not set(left()) & set(COMPARED):
                told.finished, told.whole_s = True, [time.monotonic() - killed_at] if killed_at else []
                break
    return told


def _rest(records: dg.DagsterInstance) -> bool:
    """Whether a run of the day succeeded, and none waits or works."""
    runs = records.get_runs(dg.RunsFilter(job_name=_JOB))
    return any(run.status is dg.DagsterRunStatus.SUCCESS for run in runs) and all(run.is_finished for run in runs)


@contextmanager
def _running(daemon: Daemon) -> Iterator[None]:
    daemon.start()
    try:
        yield
    finally:
        daemon.kill_all()


@contextmanager
def _records(daemon: Daemon) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(daemon.home)) as records:
        yield records
