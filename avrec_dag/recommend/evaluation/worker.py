"""One model, in a process of its own: its settings chosen, fitted, ranked and measured, so that its memory and its crash are its own.

Run as `python -m avrec_dag.recommend.evaluation.worker FOLDER MODEL`. What it says on stdout is one JSON object per line:
`{"doing", "done", "total"}`, `{"say"}` or `{"error"}`. It ends with its parent: standard input is a pipe that the parent never writes to.
"""

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError
from avrec_dag.recommend.evaluation import accuracy, beyond, comparing, ranking
from avrec_dag.recommend.evaluation.choosing import Choice, Settings, choose
from avrec_dag.recommend.evaluation.folder import Exchange, Job
from avrec_dag.recommend.models.base import Model
from avrec_dag.recommend.models.registry import MODELS, Composed, Tuned

OBJECTIVE = "ndcg@10"
MAX_VALIDATED = 10_000
"""Settings are compared on so many users of the validation part at most, drawn with the seed."""
K = 10

Say = Callable[[dict[str, object]], None]


def main(folder: str, name: str) -> int:
    """Do what the folder asks of a model.

    Returns:
        0, or 1 when it failed; the sentence is on stdout.
    """
    say = _speaker()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    exchange = Exchange(Path(folder))
    try:
        _Run(exchange, exchange.job(name), say).run()
    except AvrecError as error:
        say({"error": str(error)})
        return 1
    except MemoryError:
        say({"error": f"it needs more memory than there is ({peak_mb():.0f} MB so far)"})
        return 1
    return 0


def _speaker() -> Say:
    """Speak on what was stdout; what a library prints there goes to stderr from now on."""
    stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, object]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    return say


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(3)


def peak_mb() -> float:
    """The most memory that this process has held, in MB of 2**20 bytes.

    Linux keeps it per address space (`VmHWM`), from the start of this program on; `ru_maxrss`, which other systems have, may begin with
    what the parent held.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / 2**20 if sys.platform == "darwin" else used / 1024


class _Run:
    def __init__(self, exchange: Exchange, job: Job, say: Say) -> None:
        self.exchange, self.job, self.say = exchange, job, say
        self.entry = MODELS[job.model]
        self.split, self.ratings = exchange.data()

    def run(self) -> None:
        choice, model, fit_s = self._chosen()
        if self.job.keep:
            self.exchange.put_model(self.job.model, "train", model.save())
        if self.job.refit:
            fit_s = self._refitted(model)
            if self.job.keep:
                self.exchange.put_model(self.job.model, "refit", model.save())
        figures, per_user = self._measured(model)
        search_s = sum(trial.seconds for trial in choice.trials)
        figures |= {"fit_s": fit_s, "search_s": search_s, "settings": dict(choice.best.settings), "trials": len(choice.trials)}
        if choice.untried:
            figures["untried"] = choice.untried
        if np.isfinite(choice.best.score):
            figures[f"validation_{OBJECTIVE}"] = choice.best.score
        self.exchange.put_result(self.job.model, figures, per_user)

    def _chosen(self) -> tuple[Choice, Model, float]:
        """What was chosen, the model with it, fitted on training, and the seconds that this fit took."""
        train, valid = self.split.train, self.split.valid
        sought = _sampled(ranking.wanted(train, valid), self.job.seed)
        searching = any(len(values) > 1 for values in self.entry.axes.values()) and len(sought.users) > 0
        best: list[tuple[float, float, Model]] = []

        def score(settings: Settings) -> float:
            model = self.entry.make(settings)
            if self.entry.components:
                self._compose(model, "train")
            self.say({"doing": f"fitting {_told(settings)}".strip(), "done": 0, "total": 1})
            at = time.perf_counter()
            # With nothing held out there is nothing to tune on; what is fitted already still learns how to weigh it.
            if isinstance(model, Tuned) and (len(sought.users) or self.entry.components):
                model.tune(train, valid, seed=self.job.seed)
            else:
                model.fit(train, seed=self.job.seed)
            fit_s = time.perf_counter() - at
            self.say({"doing": f"fitting {_told(settings)}".strip(), "done": 1, "total": 1})
            value = float("nan")
            if searching:
                found = ranking.ranked(model.score, train, sought, seed=self.job.seed, told=self._progress("validating"))
                value = float(accuracy.per_user(found, K)[OBJECTIVE].mean())
                self.say(
                    {"say": f"{self.job.model}: {_told(settings) or 'as it is'}: {OBJECTIVE} {value:.4f} on validation, fit {fit_s:.1f} s"}
                )
            if not best or value > best[0][0]:
                best[:] = [(value, fit_s, model)]
            return value

        axes = self.entry.axes if searching else {name: values[:1] for name, values in self.entry.axes.items()}
        choice = choose(axes, score, budget_s=self.job.budget_s)
        _, fit_s, model = best[0]
        return choice, model, fit_s

    def _compose(self, model: Model, stage: str) -> None:
        if not isinstance(model, Composed):
            raise AvrecError(f"{self.job.model} is made of other models and has no `compose`")
        model.compose({name: MODELS[name].load(self.exchange.model(name, stage)) for name in self.job.components})

    def _refitted(self, model: Model) -> float:
        self.say({"doing": "fitting on train+valid", "done": 0, "total": 1})
        at = time.perf_counter()
        if self.entry.components:
            self._compose(model, "refit")
        else:
            model.fit(self.split.known, seed=self.job.seed)
        self.say({"doing": "fitting on train+valid", "done": 1, "total": 1})
        return time.perf_counter() - at

    def _measured(self, model: Model) -> tuple[dict[str, object], dict[str, NDArray[np.float64]]]:
        known = self.split.known
        sought = ranking.wanted(known, self.split.test)
        at = time.perf_counter()
        found = ranking.ranked(model.score, known, sought, seed=self.job.seed, told=self._progress("ranking"))
        rank_s = time.perf_counter() - at
        peak = peak_mb()
        per_user = accuracy.all_cutoffs(found)
        figures: dict[str, object] = {name: float(values.mean()) for name, values in per_user.items()}
        base = beyond.background(known, self.ratings, seed=self.job.seed)
        figures |= beyond.measured(found.lists, sought.users, sought.relevant, base, K, seed=self.job.seed)
        figures |= {"classes_from": base.classes_from, "distances_from": base.distances_from}
        at_k = {name: values for name, values in per_user.items() if name.endswith(f"@{K}")}
        figures["intervals"] = comparing.intervals(at_k, seed=self.job.seed)
        return figures | {"rank_s": rank_s, "peak_mb": peak}, {f"{name}@{K}": per_user[f"{name}@{K}"] for name in ("ndcg", "hit")}

    def _progress(self, doing: str) -> Callable[[int, int], None]:
        return lambda done, total: self.say({"doing": doing, "done": done, "total": total})


def _sampled(sought: ranking.Wanted, seed: int) -> ranking.Wanted:
    m = len(sought.users)
    if m <= MAX_VALIDATED:
        return sought
    some = np.sort(np.random.default_rng([seed, 3]).choice(m, MAX_VALIDATED, replace=False))
    return ranking.Wanted(sought.users[some], sp.csr_matrix(sought.relevant[some]), sought.n_met)


def _told(settings: Settings) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
