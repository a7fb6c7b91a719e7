"""Every metric of `avrec evaluate` beside RecTools, which knows nothing of it: `python bench/judge_metrics.py [--json]`.

RecTools pins numpy < 2, so it lives in an environment of its own (var/bench/rectools), which this script makes with pip. Both get the
same made users, histories, items to be found and scores; what they differ by at most, over all users, is printed, and more than 1e-6
fails. Two definitions differ: average precision is divided by min(k, relevant) here and by k there, which is converted per user; the
distance that RecTools is given is the cosine one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RECTOOLS = "rectools==0.19.0"
TOLERANCE = 1e-6
USERS, ITEMS, SEED = 400, 300, 0


def made(folder: Path) -> dict[str, float]:
    """Make the case, write what RecTools needs of it, and say what this project measures: name -> values per user or mean."""
    from avrec_dag.recommend.evaluation import accuracy, beyond, ranking
    from avrec_dag.recommend.models.base import Interactions

    rng = np.random.default_rng(SEED)
    popular = 1 / np.arange(1, ITEMS + 1)
    popular /= popular.sum()

    def drawn(low: int, high: int) -> list[np.ndarray]:
        return [rng.choice(ITEMS, rng.integers(low, high), replace=False, p=popular) for _ in range(USERS)]

    def histories(rows: list[np.ndarray], vectors: np.ndarray | None) -> Interactions:
        n = sum(map(len, rows))
        users, items = tuple(map(str, range(USERS))), tuple(map(str, range(ITEMS)))
        indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        return Interactions(users, items, indptr, np.concatenate(rows).astype(np.int32), np.ones(n, np.float32), np.zeros(n), vectors)

    vectors = rng.normal(size=(ITEMS, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known, sought = histories(drawn(1, 60), vectors), histories(drawn(0, 25), vectors)
    scores = rng.normal(size=(USERS, ITEMS)).astype(np.float32) + 2 * np.log(popular).astype(np.float32)
    wanted = ranking.wanted(known, sought)
    found = ranking.ranked(lambda some: scores[[int(name) for name in some.users]], known, wanted)
    targets = wanted.relevant.tocoo()
    np.savez(
        folder / "case.npz", known_users=known.rows, known_items=known.columns, users=wanted.users, target_users=wanted.users[targets.row],
        target_items=targets.col, lists=found.lists, vectors=vectors, n_items=ITEMS,
    )  # fmt: skip
    per_user = accuracy.all_cutoffs(found)
    np.savez(folder / "ours.npz", **per_user)
    base = beyond.background(known, None)
    return {
        name: value
        for k in accuracy.CUTOFFS
        for name, value in beyond.measured(found.lists, wanted.users, wanted.relevant, base, k, seed=SEED).items()
    }


def judged(folder: Path) -> None:
    """What RecTools makes of the case; runs in its environment."""
    import pandas as pd
    from rectools import Columns
    from rectools import metrics as rt
    from rectools.metrics.distances import PairwiseDistanceCalculator

    case = np.load(folder / "case.npz")
    vectors = case["vectors"].astype(np.float64)

    class Cosine(PairwiseDistanceCalculator):
        def _get_distances_for_item_pairs(self, items_0: np.ndarray, items_1: np.ndarray) -> np.ndarray:
            return 1 - (vectors[np.asarray(items_0, int)] * vectors[np.asarray(items_1, int)]).sum(axis=1)

    places = np.tile(np.arange(1, case["lists"].shape[1] + 1), len(case["users"]))
    flat = case["lists"].ravel()
    shown = pd.DataFrame({Columns.User: np.repeat(case["users"], case["lists"].shape[1]), Columns.Item: flat, Columns.Rank: places})
    shown = shown[flat >= 0]
    targets = pd.DataFrame({Columns.User: case["target_users"], Columns.Item: case["target_items"]})
    known = pd.DataFrame({Columns.User: case["known_users"], Columns.Item: case["known_items"]})
    catalog = np.arange(int(case["n_items"]))
    relevant = targets.groupby(Columns.User).size().reindex(case["users"])
    per_user: dict[str, np.ndarray] = {}
    means: dict[str, float] = {}
    for k in (5, 10, 20):
        found = {
            "hit": rt.HitRate(k).calc_per_user(shown, targets),
            "ndcg": rt.NDCG(k, divide_by_achievable=True).calc_per_user(shown, targets),
            "recall": rt.Recall(k).calc_per_user(shown, targets),
            "precision": rt.Precision(k).calc_per_user(shown, targets),
            "map": rt.MAP(k, divide_by_k=True).calc_per_user(shown, targets) * k / relevant.clip(upper=k),
            "mrr": rt.MRR(k).calc_per_user(shown, targets),
        }
        per_user |= {f"{name}@{k}": values.reindex(case["users"]).to_numpy() for name, values in found.items()}
        means |= {
            f"coverage@{k}": rt.CatalogCoverage(k, normalize=True).calc(shown, catalog),
            f"novelty@{k}": rt.MeanInvUserFreq(k).calc(shown, known),
            f"serendipity@{k}": rt.Serendipity(k).calc(shown, targets, known, catalog),
            f"popularity@{k}": rt.AvgRecPopularity(k).calc(shown, known),
            f"intra_list_distance@{k}": rt.IntraListDiversity(k, Cosine()).calc(shown),
        }
    np.savez(folder / "theirs.npz", **per_user)
    (folder / "theirs.json").write_text(json.dumps({name: float(value) for name, value in means.items()}))


def python_with_rectools() -> Path:
    """The interpreter of an environment with RecTools, made where it is absent."""
    home = ROOT / "var" / "bench" / "rectools"
    python = home / "bin" / "python"
    if not (home / "made").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", RECTOOLS], check=True, stdout=sys.stderr)
        (home / "made").write_text(RECTOOLS)
    return python


def compared() -> dict[str, object]:
    """Metric -> ours, theirs and the largest difference over users."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = made(folder)
        subprocess.run([python_with_rectools(), __file__, "--judge", folder], check=True, stdout=sys.stderr)
        theirs = json.loads((folder / "theirs.json").read_text())
        rows = {}
        with np.load(folder / "ours.npz") as mine, np.load(folder / "theirs.npz") as judge:
            for metric in mine.files:
                apart = float(np.abs(mine[metric] - judge[metric]).max())
                rows[metric] = {"ours": float(mine[metric].mean()), "rectools": float(judge[metric].mean()), "difference": apart}
        for metric, value in theirs.items():
            rows[metric] = {"ours": ours[metric], "rectools": value, "difference": abs(ours[metric] - value)}
    case = {"users": USERS, "items": ITEMS, "seed": SEED, "judge": RECTOOLS, "numpy": np.__version__}
    return {**case, "metrics": rows, "worst": max(row["difference"] for row in rows.values())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.judge:
        judged(asked.judge)
        return 0
    found = compared()
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        print(
            f"{USERS} users, {ITEMS} items, seed {SEED}, {RECTOOLS}\n\n| metric | ours | RecTools | largest difference |\n|---|---|---|---|"
        )
        for metric, row in found["metrics"].items():
            print(f"| {metric} | {row['ours']:.6f} | {row['rectools']:.6f} | {row['difference']:.1e} |")
    return int(not found["worst"] <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
