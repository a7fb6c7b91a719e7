"""Models compared on one file: each in a process of its own, one after the other, and whatever ends early spoils nothing else."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

import avrec_dag
from avrec_dag import progress
from avrec_dag.errors import SettingError
from avrec_dag.recommend.evaluation import comparing, ranking
from avrec_dag.recommend.evaluation.folder import Exchange, Job
from avrec_dag.recommend.evaluation.splits import Split
from avrec_dag.recommend.models.registry import MODELS

Fit = Literal["train", "train+valid"]
BUDGET_S = 120.0
METRIC = "ndcg@10"


@dataclass
class Outcome:
    """What came of it; filled model by model, so that what is finished stays when the rest does not come to an end.

    Attributes:
        n_evaluated: Users who had something to be found.
        left_out: Why anything was not looked at -> how many.
        models: Model -> figure -> value, and its settings and intervals.
        per_user: Model -> metric -> (n_evaluated,).
        failed: Model -> why.
        skipped: Model -> why it does not suit the data.
        interrupted: Whether somebody stopped it.
    """

    n_evaluated: int
    left_out: dict[str, int]
    models: dict[str, dict[str, object]] = field(default_factory=dict)
    per_user: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    def comparisons(self, *, seed: int) -> list[comparing.Comparison]:
        """Every two models on NDCG@10."""
        return comparing.compared(METRIC, {name: values[METRIC] for name, values in self.per_user.items()}, seed=seed)


def run(
    split: Split,
    ratings: NDArray[np.float32] | None,
    names: Sequence[str],
    *,
    fit: Fit = "train",
    seed: int = 0,
    budget_s: float = BUDGET_S,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Fit and rank models.

    Args:
        split: The events and their parts.
        ratings: (events,) or None.
        names: Of models in the registry.
        fit: Whether the model that is tested has seen the validation part.
        seed: Of everything drawn.
        budget_s: For choosing the settings of each model.
        say: Told one sentence at a time what happens; how far each step is goes to `progress`.

    Raises:
        SettingError: Nobody has anything to be found, or a model that was named alone does not suit the data.
    """
    outcome = _outset(split)
    plan = _plan(names, split, outcome)
    with tempfile.TemporaryDirectory(prefix="avrec-evaluate-") as path:
        exchange = Exchange(Path(path))
        exchange.put_data(split, ratings)
        done: dict[str, float] = {}
        try:
            for name in plan:
                _one(exchange, _job(name, plan, done, fit, seed, budget_s), name in names, outcome, done, say)
        except KeyboardInterrupt:
            outcome.interrupted = True
    return outcome


def _outset(split: Split) -> Outcome:
    sought = ranking.wanted(split.known, split.test)
    if not len(sought.users):
        raise SettingError(
            f"nobody of {len(split.data.users)} users has an item to be found after the split: it takes a user with two events or more "
            "on items that differ; nothing can be measured on this file"
        )
    histories = np.diff(split.known.indptr)[sought.users]
    return Outcome(
        len(sought.users),
        {
            "users_without_test_items": len(split.data.users) - len(sought.users),
            "test_items_already_met": sought.n_met,
            "evaluated_users_without_history": int((histories == 0).sum()),
        },
    )


def _plan(names: Sequence[str], split: Split, outcome: Outcome) -> list[str]:
    """The models to fit in order: those asked for that suit the data, each after what it is made of."""
    suited = [name for name in names if not (MODELS[name].needs_vectors and split.data.vectors is None)]
    for name in names:
        if name not in suited:
            outcome.skipped[name] = "it needs content vectors: give titles with --titles"
    if not suited:
        raise SettingError(f"{names[0]}: {outcome.skipped[names[0]]}")
    wanted = {part for name in suited for part in (*MODELS[name].components, name)}
    return [name for name, entry in MODELS.items() if name in wanted and not (entry.needs_vectors and split.data.vectors is None)]


def _job(name: str, plan: Sequence[str], done: dict[str, float], fit: Fit, seed: int, budget_s: float) -> Job:
    keep = any(name in MODELS[other].components for other in plan)
    components = tuple(part for part in MODELS[name].components if part in done)
    return Job(name, fit == "train+valid", budget_s, seed, components, keep)


def _one(exchange: Exchange, job: Job, shown: bool, outcome: Outcome, done: dict[str, float], say: Callable[[str], None]) -> None:
    """Let one process run, and take in what it measured; `done` gets the seconds that fitting took."""
    name = job.model
    if MODELS[name].components and not job.components:
        outcome.failed[name] = f"none of the models it is made of could be fitted ({', '.join(MODELS[name].components)})"
        return
    begun = time.monotonic()
    exchange.put_job(job)
    error = _followed(exchange, name, say)
    result = exchange.result(name)
    if error or result is None:
        outcome.failed[name] = error or "it ended without a result"
        say(f"{name}: failed: {outcome.failed[name]}")
        return
    figures, per_user = result
    # What is made of others could not be had without fitting them.
    done[name] = float(str(figures["fit_s"])) + sum(done[part] for part in job.components)
    if shown:
        outcome.models[name] = {**figures, "fit_s": done[name]}
        outcome.per_user[name] = per_user
        say(f"{name}: {METRIC} {figures[METRIC]:.4f} on test, {time.monotonic() - begun:.0f} s in all")


def _followed(exchange: Exchange, name: str, say: Callable[[str], None]) -> str | None:
    """Start the process, pass on what it says, and wait for it: None, or why it failed."""
    log = exchange.path / f"{name}.log"
    error = None
    with log.open("wb") as errors, _started(exchange.path, name, errors) as process:
        for line in process.stdout or ():
            message = json.loads(line)
            if "error" in message:
                error = message["error"]
            elif "say" in message:
                say(message["say"])
            else:
                progress.report(name, message["doing"], message["done"], message["total"])
        code = process.wait()
    return error or (None if code == 0 else _death(code, log))


@contextmanager
def _started(folder: Path, name: str, errors: IO[bytes]) -> Iterator["subprocess.Popen[str]"]:
    home = str(Path(avrec_dag.__file__).parents[1])
    path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "avrec_dag.recommend.evaluation.worker", str(folder), name]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path},
        # Ctrl-C at a terminal reaches every process of the group; this one is stopped by its parent alone.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _death(code: int, log: Path) -> str:
    if code < 0:
        why = " (often: out of memory)" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{why}"
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"its process ended with {code}: {lines[-1].strip()[:300] if lines else 'it said nothing'}"
