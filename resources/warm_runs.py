"""A process that has imported what runs import, and forks itself for each: `python -m resources.warm_runs` (see `warm_launcher`).

Of other people's packages alone: our own code is read when a run begins, so that what was edited counts at once. Nothing may be computed
here, as threads do not outlive a fork; those that OpenBLAS has waiting stop before it and start again.
"""

import gc
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module

IMPORTED = (
    "dagster._cli", "great_expectations", "great_expectations.expectations", "torch", "pyarrow.dataset", "pandas", "sklearn.linear_model",
    "cv2", "av", "matplotlib.figure", "boto3",
)  # fmt: skip
"""What runs spend the most time importing."""
_LOOK_S, _ENDS_S = 1.0, 20.0


def main() -> None:
    """Answer each line on standard input, the arguments of a `dagster` command in JSON, with the id of the process that runs it.

    When the input ends, so do the runs: Dagster records them as interrupted, and tries them again.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the runs as well, which end as Dagster has them end
    for name in IMPORTED:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # or the first collection of a run would copy every page
    runs: set[int] = set()
    while True:
        if not select.select([sys.stdin], [], [], _LOOK_S)[0]:
            runs = _living(runs)
            continue
        line = sys.stdin.buffer.readline()
        if not line:
            break
        run = os.fork()
        if run == 0:
            _begin(json.loads(line))
        runs.add(run)
        with suppress(BrokenPipeError):  # who asked was killed meanwhile: the input ends, too
            os.write(1, f"{run}\n".encode())
    _end(runs)


def _begin(arguments: list[str]) -> None:
    """Become `dagster` with these arguments; what it prints must not get between the ids."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    import numpy as np
    from dagster._cli import main as dagster

    np.random.seed()  # noqa: NPY002 (the state that packages share would be the same in every run)
    sys.argv = ["dagster", *arguments]
    dagster()
    raise SystemExit


def _living(runs: set[int]) -> set[int]:
    return {run for run in runs if os.waitpid(run, os.WNOHANG) == (0, 0)}


def _end(runs: set[int]) -> None:
    for run in (runs := _living(runs)):
        os.kill(run, signal.SIGTERM)
    until = time.monotonic() + _ENDS_S
    while runs and time.monotonic() < until:
        time.sleep(0.1)
        runs = _living(runs)


if __name__ == "__main__":
    main()
