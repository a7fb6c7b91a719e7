"""Recommenders side by side on one file and split, ours and those of implicit, RecTools and cornac: quality, time, peak memory.

python bench/recommend.py [FILE] [--only NAME ...] [--json]

Everyone is fitted on the training part alone. Of four settings each the one with the best NDCG@10 for 5,000 people of the validation part
stands; a process of its own then fits it again and ranks the test part, by the same code for all: every unseen item, ties counted half,
histories with validation. Times are processor seconds of one thread, memory is the peak of that process. The defaults of `linear`, one of
its four settings, were themselves found on the validation part of Amazon Beauty. The models that train for many minutes on a CPU (our
sequence model and blend, the transformers of RecTools) are not among them. RecTools and cornac pin older numpy: they get an environment of
their own, made here at the first run (`--judges FOLDER`).
"""

import argparse
import json
import os
import platform
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
from avrec_dag.recommend.evaluation.worker import peak_mb
from avrec_dag.recommend.models.base import Interactions

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT.parent / "shared" / "data" / "amazon-beauty.txt"
JUDGES = Path.home() / ".cache" / "avrec-judges"
JUDGED = ("rectools>=0.19,<0.20", "cornac>=2.2,<3")
READ_WITH = ("duckdb>=1.4", "pyarrow>=18,<22", "sqlalchemy>=2")
"""What the reader and the ranking, which judges run too, import, for the older numpy."""
SEED, SETTINGS, VALIDATED = 0, 4, 5000

Score = Callable[[Interactions], np.ndarray]
Fitted = tuple[dict, Callable[[Interactions], Score]]


def ours(name: str) -> Iterator[Fitted]:
    """The settings of the registry: the defaults, and then one axis moved after the other."""
    from avrec_dag.recommend.models.registry import MODELS

    entry = MODELS[name]

    def fit(values: dict) -> Callable[[Interactions], Score]:
        def fitted(train: Interactions) -> Score:
            model = entry.make(values)
            model.fit(train, seed=SEED)
            return model.score

        return fitted

    moved = [{**entry.defaults, axis: value} for axis, tried in entry.axes.items() for value in tried[1:]]
    for told in [entry.defaults, *moved][:SETTINGS]:
        yield told, fit(told)


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


_ALS: tuple[dict[str, Any], ...] = (
    {},
    {"factors": 128, "alpha": 10.0, "regularization": 0.1},
    {"factors": 256, "alpha": 10.0, "regularization": 1.0},
    {"factors": 256, "alpha": 2.0, "regularization": 0.1},
)
_BPR: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 0.05},
    {"factors": 64, "regularization": 0.05, "learning_rate": 0.05},
    {"factors": 128, "regularization": 0.02, "learning_rate": 0.05, "iterations": 200},
)


def implicits(name: str) -> Iterator[Fitted]:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

    if name == "als":
        for told in _ALS:
            yield told, factorised(AlternatingLeastSquares, **told)
    elif name == "bpr":
        for told in _BPR:
            yield told, factorised(BayesianPersonalizedRanking, **told)
    else:
        kind = CosineRecommender if name == "cosine" else BM25Recommender
        for told in ({"K": 20}, {"K": 100}, {"K": 500}, {"K": 2000}):
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
        for l2 in (500.0, 200.0, 100.0, 20.0):
            yield {"regularization": l2}, lambda train, l2=l2: ease(train, l2)
    else:
        for factors in (32, 64, 128, 256):
            yield {"factors": factors}, lambda train, factors=factors: svd(train, factors)


def cornac(name: str) -> Iterator[Fitted]:
    """BPR and MMMF of cornac, people as they were fitted."""
    import cornac as library

    tried = ({"max_iter": 100}, {"max_iter": 300}, {"max_iter": 300, "k": 128}, {"max_iter": 300, "lambda_reg": 0.01})
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

    for told in ({"k": 64, "learning_rate": 0.05, **one} for one in tried):
        yield told, lambda train, told=told: fitted(train, told)


MAKERS = {"avrec_dag": ours, "implicit": implicits, "rectools": rectools, "cornac": cornac}
OTHERS = ("implicit als", "implicit bpr", "implicit cosine", "implicit bm25", "rectools ease", "rectools svd", "cornac bpr", "cornac mmmf")
OURS = ("popularity", "item_knn", "ease", "als", "linear")
CONTESTANTS = tuple(f"avrec_dag {name}" for name in OURS) + OTHERS
IN_JUDGES = ("rectools", "cornac")


def searched(file: Path, contestant: str) -> dict:
    """The number of the best setting on the validation part."""
    parts = splits.split(reading.read(file, "sequences").interactions, "leave-one-out")
    sought = ranking.wanted(parts.train, parts.valid)
    some = np.sort(np.random.default_rng(SEED).permutation(len(sought.users))[:VALIDATED])
    sought = ranking.Wanted(sought.users[some], sp.csr_matrix(sought.relevant[some]), sought.n_met)
    library, name = contestant.split()
    found = [ndcg(fit(parts.train), parts.train, sought)["ndcg@10"] for _, fit in MAKERS[library](name)]
    return {"place": int(np.argmax(found)), "valid_ndcg@10": found}


def ndcg(score: Score, histories: Interactions, sought: ranking.Wanted) -> dict[str, float]:
    """Means over people."""
    found = accuracy.per_user(ranking.ranked(score, histories, sought, seed=SEED), 10)
    return {name: float(found[name].mean()) for name in ("hit@10", "ndcg@10")}


def measured(file: Path, contestant: str, place: int) -> dict:
    """Fit one setting and rank the test; of this process alone."""
    library, name = contestant.split()
    parts = splits.split(reading.read(file, "sequences").interactions, "leave-one-out")
    train, known = parts.train, parts.known
    told, fit = list(MAKERS[library](name))[place]
    base_mb = peak_mb()
    start = time.process_time()
    score = fit(train)
    fit_s = time.process_time() - start
    start = time.process_time()
    figures = ndcg(score, known, ranking.wanted(known, parts.test))
    return {"model": contestant, "settings": told, **figures, "fit_s": fit_s, "rank_s": time.process_time() - start,
            "peak_mb": peak_mb(), "of_that_before_mb": base_mb}  # fmt: skip


def judges(folder: Path) -> Path:
    """The Python of an environment with RecTools and cornac, made where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making {folder} with RecTools and cornac", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *JUDGED, *READ_WITH], check=True)
    return python


def in_a_process(file: Path, contestant: str, folder: Path) -> dict:
    """Search, and then measure what was found."""
    try:
        found = _run(file, contestant, folder, "--search")
        row = _run(file, contestant, folder, "--place", str(found["place"])) | found
    except subprocess.CalledProcessError as error:
        row = {"model": contestant, "failed": (error.stderr.strip().splitlines() or ["no word"])[-1]}
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def _run(file: Path, contestant: str, folder: Path, *more: str) -> dict:
    python = str(judges(folder)) if contestant.split()[0] in IN_JUDGES else sys.executable
    command = [python, str(Path(__file__).resolve()), str(file), "--one", contestant, *more]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def fronted(rows: list[dict]) -> None:
    """Mark what nobody beats: at least as good in no more time to fit, and better in one of the two."""
    for row in rows:
        mine = row["ndcg@10"], -row["fit_s"]
        others = ((one["ndcg@10"], -one["fit_s"]) for one in rows)
        row["front"] = not any(one != mine and one[0] >= mine[0] and one[1] >= mine[1] for one in others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--search", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--judges", type=Path, default=JUDGES)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    if told.one:
        print(json.dumps(searched(told.file, told.one) if told.search else measured(told.file, told.one, told.place)))
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
