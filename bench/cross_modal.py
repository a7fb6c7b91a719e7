"""Search across picture, sound and words, and by taste, on real pictures and sounds: `python bench/cross_modal.py [--json]`.

Debian's stamps as clips (`stamp_clips.py`; 22 classes, 291 photographs, two clips each, a quarter with sound), embedded by the project's
own tasks with the packaged encoders. A query is the first clip of a stamp, of which only picture or sound or both count, or a text;
right is what is of the same class and shows another stamp. The library holds no words, so that a text is answered by what is seen
and heard; with titles is told beside. Ranking is by `recommend.matching`, as the service does it. Chance is the share of right items.

Taste: made people like clips of two of the classes that share a vague word ("animal", "food", ...), and as many clips of anything at
all; each asks for that word and wants what is of their classes and not in their history. NDCG@10 without and with their taste, 95 %
intervals over people (bootstrap).
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from stamp_clips import BENCH, features, library, stamps

from avrec_dag.encoders.joint import JointSpace
from avrec_dag.index import ItemIndex
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import interactions, model
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.matching import match
from avrec_dag.recommend.metrics import average_precision, bootstrap_interval, ndcg, recall
from avrec_dag.recommend.queries import Example, Part, Query
from avrec_dag.schema import TABLES, VECTOR
from avrec_dag.understanding.fusion import joint_of, vector_of

VAGUE: Mapping[str, tuple[str, ...]] = {
    "animal": ("bird", "fish", "insect", "hoofed animal", "beast of prey", "rodent", "sea mammal"),
    "food": ("fruit", "vegetable", "tableware"),
    "plant": ("flower", "tree", "fruit", "vegetable"),
    "something to wear": ("clothing", "hat"),
    "thing": ("tool", "musical instrument", "tableware", "medicine", "vehicle"),
}
PEOPLE, LIKED, WEIGHTS = 120, 8, (0.0, 0.3, 0.6, 1.0)
Vectors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Clip:
    """One clip: its stamp and class, and by modality what its encoder sees and where that lies in the joint space."""

    media_id: str
    stamp: str
    label: str
    title: str
    vectors: Vectors
    joints: Vectors

    def example(self, part: Part) -> Example | None:
        """The clip as a query of which only one part counts; None where it has none."""
        wanted = {"picture": ("video",), "sound": ("audio",), "clip": ("video", "audio")}[part]
        vectors = {name: self.vectors[name] for name in wanted if name in self.vectors}
        joints = {name: self.joints[name] for name in wanted if name in self.joints}
        return Example(part, vector_of(vectors), joint_of(joints)) if vectors else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=BENCH / "stamp-clips-all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    media = library(options.folder, 2, options.seed)
    clips = gathered(features(media, options.folder / "store"))
    told = {"found": crossed(clips), "taste": tasted(clips, options.seed)}
    if options.json:
        print(json.dumps({"numpy": version("numpy"), "onnxruntime": version("onnxruntime"), "seed": options.seed, **told}))
        return
    print(f"{len(clips)} clips, seed {options.seed}, numpy {version('numpy')}, onnxruntime {version('onnxruntime')}")
    for one in told["found"]:
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else f"{value}" for value in one.values()))
    for one in told["taste"]:
        print("  ".join(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}" for name, value in one.items()))


def gathered(ledger: Ledger) -> list[Clip]:
    """Every clip with its embeddings."""
    parts = {}
    for modality, table in (("video", "frame_embeddings"), ("audio", "audio_embeddings"), ("text", "text_embeddings")):
        parts[modality] = {row["media_id"]: row for row in ledger.rows(table, columns=["vector", "joint"]).to_pylist()}
    clips = []
    for row in ledger.rows("raw_media", columns=["source", "labels", "title"]).to_pylist():
        held = {name: rows[row["media_id"]] for name, rows in parts.items() if row["media_id"] in rows}
        clips.append(
            Clip(
                row["media_id"], row["source"], row["labels"][0], row["title"] or "",
                {name: np.asarray(one["vector"], np.float32) for name, one in held.items()},
                {name: np.asarray(one["joint"], np.float32) for name, one in held.items() if one["joint"] is not None},
            )
        )  # fmt: skip
    return clips


def catalogue(clips: list[Clip], modalities: tuple[str, ...]) -> Catalogue:
    """The clips as items of which only some modalities are known; those that have none of them are left out."""
    kept = [clip for clip in clips if any(name in clip.vectors for name in modalities)]
    fused, joints = [], []
    for clip in kept:
        fused.append(vector_of({name: vector for name, vector in clip.vectors.items() if name in modalities}).tolist())
        joint = joint_of({name: vector for name, vector in clip.joints.items() if name in modalities})
        joints.append(None if joint is None else joint.tolist())
    names = [clip.media_id for clip in kept]
    table = pa.table({"media_id": names, "vector": pa.array(fused, VECTOR), "joint": pa.array(joints, VECTOR)})
    titles = {clip.media_id: clip.title for clip in kept} if "text" in modalities else {}
    index = ItemIndex.build(table, space=JointSpace().identity)
    return Catalogue(index, np.full(len(index.items), 0.5, np.float32), titles, words=titles)


def crossed(clips: list[Clip]) -> list[dict[str, float | int | str]]:
    """One line for each way of asking."""
    seen, everything = catalogue(clips, ("video", "audio")), catalogue(clips, ("video", "audio", "text"))
    pictures, sounds = catalogue(clips, ("video",)), catalogue(clips, ("audio",))
    by_name = [(Query(label), label, "") for label in sorted({clip.label for clip in clips})]
    described = {stamp.name: stamp for stamp in stamps()}
    first = [clip for clip in clips if clip.media_id.endswith("-0.mp4")]
    chinese = [(Query(text), clip.label, clip.stamp) for clip in first if (text := described[clip.stamp].chinese)]
    english = [(Query(text), clip.label, clip.stamp) for clip in first if (text := described[clip.stamp].english)]
    parts: tuple[Part, ...] = ("picture", "sound", "clip")
    asked = {part: [(Query("", (one,)), clip.label, clip.stamp) for clip in first if (one := clip.example(part))] for part in parts}
    both = [(Query(clip.label, (one,)), clip.label, clip.stamp) for clip in first if (one := clip.example("picture"))]
    ways = (
        ("text (name of the class) to video", seen, by_name), ("text (description) to video", seen, english),
        ("text (description, Chinese) to video", seen, chinese), ("the same, titles known", everything, chinese),
        ("picture to clip", seen, asked["picture"]), ("the same, titles known", everything, asked["picture"]),
        ("sound to clip", seen, asked["sound"]), ("sound to picture", pictures, asked["sound"]),
        ("picture to sound", sounds, asked["picture"]), ("clip to clip", seen, asked["clip"]),
        ("picture and name of the class to clip", seen, both),
    )  # fmt: skip
    told: list[dict[str, float | int | str]] = []
    for name, items, queries in ways:
        told.append({"ask": name, **_measured(clips, items, queries)})
    return told


def _measured(clips: list[Clip], items: Catalogue, queries: list[tuple[Query, str, str]]) -> dict[str, float | int]:
    by_id = {clip.media_id: clip for clip in clips}
    space, rows = JointSpace(), []
    for query, label, stamp in queries:
        found = match(items, query, query.joint(lambda text: space.text([text])[0]), len(items.index.items))
        ranked = [items.index.items[row] for row in found.rows if by_id[items.index.items[row]].stamp != stamp]
        right = {one for one in items.index.items if by_id[one].label == label and by_id[one].stamp != stamp}
        if right:
            others = sum(by_id[one].stamp != stamp for one in items.index.items)
            rows.append((average_precision(ranked, right, len(ranked)), recall(ranked, right, 10), ranked[0] in right, len(right) / others))
    map_, recall10, top, chance = np.mean(rows, axis=0)
    return {"queries": len(rows), "mAP": float(map_), "recall@10": float(recall10), "first right": float(top), "chance": float(chance)}


def tasted(clips: list[Clip], seed: int) -> list[dict[str, float | int | str]]:
    """NDCG@10 of a vague query by weight of the taste."""
    rng = np.random.default_rng([seed, 20])
    items = catalogue(clips, ("video", "audio"))
    by_label = {label: sorted(clip.media_id for clip in clips if clip.label == label) for label in {clip.label for clip in clips}}
    likes, wanted, asked = {}, {}, {}
    for person in range(PEOPLE):
        name, word = f"person {person:03d}", str(rng.choice(list(VAGUE)))
        mine = rng.choice(VAGUE[word], min(2, len(VAGUE[word]) - 1), replace=False)
        theirs = sorted({one for label in mine for one in by_label[str(label)]})
        anything = rng.choice(items.index.items, LIKED // 2, replace=False)
        liked = rng.permutation([*rng.choice(theirs, LIKED // 2, replace=False), *anything])
        likes[name] = list(dict.fromkeys(map(str, liked)))
        wanted[name], asked[name] = set(theirs) - set(likes[name]), word
    histories = Histories.of(interactions.fold(_events(likes), _items(items)), items.index.items)
    blend = model.unfitted(model.DEFAULT)
    blend.fit(histories.interactions(items.index.fused))
    trained = model.Trained(blend, "made", model.DEFAULT, "made", np.zeros(0, np.uint64), 0)
    recommender = Recommender.of(items, trained, histories)
    told: list[dict[str, float | int | str]] = []
    base = None
    for weight in WEIGHTS:
        values = []
        for name in sorted(likes):
            found = recommender.search(asked[name], 100, user_id=name, taste=weight)
            values.append(ndcg([one.media_id for one in found if one.media_id not in likes[name]], wanted[name], 10))
        scores = np.array(values)
        base = scores if base is None else base
        low, high = bootstrap_interval(scores - base, seed=seed)
        gain = float((scores - base).mean())
        told.append({"taste": weight, "people": PEOPLE, "ndcg@10": float(scores.mean()), "gain": gain, "low": low, "high": high})
    return told


def _items(items: Catalogue) -> pa.Table:
    names = list(items.index.items)
    return pa.table({"media_id": names, "creator": pa.nulls(len(names), pa.string())})


def _events(likes: Mapping[str, list[str]]) -> pa.Table:
    """Likes in their order as rows of feedback_events."""
    start, rows = datetime(2026, 1, 1, tzinfo=UTC), []
    for person, liked in sorted(likes.items()):
        for number, media_id in enumerate(liked):
            told = {"event_id": f"{person} {number}", "user_id": person, "media_id": media_id, "kind": "like", "weight": 1.0}
            rows.append({**told, "happened_at": start + timedelta(hours=number), "fields": [("event", told["event_id"])]})
    columns = TABLES["feedback_events"].columns
    fields = [pa.field("event_id", pa.string()), pa.field("fields", pa.map_(pa.string(), pa.string())), *columns]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


if __name__ == "__main__":
    main()
