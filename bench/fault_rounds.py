"""One round of `bench/faults.py`: a store that a process fills while it is disturbed, and what came of it."""

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import fault_kinds
import fault_rows
from fault_kinds import Kind, Place

from avrec_dag.dagster_home import prepared

ROOT = Path(__file__).resolve().parent.parent
DAY, MOST_LAUNCHES = "2026-03-02", 12


@dataclass
class Told:
    """What the rounds of one kind of fault came to."""

    faults: int = 0
    rounds: int = 0
    launches: int = 0
    unfinished: int = 0
    lost: int = 0
    duplicated: int = 0
    differing: int = 0
    restarts_s: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, found: fault_rows.Difference) -> None:
        """Count what one round has other than it should."""
        self.lost, self.duplicated, self.differing = (
            self.lost + found.lost, self.duplicated + found.duplicated, self.differing + found.differing
        )  # fmt: skip
        self.examples += found.examples


@dataclass(frozen=True)
class Round:
    """One store, its records, and the process that fills it."""

    place: Place
    number: int
    store: str

    @property
    def settings(self) -> dict[str, str]:
        """Settings of this round alone."""
        return {
            "AVREC_MEDIA": self.place.media, "AVREC_STORE": self.store, "AVREC_FEEDBACK": f"sqlite:///{self.place.disk}/feedback.db",
            "AVREC_SPEECH": "off", "AVREC_WORKERS": "2", "DAGSTER_HOME": str(self.home),
        }  # fmt: skip

    @property
    def home(self) -> Path:
        """Where Dagster records."""
        return self.place.disk / f"records-{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this round is started with."""
        return {**os.environ, **self.place.through_proxy, **self.settings, "PYTHONPATH": str(ROOT)}

    def launch(self) -> tuple[subprocess.Popen[str], float]:
        """The process, and the seconds until it was at work."""
        prepared(self.home)
        began = time.monotonic()
        with (self.place.root / f"log-{self.number}").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, str(ROOT / "bench" / "fault_day.py"), DAY], cwd=self.place.root, stderr=log, stdout=subprocess.PIPE,
                text=True, env=self.environment, start_new_session=True,
            )  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        return child, time.monotonic() - began

    def left(self) -> list[str]:
        """The tables that have something to do, by the library's own plans."""
        from avrec_dag.behind import unfinished
        from avrec_dag.cli.changes import upload_plans
        from avrec_dag.cli.library import Library
        from resources.profiles import Settings

        return unfinished(upload_plans(Library(Settings.from_env(self.settings)), DAY, list(fault_kinds.TABLES)))


def disturbed(one: Round, kind: Kind, faults: int, rng: random.Random, told: Told) -> None:
    """Materialise the day while faults happen, then until nothing is left to do."""
    missing, killed = faults, False
    for _ in range(MOST_LAUNCHES + 2 * faults):
        child, at_work_s = one.launch()
        told.launches += 1
        if killed:
            told.restarts_s.append(at_work_s)
        killed = False
        while missing and not killed and not _ended(child, rng.uniform(*kind.every_s)):
            if kind.cause(one.place, child, rng):
                missing, told.faults, killed = missing - 1, told.faults + 1, kind.fatal
        output = child.stdout.read() if child.stdout else ""
        child.wait()
        if "done" in output and not killed and not one.left():
            return
        if "failed" in output:
            say(f"  {output.strip().replace(chr(10), ' / ')[-400:]}")
    told.unfinished += 1


def _ended(child: subprocess.Popen[str], within_s: float) -> bool:
    try:
        child.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
