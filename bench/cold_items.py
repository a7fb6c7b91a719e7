"""What blending is worth on items that hardly anybody has met, and on the rest: against content alone and behaviour alone.

    python bench/cold_items.py [--seeds 5] [--file-seeds 2] [--json]

Made people and items: no public set that has both content and behaviour can be had here. 2,000 items of 16 classes with four topics each;
content tells class and topic (unit vectors around both, as in `bench/diversity.py`), and nothing of a third fact, to which of 80 scenes
an item belongs. 1,500 people have a taste in classes and topics, and follow a few scenes; they meet 8 to 24 items each, in random order,
by taste, scene and popularity (Zipf, exponent 1), so that some items are met by hundreds and others by nobody. Split leave-one-out; all
items that the person has not met are ranked; a group is told by how many training events the item to be found has.

1. `vectors`: the recommender as it is served by default (`recommend.model.DEFAULT`), fitted by `Blend.fit` on the training part.
2. `titles`: the same world as a file of interactions and a CSV of titles, whose words tell class and topic, through what `avrec evaluate
   --titles` runs: every model of the registry, settings and weights chosen on the validation part. Behaviour alone is the blend of the same
   file without titles.

Intervals are 95 % ones of the mean difference, by the paired bootstrap over people, all seeds together.
"""

import argparse
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend import model
from avrec_dag.recommend.evaluation import accuracy, comparing, ranking, reading, running, splits, titles
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.blend import Blend
from avrec_dag.recommend.models.registry import MODELS

PEOPLE, ITEMS, CLASSES, TOPICS, SCENES, DIM, K, COLD = 1500, 2000, 16, 4, 80, 64, 10, 3
SUBJECTS = ("guitar", "football", "baking", "horses", "chess", "astronomy", "gardening", "surfing",
            "cinema", "motorcycles", "knitting", "volcanoes", "politics", "dentistry", "robots", "violin")  # fmt: skip
ANGLES = ("lesson for beginners", "world championship final", "history documentary", "funny accidents compilation")
FILLING = ("episode", "new", "official", "full", "live", "part two", "morning", "summer", "our", "best of")
CONTENT, BEHAVIOUR, BLEND = "content alone", "behaviour alone", "blend"
Figures = dict[str, NDArray[np.float64]]
"""Contestant -> (people,) NDCG@10 of the item held out."""


@dataclass(frozen=True)
class World:
    """What is made: histories with vectors, and a title for each item."""

    data: Interactions
    titles: tuple[str, ...]


def made(seed: int) -> World:
    rng = np.random.default_rng(seed)
    kind, topic, scene = (rng.integers(0, most, ITEMS) for most in (CLASSES, TOPICS, SCENES))
    centres, topics, shared = (rng.normal(size=size) for size in ((CLASSES, DIM), (CLASSES, TOPICS, DIM), (DIM,)))
    vectors = centres[kind] + 0.7 * topics[kind, topic] + 0.5 * rng.normal(size=(ITEMS, DIM)) + shared
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    popularity = 1.0 / (1.0 + rng.permutation(ITEMS))
    histories = []
    for _ in range(PEOPLE):
        taste = rng.dirichlet(np.full(CLASSES, rng.uniform(0.02, 0.2)))[kind] * rng.dirichlet(np.full(TOPICS, 0.5), CLASSES)[kind, topic]
        follows = np.isin(scene, rng.choice(SCENES, 4, replace=False))
        by_taste, by_scene = taste * np.sqrt(popularity), follows * np.sqrt(popularity)
        odds = 0.5 * by_taste / by_taste.sum() + 0.35 * by_scene / by_scene.sum() + 0.15 * popularity / popularity.sum()
        histories.append(rng.permutation(rng.choice(ITEMS, rng.integers(8, 25), replace=False, p=odds)))
    words = [f"{rng.choice(FILLING)} {SUBJECTS[one]} {ANGLES[other]} {rng.integers(1, 99)}" for one, other in zip(kind, topic, strict=True)]
    return World(interactions(histories, vectors), tuple(words))


def interactions(histories: list[NDArray[np.int64]], vectors: NDArray[np.float32]) -> Interactions:
    """As models read them."""
    lengths = [len(one) for one in histories]
    flat = np.concatenate(histories).astype(np.int32)
    times = np.concatenate([np.arange(length) for length in lengths]).astype(np.float64)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    users, items = tuple(f"person {n}" for n in range(len(histories))), tuple(f"item {n}" for n in range(len(vectors)))
    return Interactions(users, items, indptr, flat, np.ones(len(flat), np.float32), times, vectors)


