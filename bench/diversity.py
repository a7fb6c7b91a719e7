"""What variety costs: `python bench/diversity.py [--people 400] [--seed 2] [--seeds 4] [--picture FILE] [--json]`.

Made people and items: no public set that has both content and behaviour can be had here. 1,500 items of 24 classes with four topics each,
unit vectors around class and topic (two items of a topic have a cosine of 0.86, of a class 0.57, before what all share); everyone has a
taste of their own, from one class to several (Dirichlet, concentration drawn from 0.02 to 0.2), and topics they prefer within a class. Of
30 items that a person likes, 80 % come from their taste and the rest from what is popular; a fifth, at random, are held back. Lists have 10
places; distances are cosine distances of centred vectors.

The data were changed twice. In their first form no way of spreading could have reached the goal, 1.5 times the distance of plain ranking at
95 % of the best NDCG. In their second the fifth held back was the last that numpy drew, which are the less likely ones, as it draws without
replacement in turn; now it is drawn at random, as is said above. Ways and their scales were developed on seeds 0 and 1, smoothing
with what is popular and the search by place on seeds 10 to 13; the default seeds are others.

Scores are of two kinds, and the ways are compared on both: those of item-kNN and of likeness of content, each standardised over what the
person has not met, in equal parts; and those of the blend that serves by default, fitted on the same people. A tenth of either is quality.
The oracle's scores are the logarithms of the very chances that the data were drawn with, less what was met: about what could be reached by
whoever knew them (by local search, so that it is an estimate, not a proof).
For each line, each half of the people chooses the setting that spreads furthest at 95 % of the best NDCG, and the figures told are those of
the other half; means over both halves of every seed, with 95 % intervals over them.
"""

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend.model import DEFAULT, unfitted
from avrec_dag.recommend.models.base import Interactions, Model
from avrec_dag.recommend.models.content import Content, centred
from avrec_dag.recommend.models.item_knn import ItemKnn
from avrec_dag.recommend.reranking.curve import Case, Point, best_within, measure, picture
from avrec_dag.recommend.reranking.knobs import METHODS, Knobs
from avrec_dag.recommend.reranking.listing import Reranker, Shelf

ITEMS, CLASSES, TOPICS, DIM, LIKED, K = 1500, 24, 4, 64, 30, 10
STEPS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.8)
KNN, BLEND, ORACLE = "item-kNN and content", "the blend that serves", "the oracle"
PLAIN = Knobs(diversity=0.0, personal=0.0, calibration=0.0, per_creator=1000)


