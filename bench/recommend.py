"""Recommenders side by side on one file and split, ours and those of implicit, RecTools and cornac: quality, time, peak memory.

python bench/recommend.py [FILE] [--only NAME ...] [--json]

Everyone is fitted on the training part alone, each in a process of its own; of a few settings the one with the best NDCG@10 on the
validation part stands, and is ranked on the test part by the same code: every unseen item, ties counted half, histories with validation.
RecTools and cornac pin older numpy: they get an environment of their own, made here at the first run (`--judges FOLDER`).
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend.evaluation import accuracy, ranking, reading, splits
from avrec_dag.recommend.models.base import Interactions

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT.parent / "shared" / "data" / "amazon-beauty.txt"
JUDGES = Path.home() / ".cache" / "avrec-judges"
JUDGED = ("rectools>=0.19,<0.20", "cornac>=2.2,<3")
READ_WITH = ("duckdb>=1.4", "pyarrow>=18,<22", "sqlalchemy>=2")
"""What the reader and the ranking, which judges run too, import, for the older numpy."""
SEED = 0

Score = Callable[[Interactions], np.ndarray]
Fitted = tuple[dict, Callable[[Interactions], Score]]


def ours(name: str) -> Iterator[Fitted]:
    """The settings of the registry: each value of the first axis, the others at their defaults."""
    from avrec_dag.recommend.models.registry import MODELS

    entry = MODELS[name]

    def fit(values: dict) -> Callable[[Interactions], Score]:
        def fitted(train: Interactions) -> Score:
            model = entry.make(values)
            model.fit(train, seed=SEED)
            return model.score

        return fitted

    yield entry.defaults, fit(entry.defaults)
    for axis, tried in list(entry.axes.items())[:1]:
        for value in tried[1:]:
            yield {**entry.defaults, axis: value}, fit({**entry.defaults, axis: value})


def factorised(kind: type, **settings: Any) -> Callable[[Interactions], Score]:
    """ALS or BPR of `implicit`: vectors of the people as they were fitted, or folded in where the model can."""

    def fitted(train: Interactions) -> Score:
        model = kind(random_state=SEED, **settings)
        model.fit(train.liked, show_progress=False)
        place = {user: row for row, user in enumerate(train.users)}

        def score(histories: Interactions) -> np.ndarray:
            rows = np.array([place[user] for user in histories.users])
            known = model.user_factors[rows]
            if hasattr(model, "YtY"):
                known = model.recalculate_user(rows, histories.liked)
            return known @ model.item_factors.T

        return score

    return fitted


def neighbours(kind: type, **settings: Any) -> Callable[[Interactions], Score]:
    """Item-kNN of `implicit`."""

    def fitted(train: Interactions) -> Score:
        model = kind(**settings)
        model.fit(sp.csr_matrix(train.liked), show_progress=False)
        return lambda histories: np.asarray((histories.liked @ model.similarity).toarray(), np.float32)

    return fitted


def implicits(name: str) -> Iterator[Fitted]:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

    if name == "als":
        for told in ({}, {"alpha": 10.0, "regularization": 1.0}, {"factors": 256, "alpha": 10.0, "regularization": 1.0}):
            yield told, factorised(AlternatingLeastSquares, **told)
    elif name == "bpr":
        for told in ({}, {"learning_rate": 0.05}, {"factors": 64, "regularization": 0.05, "learning_rate": 0.05}):
            yield told, factorised(BayesianPersonalizedRanking, **told)
    else:
        kind = CosineRecommender if name == "cosine" else BM25Recommender
        for told in ({}, {"K": 100}, {"K": 500}):
            yield told, neighbours(kind, **told)


def rectools(name: str) -> Iterator[Fitted]:
    """EASE and PureSVD of RecTools: from likes to scores by the arrays that its models keep."""
    from rectools.dataset import Dataset
    from rectools.models import EASEModel, PureSVDModel

    def dataset(train: Interactions) -> Dataset:
        import pandas as pd

        frame = pd.DataFrame({"user_id": train.rows, "item_id": train.columns, "weight": 1.0, "datetime": pd.Timestamp("2024-01-01")})
        return Dataset.construct(frame)

    def ease(train: Interactions, l2: float) -> Score:
        made = dataset(train)
        model = EASEModel(regularization=l2).fit(made)
        order = made.item_id_map.convert_to_internal(np.arange(len(train.items)), strict=False)
        known = np.isin(np.arange(len(train.items)), made.item_id_map.external_ids)
        weights = np.zeros((len(train.items),) * 2, np.float32)
        at = np.flatnonzero(known)
        weights[np.ix_(at, at)] = np.asarray(model.weight)[np.ix_(order, order)]
        return lambda histories: np.asarray(histories.liked @ weights, np.float32)

    def svd(train: Interactions, factors: int) -> Score:
        made = dataset(train)
        model = PureSVDModel(factors=factors).fit(made)
        at = made.item_id_map.external_ids
        vectors = np.zeros((len(train.items), factors), np.float32)
        vectors[at] = model.item_factors
        return lambda histories: np.asarray((histories.liked @ vectors) @ vectors.T, np.float32)

    if name == "ease":
        for l2 in (500.0, 50.0, 10.0):
            yield {"regularization": l2}, lambda train, l2=l2: ease(train, l2)
    else:
        for factors in (64, 256):
            yield {"factors": factors}, lambda train, factors=factors: svd(train, factors)


def cornac(name: str) -> Iterator[Fitted]:
    """BPR and WMF of cornac, people as they were fitted."""
    import cornac as library

    kinds: dict[str, list[dict]] = {
        "bpr": [{"k": 64, "max_iter": 100, "learning_rate": 0.05}, {"k": 64, "max_iter": 300, "learning_rate": 0.05}],
        "mmmf": [{"k": 64, "max_iter": 100, "learning_rate": 0.05}],
    }
    kind = {"bpr": library.models.BPR, "mmmf": library.models.MMMF}[name]

    def fitted(train: Interactions, told: dict) -> Score:
        rows = zip(train.rows.tolist(), train.columns.tolist(), [1.0] * len(train), strict=True)
        made = library.data.Dataset.from_uir(rows, seed=SEED)
        model = kind(seed=SEED, **told).fit(made)
        place = {user: row for row, user in enumerate(train.users)}
        vectors, bias = np.zeros((len(train.items), model.k), np.float32), np.full(len(train.items), -1e3, np.float32)
        for item, inside in made.iid_map.items():
            vectors[item], bias[item] = model.i_factors[inside], model.i_biases[inside]

        def score(histories: Interactions) -> np.ndarray:
            inside = [made.uid_map[place[user]] for user in histories.users]
            return np.asarray(model.u_factors[inside] @ vectors.T + bias, np.float32)

        return score

    for told in kinds[name]:
        yield told, lambda train, told=told: fitted(train, told)


MAKERS = {"avrec_dag": ours, "implicit": implicits, "rectools": rectools, "cornac": cornac}
OTHERS = ("implicit als", "implicit bpr", "implicit cosine", "implicit bm25", "rectools ease", "rectools svd", "cornac bpr", "cornac mmmf")
OURS = ("popularity", "item_knn", "ease", "als", "linear")
CONTESTANTS = tuple(f"avrec_dag {name}" for name in OURS) + OTHERS
IN_JUDGES = ("rectools", "cornac")


def measured(file: Path, contestant: str) -> dict:
    """Fit each setting, choose on validation, rank the test; of this process alone."""
    library, name = contestant.split()
    data = reading.read(file, "sequences").interactions
    parts = splits.split(data, "leave-one-out")
    train, known = parts.train, parts.known
    base_mb = _peak_mb()
    best: tuple[float, dict, Score, float] | None = None
    for told, fit in MAKERS[library](name):
        start = time.perf_counter()
        score = fit(train)
        fit_s = time.perf_counter() - start
        found = ranking.ranked(score, train, ranking.wanted(train, parts.valid), seed=SEED)
        quality = float(accuracy.per_user(found, 10)["ndcg@10"].mean())
        if best is None or quality > best[0]:
            best = quality, told, score, fit_s
    assert best is not None
    sought = ranking.wanted(known, parts.test)
    start = time.perf_counter()
    found = ranking.ranked(best[2], known, sought, seed=SEED)
    rank_s = time.perf_counter() - start
    at = accuracy.per_user(found, 10)
    return {
        "model": contestant, "settings": best[1], "hit@10": float(at["hit@10"].mean()), "ndcg@10": float(at["ndcg@10"].mean()),
        "valid_ndcg@10": best[0], "fit_s": best[3], "rank_s": rank_s, "peak_mb": _peak_mb(), "of_that_before_mb": base_mb,
    }  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def judges(folder: Path) -> Path:
    """The Python of an environment with RecTools and cornac, made where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making {folder} with RecTools and cornac", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *JUDGED, *READ_WITH], check=True)
    return python


