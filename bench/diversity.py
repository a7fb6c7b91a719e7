"""What variety costs: `python bench/diversity.py [--people 400] [--seed 0] [--picture FILE] [--json]`.

Made people and items: no public set that has both content and behaviour can be had here. 1,500 items of 24 classes with four topics each,
unit vectors around class and topic (two items of a topic have a cosine of 0.86, of a class 0.57, before what all share); everyone has a
taste of their own, from one class to several (Dirichlet, concentration drawn from 0.02 to 0.2), and topics they prefer within a class. Of
30 items that a person likes, 80 % come from their taste and the rest from what is popular; a fifth, at random, are held back. Scores are
those of item-kNN and of likeness of content, each standardised over what the person has not met, in equal parts, and a tenth of quality.
Lists have 10 places; distances are cosine distances of centred vectors. For each line, half of the people choose the setting that spreads
furthest at 95 % of the best NDCG, and the figures told are those of the other half.
"""

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.content import Content, centred
from avrec_dag.recommend.models.item_knn import ItemKnn
from avrec_dag.recommend.reranking.curve import Case, Point, best_within, measure, picture
from avrec_dag.recommend.reranking.knobs import METHODS, Knobs
from avrec_dag.recommend.reranking.listing import Reranker, Shelf

ITEMS, CLASSES, TOPICS, DIM, LIKED, K = 1500, 24, 4, 64, 30, 10
STEPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85)
PLAIN = Knobs(diversity=0.0, personal=0.0, calibration=0.0, per_creator=1000)


def made(people: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """Class and vector of each item, what each person likes in random order, and quality."""
    rng = np.random.default_rng(seed)
    kind, topic = rng.integers(0, CLASSES, ITEMS), rng.integers(0, TOPICS, ITEMS)
    centres = rng.normal(size=(CLASSES, DIM))
    topics = rng.normal(size=(CLASSES, TOPICS, DIM))
    shared = rng.normal(size=DIM)
    vectors = centres[kind] + 0.7 * topics[kind, topic] + 0.5 * rng.normal(size=(ITEMS, DIM)) + shared
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    quality, popularity = rng.beta(4, 2, ITEMS), (1.0 + rng.permutation(ITEMS)) ** -0.7
    histories = []
    for _ in range(people):
        taste = rng.dirichlet(np.full(CLASSES, rng.uniform(0.02, 0.2)))
        within = rng.dirichlet(np.full(TOPICS, 0.5), CLASSES)
        own = taste[kind] * within[kind, topic] * popularity * (0.5 + quality)
        odds = 0.8 * own / own.sum() + 0.2 * popularity / popularity.sum()
        histories.append(rng.choice(ITEMS, LIKED, replace=False, p=odds))
    return kind, vectors.astype(np.float32), histories, quality.astype(np.float32)


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


def cases(data: Interactions, held: list[np.ndarray], quality: np.ndarray, chosen: range) -> Iterator[Case]:
    """The people of whom something is held back, with the scores of what they have not met."""
    knn, content, liked = ItemKnn(), Content(), data.liked
    knn.fit(data)
    content.fit(data)
    for person in chosen:
        one = data.of([person])
        met = one.columns
        relevance = standard(knn.score(one)[0], met) + standard(content.score(one)[0], met)
        scores = 0.9 * standard(relevance, met) + 0.1 * standard(quality, met)
        scores[met] = -np.inf
        yield Case(scores, sp.csr_matrix(liked[[person]]), frozenset(held[person].tolist()))


def settings() -> dict[str, Knobs]:
    """Every setting that is measured, by name."""
    found = {"plain": PLAIN}
    for method in METHODS:
        found |= {f"{method} {step:g}": replace(PLAIN, method=method, diversity=step) for step in STEPS}
    found |= {f"msd, personal {step:g}": replace(PLAIN, method="msd", diversity=step, personal=0.5) for step in STEPS}
    found |= {f"calibrated {step:g}": replace(PLAIN, calibration=step) for step in (0.1, 0.3, 0.5, 0.7, 0.9)}
    found |= {f"calibrated 0.7, msd {step:g}": replace(PLAIN, method="msd", calibration=0.7, diversity=step) for step in STEPS}
    return found


def curves(points: dict[str, Point]) -> dict[str, list[Point]]:
    """The settings as lines, each from plain ranking on."""
    found: dict[str, list[Point]] = {}
    for name in points:
        if name != "plain":
            found.setdefault(name.rpartition(" ")[0], [points["plain"]]).append(points[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=400, help="of so many lists are measured; eight times as many are learned from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="where the curves are drawn, PNG")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    kind, vectors, histories, quality = made(8 * asked.people, asked.seed)
    data = interactions([one[: LIKED * 4 // 5] for one in histories], vectors)
    held = [one[LIKED * 4 // 5 :] for one in histories]
    classes = {f"item {number}": {f"class {one:02d}": 1.0} for number, one in enumerate(kind)}
    reranker = Reranker.of(Shelf.of(data.items, centred(vectors), classes=classes), data.liked)
    started = time.process_time()
    people = list(cases(data, held, quality, range(asked.people)))
    chosen, judged = (measure(reranker, people[half::2], settings(), quality, K) for half in (0, 1))
    taken = (time.process_time() - started) / (len(settings()) * asked.people) * 1000
    plain = judged["plain"]
    bars = {}
    for line in curves(chosen):
        names = ["plain", *(name for name in chosen if name.rpartition(" ")[0] == line)]
        name = best_within({one: chosen[one] for one in names})
        bars[line] = {
            "setting": name,
            "ndcg_share": judged[name].ndcg / max(p.ndcg for p in judged.values()),
            "times": judged[name].distance / plain.distance,
        }
    if asked.picture:
        asked.picture.write_bytes(picture(curves(judged)))
    versions = {name: importlib.metadata.version(name) for name in ("pyversity", "implicit", "numpy")}
    told = {"versions": versions, "items": ITEMS, "people": asked.people, "seed": asked.seed, "k": K, "milliseconds_per_list": taken,
            "points": {name: asdict(point) for name, point in judged.items()}, "at_95_percent": bars}  # fmt: skip
    if asked.json:
        json.dump(told, sys.stdout, indent=2)
        return
    print(f"{ITEMS} items, {asked.people // 2} people judged, seed {asked.seed}, {versions}; {taken:.2f} ms of processor time for a list\n")
    head = ("setting", "NDCG@10", "±", "mean distance", "least distance", "coverage", "quality", "divergence from own mix")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, p in judged.items():
        figures = (p.ndcg, p.ndcg_error, p.distance, p.least_distance, p.coverage, p.quality, p.divergence)
        print(f"| {name} | {' | '.join(f'{one:.3f}' for one in figures)} |")
    print("\n| furthest at 95 % of the best NDCG on the other half | share of the best NDCG | mean distance, times plain |\n|---|---|---|")
    for bar in bars.values():
        print(f"| {bar['setting']} | {bar['ndcg_share']:.3f} | {bar['times']:.2f} |")


if __name__ == "__main__":
    main()
