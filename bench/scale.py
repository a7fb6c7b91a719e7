"""How the linear model grows: made power-law histories of 10^5, 10^6 and 10^7 events, fitted, learned on, and a list of 20 for everybody.

python bench/scale.py [--events 100000 1000000 10000000] [--rounds 3] [--returned] [--json]

Ten events a user, fifty an item: 10^7 events are 10^6 users and 2 x 10^5 items. What is compared is processor time per event, each size in
a process of its own, after one run that is not counted, in which libraries load and memory is asked for. The sizes take turns, three rounds
of three runs, and the fastest of each counts, as what else a machine does only adds to it. Wall time is printed beside it. The restricted
solver does all sizes, so that one algorithm is compared with itself.

Growth is that of the time per event since the size before. Some of it is the machine's, whose caches hold the small sizes and not the large
one. How much, a peer shows in the same processes whose work is the same for each event at every size: scipy's product X'X of histories, of
which item-item models are made.

What the first run asked for stays with the process: the C library would give large pieces back, and what a virtual machine clears and hands
out anew is its host's speed. `--returned` leaves the C library as it is.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.linear import Linear, LinearSettings

ROOT = Path(__file__).resolve().parent.parent
SIZES = (100_000, 1_000_000, 10_000_000)
PER_USER, PER_ITEM, K, SEED = 10, 50, 20, 0
REPEATS = 3
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
"""For glibc; elsewhere they are nothing."""
_T = TypeVar("_T")


def made(n_events: int, seed: int = SEED) -> Interactions:
    """Histories whose items and lengths follow power laws, and whose next item is often near the one before.

    Lengths are log-normal with mean 10, at most 500. Items have Zipf's popularity (exponent 0.8) and lie on a line; seven of ten steps go
    to one of the fifty next to the item before, the others anywhere by popularity.
    """
    rng = np.random.default_rng(seed)
    n_users, n_items = n_events // PER_USER, n_events // PER_ITEM
    lengths = np.clip(rng.lognormal(np.log(PER_USER) - 0.5, 1.0, n_users), 2, 500).astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    share = np.cumsum(np.arange(1, n_items + 1) ** -0.8)
    anywhere = np.searchsorted(share, rng.random(indptr[-1]) * share[-1]).astype(np.int64)
    anywhere = rng.permutation(n_items)[np.minimum(anywhere, n_items - 1)]
    near = (rng.random(indptr[-1]) < 0.7) * rng.integers(-25, 26, indptr[-1])
    near[indptr[:-1]] = 0
    # A stretch of steps to neighbours starts from the last item that was drawn from anywhere, and adds up from there.
    fresh = near == 0
    origin = np.maximum.accumulate(np.where(fresh, np.arange(len(near)), 0))
    walked = np.cumsum(near)
    columns = (anywhere[origin] + walked - walked[origin]) % n_items
    names = tuple(map(str, range(n_users))), tuple(map(str, range(n_items)))
    ones = np.ones(len(columns), np.float32)
    return Interactions(*names, indptr, columns.astype(np.int32), ones, np.arange(len(columns), dtype=np.float64))


def timed(what: Callable[[], _T]) -> tuple[_T, float, float]:
    """Result, processor seconds, wall seconds: the fastest of REPEATS, after one that is not counted."""
    what()
    taken = []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        result = what()
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return result, *min(taken)


def measured(n_events: int) -> dict:
    data = made(n_events)
    before_mb = _peak_mb()
    model = Linear(LinearSettings(exact_items=0))
    _, fit_s, fit_wall_s = timed(lambda: model.fit(data, seed=SEED))

    def lists() -> int:
        return int((model.top(data, K)[0] >= 0).all(axis=1).sum())

    full, top_s, top_wall_s = timed(lists)
    row = {
        "events": len(data), "users": len(data.users), "items": len(data.items), "weights": model.weights.nnz,
        "full_lists": full / len(data.users), "fit_s": fit_s, "fit_wall_s": fit_wall_s, "top_s": top_s, "top_wall_s": top_wall_s,
        "us_per_event": 1e6 * (fit_s + top_s) / len(data), "peak_mb": _peak_mb(), "data_mb": before_mb,
    }  # fmt: skip
    x = sp.csr_matrix((data.weights, data.columns, data.indptr), shape=(len(data.users), len(data.items)))
    turned = sp.csr_matrix(x.transpose())
    return {**row, "peer_us_per_event": 1e6 * timed(lambda: turned @ x)[1] / len(data)}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(n_events: int, memory: dict[str, str]) -> dict:
    command = [sys.executable, str(Path(__file__).resolve()), "--one", str(n_events)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT), **memory})
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", nargs="+", type=int, default=SIZES)
    parser.add_argument("--one", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--returned", action="store_true", help="memory goes back to the system as the C library sees fit")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    if told.one:
        print(json.dumps(measured(told.one)))
        return
    rounds = [[in_a_process(size, {} if told.returned else KEPT) for size in told.events] for _ in range(told.rounds)]
    rows = [min(of_size, key=lambda row: row["us_per_event"]) for of_size in zip(*rounds, strict=True)]
    for i, row in enumerate(rows):
        row["peer_us_per_event"] = min(one[i]["peer_us_per_event"] for one in rounds)
        for whose in ("", "peer_"):
            row[whose + "growth"] = row[whose + "us_per_event"] / rows[max(i - 1, 0)][whose + "us_per_event"]
    if told.json:
        made_with = {"seed": SEED, "cores": os.cpu_count(), "python": platform.python_version(), "returned": told.returned}
        print(json.dumps({**made_with, "sizes": rows}))
        return
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}, seed {SEED}; processor seconds (wall)\n")
    print("| events | users | items | fit s | top-20 of all s | µs per event | growth | of X'X | peak MB |\n" + "|---" * 9 + "|")
    for row in rows:
        fit, top = (f"{row[part + '_s']:.1f} ({row[part + '_wall_s']:.1f})" for part in ("fit", "top"))
        sizes = " | ".join(f"{row[name]:,}" for name in ("events", "users", "items"))
        growth = f"{row['us_per_event']:.2f} | {row['growth']:.2f} | {row['peer_growth']:.2f}"
        print(f"| {sizes} | {fit} | {top} | {growth} | {row['peak_mb']:,.0f} |")


if __name__ == "__main__":
    main()
