"""How near replays come to a known truth, and how often intervals and tests are right: on made people, many times.

    python bench/experiments.py --runs 100 --seed 0

The world is that of `avrec_dag.synthetic_behaviour`: what is of somebody's taste appeals with 0.9, all else with 0.15, moved by quality,
and half of what appeals is liked; here a place further down is looked at less, by 1 / (1 + 0.1 place). Shown is a list by a noisy idea of
the taste, drawn from a pool of 30 with epsilon; in question is the list by a better idea, from the same pool, which nobody was shown. The
truth is counted from the probabilities. The judge of each estimate is a plain loop over the papers' sums.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from avrec_dag.experiments.comparing import People, against, ratio_p
from avrec_dag.experiments.randomising import Policy, drawn
from avrec_dag.experiments.replaying import Logged, NoSupportError, replay

K, POOL, ITEMS, CLASSES, USERS = 10, 30, 400, 8, 200


def main() -> None:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="repetitions of each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    began = time.perf_counter()
    told = {
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        "seed": asked.seed,
        "replays": [
            replays(epsilon, lists, asked.runs, asked.seed) for epsilon, lists in ((0.05, 4000), (0.1, 1000), (0.1, 4000), (0.3, 1000))
        ],
        "arms": [arms(likes, asked.runs * 5, asked.seed) for likes in (0.30, 0.34)],
        "shares": shares(asked.runs * 20, asked.seed),
    }
    told["seconds"] = round(time.perf_counter() - began, 1)
    if asked.json:
        print(json.dumps(told, indent=2))
        return
    print(f"{told['versions']}, seed {asked.seed}, {asked.runs} runs a row, {told['seconds']} s\n")
    for one in (*told["replays"], *told["arms"], told["shares"]):
        print(", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in one.items()))


def replays(epsilon: float, lists: int, runs: int, seed: int) -> dict[str, float | int]:
    """Bias, spread and coverage of IPS and SNIPS over many logs of one size."""
    found, truths, apart, refused = {"ips": [], "snips": []}, [], 0.0, 0
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        logged, truth = log(rng, epsilon, lists)
        try:
            made = replay(logged, seed=run)
        except NoSupportError:
            refused += 1
            continue
        truths.append(truth)
        plain = plainly(logged)
        for name, value in zip(("ips", "snips"), plain, strict=True):
            found[name].append(getattr(made, name)["likes"])
            apart = max(apart, abs(found[name][-1].value - value))
    row: dict[str, float | int] = {"epsilon": epsilon, "lists": lists, "people": USERS, "refused": refused, "truth": float(np.mean(truths))}
    for name, estimates in found.items():
        errors = np.array([one.value for one in estimates]) - truths
        covered = [one.low <= truth <= one.high for one, truth in zip(estimates, truths, strict=True)]
        row |= {
            f"{name} bias": float(errors.mean()),
            f"{name} rmse": float(np.sqrt((errors**2).mean())),
            f"{name} coverage": float(np.mean(covered)),
        }
    return row | {"largest distance to the plain loop": apart}


def log(rng: np.random.Generator, epsilon: float, lists: int) -> tuple[list[Logged], float]:
    """Lists of made people, and the true likes per list of those in question."""
    kinds, quality, logged, truth = rng.integers(0, CLASSES, ITEMS), rng.random(ITEMS), [], 0.0
    tastes = rng.random((USERS, CLASSES)) < 0.18
    for number in range(lists):
        user = number % USERS
        appeals = np.where(tastes[user, kinds], 0.9, 0.15) + 0.2 * (quality - 0.5)
        pool = np.argsort(-(appeals + rng.normal(0, 0.8, ITEMS)))[:POOL]
        own, wanted = pool[:K], pool[np.argsort(-(appeals[pool] + rng.normal(0, 0.2, POOL)))][:K]
        names = tuple(map(str, pool.tolist()))
        policy = Policy(names[:K], names, epsilon)
        shown = drawn(names, K, seed=int(rng.integers(2**53))) if rng.random() < epsilon else policy.own
        chances = 0.5 * np.clip(appeals[np.array(shown, int)], 0, 1) / (1 + 0.1 * np.arange(K))
        truth += float((0.5 * np.clip(appeals[wanted], 0, 1) / (1 + 0.1 * np.arange(K))).sum())
        likes = (rng.random(K) < chances).astype(float).tolist()
        logged.append(Logged(f"u{user}", shown, policy, tuple(map(str, wanted.tolist())), {"likes": likes}))
        assert len(own) == K
    return logged, truth / lists


def plainly(logged: list[Logged]) -> tuple[float, float]:
    """IPS and SNIPS by the papers' sums, place by place."""
    ips = snips = 0.0
    for place in range(K):
        top = bottom = 0.0
        for one in logged:
            if one.shown[place] == one.wanted[place]:
                first = (1 - one.policy.epsilon) * (one.policy.own[place] == one.shown[place])
                weight = 1 / (first + one.policy.epsilon / len(one.policy.pool))
                top, bottom = top + weight * one.rewards["likes"][place], bottom + weight
        ips += top / len(logged)
        snips += top / bottom if bottom else float("nan")
    return ips, snips


def arms(likes: float, runs: int, seed: int) -> dict[str, float | int]:
    """Two arms of 300 people, the control at 0.3: how often p is below 0.05, and how often the interval holds the true difference."""
    below, covered, sure, p_values = 0, 0, 0, []
    for run in range(runs):
        one, control = people([seed, run, 1], likes), people([seed, run, 2], 0.3)
        found = against(one, control, "likes", "per_list")
        below, covered = below + (found.p < 0.05), covered + (found.low <= likes - 0.3 <= found.high)
        p_values.append(found.p)
        a, b = one.totals["likes"].sum() / one.lists.sum(), control.totals["likes"].sum() / control.lists.sum()
        naive = np.sqrt(a * (1 - a) / one.lists.sum() + b * (1 - b) / control.lists.sum())
        sure += abs(a - b) > 1.96 * naive
    row: dict[str, float | int] = {"difference": likes - 0.3, "runs": runs, "p < 0.05": below / runs, "coverage": covered / runs}
    if likes == 0.3:
        row["uniform p (Kolmogorov-Smirnov)"] = float(stats.kstest(p_values, "uniform").pvalue)
    return row | {"p < 0.05, were lists taken one by one": sure / runs}


def people(seed: list[int], likes: float) -> People:
    rng = np.random.default_rng(seed)
    lists = 1.0 + rng.poisson(rng.gamma(1.0, 6.0, 300))
    own = rng.beta(5 * likes, 5 * (1 - likes), 300)
    return People(lists, {"likes": rng.binomial(lists.astype(int), own).astype(float)}, seed[1])


def shares(runs: int, seed: int) -> dict[str, float | int]:
    """How often the check of shares cries where they are kept, and where 3 % of one arm's people are lost, of 50,000."""
    rng = np.random.default_rng([seed, 9])
    kept = [ratio_p({"a": int(n), "b": 50_000 - int(n)}, {"a": 0.5, "b": 0.5}) for n in rng.binomial(50_000, 0.5, runs)]
    lost = [ratio_p({"a": int(0.97 * n), "b": 50_000 - int(n)}, {"a": 0.5, "b": 0.5}) for n in rng.binomial(50_000, 0.5, runs)]
    return {
        "people": 50_000,
        "runs": runs,
        "cries, shares kept": float(np.mean(np.array(kept) < 1e-3)),
        "cries, 3 % of one arm lost": float(np.mean(np.array(lost) < 1e-3)),
    }


if __name__ == "__main__":
    main()
