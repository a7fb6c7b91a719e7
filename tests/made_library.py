"""A library without media: rows that the earlier stages would have written, and made people's behaviour in a real log."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avrec_dag.feedback import FeedbackLog
from avrec_dag.feedback.stage import update_feedback, update_interactions
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import indexing, stage
from avrec_dag.recommend.judging import update_health
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.training import update_recommender
from avrec_dag.steps import WHOLE, Recipe, Step, graph
from avrec_dag.storage import Blobs
from avrec_dag.synthetic_behaviour import MadeItem, make_events

CLASSES = ("cat", "dog", "rain", "piano", "car", "crowd", "forest", "speech")
DAY = "2026-01-01"
STEPS: dict[str, Step] = graph(Recipe("frame", "audio", "events", "text", "sampling"))
UPSTREAM = ("raw_media", "fused_features", "content_classes", "quality_scores")


def made_items(n: int = 70, seed: int = 0) -> list[MadeItem]:
    rng = np.random.default_rng([seed, 10])
    return [(f"{CLASSES[place % 8]}/{place:03d}.mp4", CLASSES[place % 8], round(float(rng.random()), 3)) for place in range(n)]


def made_vectors(items: Sequence[MadeItem], *, dim: int = 48, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    """Unit vectors around one centre per class, over something that all items share, as real encoders give them."""
    rng = np.random.default_rng([seed, 11])
    centres, shared = rng.normal(size=(len(CLASSES), dim)), 2 * rng.normal(size=dim)
    vectors = np.stack([centres[CLASSES.index(label)] for _, label, _ in items]) + shared + noise * rng.normal(size=(len(items), dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class MadeLibrary:
    ledger: Ledger
    blobs: Blobs
    log: FeedbackLog
    items: list[MadeItem]

    def put(self, items: Sequence[MadeItem], vectors: np.ndarray) -> None:
        """Write what the earlier stages would have written about these items."""
        rows: dict[str, list[Row]] = {table: [] for table in UPSTREAM}
        for (media_id, label, quality), vector in zip(items, vectors, strict=True):
            fields = {"vector": vector.tobytes().hex()[:32]}
            title = f"{label} {media_id[-7:-4]}"
            values = {
                "raw_media": {"title": title, "tags": [label], "kind": "video"},
                "fused_features": {"vector": vector.tolist(), "joint": vector.tolist()},
                "content_classes": {"labels": [label], "class_names": [label], "class_probs": [1.0], "method": "classifier"},
                "quality_scores": {"score": quality, "technical": quality},
            }
            for table in UPSTREAM:
                rows[table].append(Row(media_id, "1", fields, values[table]))
        for table in UPSTREAM:
            self.ledger.append(table, WHOLE if table == "quality_scores" else DAY, rows[table])

    def remove(self, media_id: str) -> None:
        """As when the upload is deleted."""
        for table in UPSTREAM:
            self.ledger.tombstone(table, WHOLE if table == "quality_scores" else DAY, [media_id])

    def refresh(self, *, measured: bool = True) -> dict[str, Outcome]:
        """Every stage of this part of the graph, in order; feedback over all of its days; without the measurements if so asked."""
        days = [update_feedback(self.ledger, self.log, STEPS["feedback_events"], day) for day in self.log.days()]
        outcomes = [
            *days,
            update_interactions(self.ledger, STEPS["interactions"]),
            update_recommender(self.ledger, self.blobs, STEPS["recommender"]),
            indexing.update_index(self.ledger, self.blobs, STEPS["item_index"]),
            stage.update_recommendations(self.ledger, self.blobs, STEPS["recommendations"]),
        ]
        if measured:
            outcomes.append(stage.update_recommender_evaluation(self.ledger, self.blobs, STEPS["recommender_evaluation"]))
            outcomes.append(update_health(self.ledger, self.blobs, STEPS["recommendation_health"]))
        return {outcome.table: outcome for outcome in outcomes}

    def recommender(self) -> Recommender:
        return Recommender.load(self.ledger, self.blobs)


def made_library(root: Path, *, n_items: int = 70, n_users: int = 40, seed: int = 0) -> MadeLibrary:
    """A library with behaviour in its log; nothing of this part of the graph is computed yet."""
    store = str(root / "store")
    library = MadeLibrary(Ledger(store), Blobs(store), FeedbackLog(f"sqlite:///{root}/feedback.db"), made_items(n_items, seed))
    library.put(library.items, made_vectors(library.items, seed=seed))
    library.log.add(make_events(library.items, n_users=n_users, n_days=3, seed=seed))
    return library
