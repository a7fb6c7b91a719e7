"""A made library of any size in a real ledger, and the real service over it: what `serve.py` and `serve_faults.py` measure.

Items lie around topics, topics around classes; the noise within a topic falls off by dimension as an encoder's does. People like one or
two classes and meet about fifteen items: of their taste, popular, or by chance, as `avrec_dag.synthetic_behaviour` has it. The index, the
histories and the model are made by the library's own steps.
"""

import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from avrec_dag.encoders.joint import JointSpace
from avrec_dag.feedback.stage import _history_rows
from avrec_dag.items import Row
from avrec_dag.recommend import indexing
from avrec_dag.recommend.interactions import fold
from avrec_dag.recommend.training import update_recommender
from avrec_dag.steps import WHOLE, Recipe, Step, graph
from tests.small_library import Place

ROOT = Path(__file__).resolve().parent.parent
DAY, SEED, MET, TOPICS_PER_CLASS = "2026-01-01", 0, 15, 40
CLASSES = (
    "cat", "dog", "rain", "piano", "car", "crowd", "forest", "speech", "football", "cooking", "guitar", "train", "bird", "ocean", "dance",
    "comedy", "chess", "garden", "snow", "city", "horse", "violin", "baby", "fire", "mountain",
)  # fmt: skip
WORDS = ("morning", "old", "loud", "small", "green", "night", "quick", "festival", "lesson", "review", "street", "home", "river", "first")
STEPS: dict[str, Step] = graph(Recipe("frame", "audio", "events", "text", "sampling"))
_CHUNK = 2000


