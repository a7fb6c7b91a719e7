"""What an answer is made from: one consistent view of the library, and of a person in it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from avrec_dag.feedback import Event
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.reranking.knobs import Knobs

if TYPE_CHECKING:
    from avrec_dag.recommend.answers import Recommendation
    from avrec_dag.recommend.live import Recommender

TABLES = (
    "recommender",
    "item_index",
    "interactions",
    "quality_scores",
    "content_classes",
    "raw_media",
    "moderation_decisions",
    "duplicates",
    "fused_features",
    "transcripts",
)


@dataclass(frozen=True)
class Loaded:
    """One consistent view of the library."""

    version: tuple[str, ...]
    recommender: "Recommender"
    media: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class View:
    """All that a person's list is made of but its length and knobs, so that several can be made of the same.

    Attributes:
        loaded: The library.
        user_id: Who.
        events: What they did lately.
        context: What of the request's context says something here.
        notes: What of it does not, and what else the list does not know.
    """

    loaded: Loaded
    user_id: str
    events: Sequence[Event]
    context: Context
    notes: tuple[str, ...]

    def listed(self, k: int, knobs: Knobs) -> "list[Recommendation]":
        """A list of at most k items, all of them with a row in the library."""
        found = self.loaded.recommender.recommend(self.user_id, k, events=self.events, context=self.context, **asdict(knobs))
        return [one for one in found if one.media_id in self.loaded.media]

    @property
    def versions(self) -> dict[str, str]:
        """Part -> version: the model's own, and the data versions of the tables that lists are made of."""
        tables = dict(zip(TABLES, self.loaded.version, strict=True))
        return {"model": self.loaded.recommender.model_version, "index": tables["item_index"], "features": tables["fused_features"],
                "interactions": tables["interactions"]}  # fmt: skip


def told(now: Loaded, found: Sequence["Recommendation"]) -> list[dict[str, Any]]:
    """What an answer says of each item that has a row in the library."""
    from avrec_dag.recommend.answers import Advice, Found

    labels = now.recommender.catalogue.labels
    return [
        {
            "media_id": one.media_id,
            "score": one.score,
            "reason": one.reason,
            "causes": list(one.causes),
            "title": now.media[one.media_id]["title"],
            "kind": now.media[one.media_id]["kind"],
            "duration_s": now.media[one.media_id]["duration_s"],
            "labels": list(labels.get(one.media_id, ())),
            **({"why": vars(one.why)} if isinstance(one, Advice) else {}),
            **({"moment": vars(one.moment) if one.moment else None} if isinstance(one, Found) else {}),
        }
        for one in found
        if one.media_id in now.media
    ]