def in_a_process(file: Path, contestant: str, folder: Path) -> dict:
    python = str(judges(folder)) if contestant.split()[0] in IN_JUDGES else sys.executable
    command = [python, str(Path(__file__).resolve()), str(file), "--one", contestant]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if run.returncode:
        return {"model": contestant, "failed": (run.stderr.strip().splitlines() or ["no word"])[-1]}
    return json.loads(run.stdout.splitlines()[-1])


def fronted(rows: list[dict]) -> None:
    """Mark what nobody beats in quality with less time to fit."""
    for row in rows:
        beaten = (one for one in rows if one["ndcg@10"] > row["ndcg@10"] and one["fit_s"] <= row["fit_s"])
        row["front"] = not any(beaten)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--one", choices=CONTESTANTS)
    parser.add_argument("--judges", type=Path, default=JUDGES)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    if told.one:
        print(json.dumps(measured(told.file, told.one)))
        return
    if not told.file.exists():
        print(f"{told.file} is not there: name a file of sequences")
        return
    rows = [in_a_process(told.file, contestant, told.judges) for contestant in told.only]
    good = [row for row in rows if "failed" not in row]
    fronted(good)
    facts = {"file": told.file.name, "seed": SEED, "cores": os.cpu_count(), "python": platform.python_version(), "models": rows}
    if told.json:
        print(json.dumps(facts))
        return
    made_with = f"{os.cpu_count()} cores, implicit {version('implicit')}, numpy {np.__version__}"
    print(f"{told.file.name}, leave-one-out, fitted on train, seed {SEED}; {made_with}\n")
    print("| model | HR@10 | NDCG@10 | fit s | rank s | peak MB | front |\n" + "|---" * 7 + "|")
    for row in sorted(good, key=lambda row: -row["ndcg@10"]):
        print(f"| {row['model']} | {row['hit@10']:.4f} | {row['ndcg@10']:.4f} | {row['fit_s']:.1f} | {row['rank_s']:.1f} "
              f"| {row['peak_mb']:.0f} | {'yes' if row['front'] else ''} |")  # fmt: skip
    for row in rows:
        if "failed" in row:
            print(f"\n{row['model']} failed: {row['failed']}")


if __name__ == "__main__":
    main()