@dataclass(frozen=True)
class Made(Place):
    """A made library.

    Attributes:
        items: How many items.
        users: How many people, `person-000000` and on.
    """

    items: int
    users: int

    @property
    def env(self) -> dict[str, str]:
        """What makes the command serve it: one thread a process, and this tree's code."""
        return {**super().env, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    @property
    def said(self) -> Path:
        """What the service said."""
        return self.folder / "serve.log"


def media_id(number: int) -> str:
    return f"dt={DAY}/{number:06d}.mp4"


def user_id(number: int) -> str:
    return f"person-{number:06d}"


def made(folder: Path, n_items: int, n_users: int, dim: int = 512, seed: int = SEED) -> Made:
    """The library in this folder, made unless it is there."""
    told, done = {"items": n_items, "users": n_users, "dim": dim, "seed": seed}, folder / "made.json"
    if done.exists():
        if json.loads(done.read_text()) != told:
            raise SystemExit(f"{folder} holds another library ({done.read_text()}): name another --folder")
        return Made(folder, n_items, n_users)
    library = Made(folder, n_items, n_users)
    (folder / "media").mkdir(parents=True)
    topics = np.random.default_rng([seed, 1]).integers(0, len(CLASSES) * TOPICS_PER_CLASS, n_items)
    put(library, np.arange(n_items), topics, dim, seed)
    _people(library, topics // TOPICS_PER_CLASS, seed)
    for what, update in (("recommender", update_recommender), ("item_index", indexing.update_index)):
        start = time.monotonic()
        update(library.ledger, library.blobs, STEPS[what], run_id="bench")
        print(f"{what}: {time.monotonic() - start:.1f} s", file=sys.stderr)
    done.write_text(json.dumps(told))
    return library


def put(library: Made, numbers: np.ndarray, topics: np.ndarray, dim: int, seed: int) -> None:
    """Write what the earlier stages would have written about these items."""
    names = [f"{CLASSES[topic // TOPICS_PER_CLASS]} {_words(topic)}" for topic in range(len(CLASSES) * TOPICS_PER_CLASS)]
    spoken = JointSpace().text(names)
    rng = np.random.default_rng([seed, 2])
    centres = rng.normal(size=(len(CLASSES), dim))
    around = centres.repeat(TOPICS_PER_CLASS, axis=0) + rng.normal(size=(len(names), dim)) + 2 * rng.normal(size=dim)
    fading = np.sqrt(dim / np.arange(1, dim + 1) / np.sum(1.0 / np.arange(1, dim + 1)))
    for start in range(0, len(numbers), _CHUNK):
        some, of = numbers[start : start + _CHUNK], topics[start : start + _CHUNK]
        draws = np.random.default_rng([seed, 3, start])
        vectors = _unit(around[of] + draws.normal(size=(len(some), dim)) * fading)
        joints = _unit(spoken[of] + 0.5 * draws.normal(size=(len(some), spoken.shape[1])) / np.sqrt(spoken.shape[1]))
        quality = draws.beta(5, 3, len(some))
        rows: dict[str, list[Row]] = {"raw_media": [], "fused_features": [], "content_classes": [], "quality_scores": []}
        for at, (number, topic) in enumerate(zip(some.tolist(), of.tolist(), strict=True)):
            label, key = CLASSES[topic // TOPICS_PER_CLASS], media_id(number)
            hashes = {"vector": vectors[at].tobytes().hex()[:32], "joint": joints[at].tobytes().hex()[:32]}
            values = {
                "raw_media": {"title": f"{names[topic]} {number}", "tags": [label], "kind": "video", "duration_s": 20.0,
                              "creator": f"creator {number % max(1, library.items // 20)}"},
                "fused_features": {"vector": vectors[at], "joint": joints[at]},
                "content_classes": {"labels": [label], "class_names": [label], "class_probs": [0.9], "method": "classifier"},
                "quality_scores": {"score": float(quality[at]), "technical": float(quality[at])},
            }  # fmt: skip
            for table, value in values.items():
                rows[table].append(Row(key, "1", hashes, value))
        for table, found in rows.items():
            library.ledger.append(table, WHOLE if table == "quality_scores" else DAY, found, run_id="bench")


def _words(topic: int) -> str:
    return f"{WORDS[topic % len(WORDS)]} {WORDS[topic // len(WORDS) % len(WORDS)]}"


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _people(library: Made, classes: np.ndarray, seed: int) -> None:
    """What they did, folded into histories by the library's own fold; no event is in the log, which begins empty."""
    rng = np.random.default_rng([seed, 4])
    lengths = np.maximum(rng.poisson(MET, library.users), 5)
    who = np.repeat(np.arange(library.users), lengths)
    popularity = 1.0 / (1.0 + rng.permutation(library.items)) ** 0.8
    what = rng.choice(library.items, len(who), p=popularity / popularity.sum())
    how, taste = rng.random(len(who)), rng.integers(0, len(CLASSES), (library.users, 2))
    liked = np.where(rng.random(len(who)) < 0.7, taste[who, 0], taste[who, 1])
    for label in range(len(CLASSES)):
        some, members = np.flatnonzero((how < 0.55) & (liked == label)), np.flatnonzero(classes == label)
        share = np.sqrt(popularity[members])
        what[some] = rng.choice(members, len(some), p=share / share.sum())
    chance = how >= 0.8
    what[chance] = rng.integers(0, library.items, int(chance.sum()))
    appeals = rng.random(len(who)) < np.where((taste[who] == classes[what][:, None]).any(axis=1), 0.9, 0.2)
    kinds = np.where(appeals, "like", "skip")
    start_us = int(datetime.fromisoformat(DAY).replace(tzinfo=UTC).timestamp()) * 1_000_000
    at_us = start_us + rng.integers(0, 14 * 86_400_000_000, len(who))
    ids = pa.array([f"{number:08x}" for number in range(len(who))])
    events = pa.table({
        "user_id": pa.array([user_id(one) for one in who.tolist()]), "media_id": pa.array([media_id(one) for one in what.tolist()]),
        "event_id": ids, "kind": pa.array(kinds), "weight": pa.array(np.where(appeals, 1.0, -0.5)),
        "creator": pa.nulls(len(who), pa.string()), "happened_at": pa.array(at_us, pa.timestamp("us", tz="UTC")),
        "fields": pa.array([[("event", "1")]] * len(who), pa.map_(pa.string(), pa.string())),
    })  # fmt: skip
    rows, chunk = _history_rows(fold(events, library.ledger.rows("raw_media", columns=["creator"]))), []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            library.ledger.append("interactions", WHOLE, chunk, run_id="bench")
            chunk = []
    library.ledger.append("interactions", WHOLE, chunk, run_id="bench")
    library.ledger.compact("interactions", WHOLE)