def served(world: World, seed: int) -> tuple[NDArray[np.int64], Figures]:
    """Training events of the item to be found, and how well each contestant finds it."""
    parts = splits.split(world.data, "leave-one-out")
    names, blind = model.names_of(model.DEFAULT), replace(parts.known, vectors=None)
    without = tuple(name for name in names if name != "content")
    contestants = {BLEND: (names, parts.known), BEHAVIOUR: (without, blind), CONTENT: (("content",), parts.known)}
    sought, figures = ranking.wanted(parts.known, parts.test), {}
    for name, (components, known) in contestants.items():
        blend = Blend()
        blend.compose({one: MODELS[one].make({}) for one in components})
        blend.fit(known, seed=seed)
        scored = blend.components[0] if len(components) == 1 else blend
        figures[name] = accuracy.per_user(ranking.ranked(scored.score, known, sought, seed=seed), K)[f"ndcg@{K}"]
    return events_of(parts.known, sought), figures


def events_of(known: Interactions, sought: ranking.Wanted) -> NDArray[np.int64]:
    """(people,) of the item that each is to find, how many events models learned from."""
    return np.bincount(known.columns, minlength=len(known.items))[sought.relevant.indices]


def evaluated(world: World, seed: int) -> tuple[NDArray[np.int64], Figures]:
    """The same from files, as the command evaluates them."""
    with tempfile.TemporaryDirectory() as folder:
        file, named = Path(folder) / "made.inter", Path(folder) / "titles.csv"
        write(world, file, named)
        found = reading.read(file, "inter")
        vectors = titles.vectors(titles.read(named), found.interactions.items, encoder=encoder())
    blind = splits.split(found.interactions, "leave-one-out", clock=found.clock, seed=seed)
    told = replace(blind, data=replace(blind.data, vectors=vectors))
    figures: Figures = {}
    for parts, names in ((told, {BLEND: "blend", CONTENT: "content"}), (blind, {BEHAVIOUR: "blend"})):
        outcome = running.run(parts, found.ratings, tuple(names.values()), seed=seed, say=lambda said: print(said, file=sys.stderr))
        figures |= {name: outcome.per_user[one][f"ndcg@{K}"] for name, one in names.items()}
    return events_of(blind.train, ranking.wanted(blind.known, blind.test)), figures


def encoder() -> str:
    """What the command encodes titles with unless it is told otherwise."""
    from avrec_dag.encoders.registry import preset

    return preset("packaged").text.name


def write(world: World, file: Path, named: Path) -> None:
    """A RecBole-like file in time order, and `item,title`."""
    data = world.data
    rows = zip(data.rows.tolist(), data.columns.tolist(), data.at_s.tolist(), strict=True)
    lines = (f"{data.users[user]}\t{data.items[item]}\t{1_700_000_000 + at * 60:.0f}" for user, item, at in rows)
    file.write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *lines]) + "\n", encoding="utf-8")
    named.write_text("item,title\n" + "".join(f"{item},{title}\n" for item, title in zip(data.items, world.titles, strict=True)), "utf-8")


def summed(way: str, runs: list[tuple[NDArray[np.int64], Figures]]) -> Iterator[dict]:
    """A row for each group: means, and the differences with their intervals."""
    events = np.concatenate([one for one, _ in runs])
    figures = {name: np.concatenate([found[name] for _, found in runs]) for name in (BLEND, CONTENT, BEHAVIOUR)}
    for group, inside in ((f"at most {COLD}", events <= COLD), (f"more than {COLD}", events > COLD)):
        values = {name: one[inside] for name, one in figures.items()}
        against = {name: values[BLEND] - values[name] for name in (CONTENT, BEHAVIOUR)}
        bounds = comparing.intervals(against, seed=0)
        differences = {name: {"mean": float(one.mean()), "low": bounds[name][0], "high": bounds[name][1]} for name, one in against.items()}
        yield {"way": way, "events": group, "people": int(inside.sum()), "seeds": len(runs),
               "ndcg@10": {name: float(one.mean()) for name, one in values.items()}, "blend_less": differences}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="worlds through `Blend.fit`")
    parser.add_argument("--file-seeds", type=int, default=2, help="worlds through files and titles")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [row for way, take, seeds in (("vectors", served, asked.seeds), ("titles", evaluated, asked.file_seeds)) if seeds
            for row in summed(way, [take(made(seed), seed) for seed in range(asked.first_seed, asked.first_seed + seeds)])]  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "implicit", "torch")}
    if asked.json:
        json.dump({"versions": versions, "people": PEOPLE, "items": ITEMS, "k": K, "rows": rows}, sys.stdout, indent=2)
        return
    print(f"{PEOPLE} people and {ITEMS} items a seed, leave-one-out, NDCG@{K}; {versions}\n")
    print("| by | events of the item | people | blend | content alone | behaviour alone | blend less content | blend less behaviour |")
    print("|---" * 8 + "|")
    for row in rows:
        means = " | ".join(f"{row['ndcg@10'][name]:.4f}" for name in (BLEND, CONTENT, BEHAVIOUR))
        less = (row["blend_less"][name] for name in (CONTENT, BEHAVIOUR))
        told = " | ".join(f"{one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})" for one in less)
        print(f"| {row['way']} | {row['events']} | {row['people']} | {means} | {told} |")


if __name__ == "__main__":
    main()