def made(people: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
    """Class and vector of each item, what each person likes in random order, quality, and (people, items) the chances of a draw."""
    rng = np.random.default_rng(seed)
    kind, topic = rng.integers(0, CLASSES, ITEMS), rng.integers(0, TOPICS, ITEMS)
    centres = rng.normal(size=(CLASSES, DIM))
    topics = rng.normal(size=(CLASSES, TOPICS, DIM))
    shared = rng.normal(size=DIM)
    vectors = centres[kind] + 0.7 * topics[kind, topic] + 0.5 * rng.normal(size=(ITEMS, DIM)) + shared
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality, popularity = rng.beta(4, 2, ITEMS), (1.0 + rng.permutation(ITEMS)) ** -0.7
    histories, chances = [], np.empty((people, ITEMS), np.float32)
    for person in range(people):
        taste = rng.dirichlet(np.full(CLASSES, rng.uniform(0.02, 0.2)))
        within = rng.dirichlet(np.full(TOPICS, 0.5), CLASSES)
        own = taste[kind] * within[kind, topic] * popularity * (0.5 + quality)
        odds = 0.8 * own / own.sum() + 0.2 * popularity / popularity.sum()
        histories.append(rng.permutation(rng.choice(ITEMS, LIKED, replace=False, p=odds)))
        chances[person] = odds
    return kind, vectors.astype(np.float32), histories, quality.astype(np.float32), chances


def interactions(histories: list[np.ndarray], vectors: np.ndarray) -> Interactions:
    """As models read them."""
    lengths = [len(one) for one in histories]
    flat = np.concatenate(histories).astype(np.int32)
    times = np.concatenate([np.arange(length) for length in lengths]).astype(np.float64)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    names = tuple(f"person {number}" for number in range(len(histories)))
    items = tuple(f"item {number}" for number in range(len(vectors)))
    return Interactions(names, items, indptr, flat, np.ones(len(flat), np.float32), times, vectors)


def standard(raw: np.ndarray, met: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 over what was not met."""
    open_to = np.delete(raw, met)
    return (raw - open_to.mean()) / max(float(open_to.std()), 1e-9)


def cases(data: Interactions, held: list[np.ndarray], quality: np.ndarray, chosen: range, kind: str, seed: int) -> Iterator[Case]:
    """The people of whom something is held back, with the scores of what they have not met."""
    models: list[Model] = [ItemKnn(), Content()] if kind == KNN else [unfitted(DEFAULT)]
    for model in models:
        model.fit(data, seed=seed)
    liked = data.liked
    for person in chosen:
        one = data.of([person])
        met = one.columns
        relevance = sum((standard(model.score(one)[0], met) for model in models), np.zeros(ITEMS))
        scores = 0.9 * standard(relevance, met) + 0.1 * standard(quality, met)
        scores[met] = -np.inf
        yield Case(scores, sp.csr_matrix(liked[[person]]), frozenset(held[person].tolist()))


def known(data: Interactions, held: list[np.ndarray], chances: np.ndarray, chosen: range) -> Iterator[Case]:
    """The same people, as whoever knew the chances would score them."""
    liked = data.liked
    for person in chosen:
        scores = np.log(chances[person].astype(np.float64))
        scores[data.of([person]).columns] = -np.inf
        yield Case(scores, sp.csr_matrix(liked[[person]]), frozenset(held[person].tolist()))


def settings(kind: str) -> dict[str, Knobs]:
    """Every setting that is measured, by name."""
    found = {"plain": PLAIN}
    if kind == ORACLE:
        return found | {f"swap {step:g}": replace(PLAIN, method="swap", diversity=step) for step in STEPS}
    for method in METHODS:
        found |= {f"{method} {step:g}": replace(PLAIN, method=method, diversity=step) for step in STEPS}
    found |= {f"swap, personal {step:g}": replace(PLAIN, method="swap", diversity=step, personal=0.5) for step in STEPS}
    found |= {f"calibrated {step:g}": replace(PLAIN, calibration=step) for step in (0.1, 0.3, 0.5, 0.7, 0.9)}
    found |= {f"calibrated, swap {step:g}": replace(PLAIN, method="swap", calibration=1.0, diversity=step) for step in (0.0, *STEPS)}
    return found


def curves(points: dict[str, Point]) -> dict[str, list[Point]]:
    """The settings as lines, each from plain ranking on."""
    found: dict[str, list[Point]] = {}
    for name in points:
        if name != "plain":
            found.setdefault(name.rpartition(" ")[0], [points["plain"]]).append(points[name])
    return found


def judged(points: dict[str, Point], others: dict[str, Point]) -> dict[str, dict[str, float | str]]:
    """Line -> the setting that `others` choose, and its figures among `points`."""
    best, plain, found = max(one.ndcg for one in points.values()), points["plain"], {}
    for line in curves(others):
        names = ["plain", *(name for name in others if name.rpartition(" ")[0] == line)]
        name = best_within(others, among=names) or "plain"
        point = points[name]
        found[line] = {
            "setting": name, "ndcg": point.ndcg, "share": point.ndcg / best, "times": point.distance / plain.distance,
            "distance": point.distance, "least": point.least_distance, "coverage": point.coverage, "quality": point.quality,
        }  # fmt: skip
    return found


def pooled(halves: list[dict[str, Point]]) -> dict[str, Point]:
    """The means of every setting over the halves."""
    return {name: Point(*np.mean([list(asdict(half[name]).values()) for half in halves], axis=0).tolist()) for name in halves[0]}


def reached(points: dict[str, Point], line: str, ndcg: float) -> float:
    """Times plain where a line falls to this NDCG, between two of its settings; NaN where it never does."""
    along = curves(points)[line]
    ndcgs, times = [one.ndcg for one in along], [one.distance / points["plain"].distance for one in along]
    falls = [at for at in range(len(along) - 1) if ndcgs[at] >= ndcg > ndcgs[at + 1]]
    found = [float(np.interp(ndcg, ndcgs[at : at + 2][::-1], times[at : at + 2][::-1])) for at in falls]
    return max(found, default=float("nan"))


def run(people: int, seed: int, kind: str) -> tuple[list[dict[str, Point]], float]:
    """The points of both halves of the people, and milliseconds of processor time for a list."""
    classes_of, vectors, histories, quality, chances = made(8 * people, seed)
    data = interactions([one[: LIKED * 4 // 5] for one in histories], vectors)
    held = [one[LIKED * 4 // 5 :] for one in histories]
    classes = {f"item {number}": {f"class {one:02d}": 1.0} for number, one in enumerate(classes_of)}
    reranker = Reranker.of(Shelf.of(data.items, centred(vectors), classes=classes), data.liked)
    judged_people = range(people)
    every = list(known(data, held, chances, judged_people) if kind == ORACLE else cases(data, held, quality, judged_people, kind, seed))
    started, ways = time.process_time(), settings(kind)
    halves = [measure(reranker, every[half::2], ways, quality, K) for half in (0, 1)]
    return halves, (time.process_time() - started) / (len(ways) * people) * 1000


def summed(halves: list[dict[str, Point]]) -> dict[str, dict[str, object]]:
    """Line -> means over halves (two of each seed, one after the other) with half widths of their 95 % intervals."""
    folds = [judged(halves[at], halves[at ^ 1]) for at in range(len(halves))]
    found: dict[str, dict[str, object]] = {}
    for line in folds[0]:
        rows = [fold[line] for fold in folds]
        values = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "setting"}
        wide = {f"{name}_pm": float(1.96 * value.std(ddof=1) / np.sqrt(len(value))) for name, value in values.items()}
        mean = pooled(halves)
        best, own = max(one.ndcg for one in mean.values()), max(one.ndcg for one in curves(mean)[line])
        at = {"at_95_of_the_mean": best, "at_95_of_its_best": own, "at_95_of_plain": mean["plain"].ndcg}
        knobs = sorted({str(row["setting"]).rpartition(" ")[2] for row in rows})
        found[line] = {"knobs": knobs, **{name: float(value.mean()) for name, value in values.items()}, **wide,
                       **{name: reached(mean, line, 0.95 * of) for name, of in at.items()}}  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=400, help="measured per seed; eight times as many are learned from")
    parser.add_argument("--seed", type=int, default=2, help="the first")
    parser.add_argument("--seeds", type=int, default=4, help="how many")
    parser.add_argument("--picture", type=Path, help="where the curves of the blend are drawn, PNG")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    versions = {name: importlib.metadata.version(name) for name in ("pyversity", "implicit", "numpy")}
    told: dict[str, Any] = {"versions": versions, "items": ITEMS, "people": asked.people, "seed": asked.seed, "seeds": asked.seeds, "k": K}
    for kind in (KNN, BLEND, ORACLE):
        runs = [run(asked.people, seed, kind) for seed in range(asked.seed, asked.seed + asked.seeds)]
        halves = [half for found, _ in runs for half in found]
        points = pooled(halves)
        told[kind] = {"milliseconds_per_list": float(np.mean([taken for _, taken in runs])), "lines": summed(halves),
                      "points": {name: asdict(point) for name, point in points.items()}}  # fmt: skip
        if asked.picture and kind == BLEND:
            asked.picture.write_bytes(picture(curves(points)))
    if asked.json:
        json.dump(told, sys.stdout, indent=2)
        return
    print(f"{ITEMS} items, {asked.people} people judged per seed, seeds {asked.seed} to {asked.seed + asked.seeds - 1}, {versions}")
    for kind in (KNN, BLEND, ORACLE):
        show(kind, told[kind])


def show(kind: str, found: dict[str, Any]) -> None:
    """The tables of one kind of scores."""
    plain = found["points"]["plain"]
    print(f"\nScores of {kind}; {found['milliseconds_per_list']:.2f} ms of processor time for a list. Plain: NDCG@10 {plain['ndcg']:.4f}, "
          f"mean distance {plain['distance']:.3f}, least {plain['least_distance']:.3f}, coverage {plain['coverage']:.2f}, "
          f"quality {plain['quality']:.3f}\n")  # fmt: skip
    head = ("way", "knobs chosen", "share of best NDCG", "±", "times plain", "±", "at 0.95 of the best of all ways",
            "at 0.95 of its own best", "at 0.95 of plain's NDCG", "least", "coverage", "quality")  # fmt: skip
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for line, row in found["lines"].items():
        names = ("share", "share_pm", "times", "times_pm", "at_95_of_the_mean", "at_95_of_its_best", "at_95_of_plain", "least")
        figures = [f"{row[name]:.3f}" for name in names]
        print(f"| {line} | {', '.join(row['knobs'])} | {' | '.join(figures)} | {row['coverage']:.2f} | {row['quality']:.3f} |")
    head = ("setting", "NDCG@10", "±", "mean distance", "least distance", "coverage", "quality", "divergence from own mix")
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, one in found["points"].items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in one.values())} |")


if __name__ == "__main__":
    main()
