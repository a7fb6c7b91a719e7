"""What an answer is made from: one consistent view of the library, and of a person in it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError
from avrec_dag.feedback import Event
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.serving.cursors import marks

if TYPE_CHECKING:
    from avrec_dag.recommend.answers import Recommendation
    from avrec_dag.recommend.live import Recommender

_LOG = logging.getLogger(__name__)
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
    """One consistent view of the library.

    Attributes:
        version: Of each of `TABLES`.
        recommender: What answers.
        media: Item -> what answers tell of it.
        versions: model, index and features -> version, and the Dagster run that wrote it (`run`, empty where nobody told).
    """

    version: tuple[str, ...]
    recommender: "Recommender"
    media: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, Mapping[str, str]]

    @cached_property
    def marked(self) -> NDArray[np.uint32]:
        """(items,) the mark of each item in a cursor."""
        return marks(self.recommender.catalogue.index.items)

    def warm(self) -> None:
        """Work out what the first answers need, so that nobody waits for it."""
        _ = self.marked
        one = self.recommender.recommend("", 10)
        if one:
            self.recommender.similar(one[0].media_id, 1)
        try:
            self.recommender.search("warm", 1)
        except AvrecError as error:  # lists need no encoder
            _LOG.warning("search by words does not work: %s", error)


@dataclass(frozen=True)
class View:
    """All that a person's list is made of but its length and knobs, so that several can be made of the same.

    Attributes:
        loaded: The library.
        user_id: Who.
        events: What they did lately.
        context: What of the request's context says something here.
        notes: What of it does not, and what else the list does not know.
        exclude: Items not to show.
        shown: Marks of what was shown before, where the list goes on (`cursors`).
    """

    loaded: Loaded
    user_id: str
    events: Sequence[Event]
    context: Context
    notes: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    shown: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))

    def listed(self, k: int, knobs: Knobs) -> "list[Recommendation]":
        """A list of at most k items, all of them with a row in the library."""
        found = self.loaded.recommender.recommend(
            self.user_id, k, exclude=self.exclude, events=self.events, context=self.context, **vars(knobs)
        )
        return [one for one in found if one.media_id in self.loaded.media]

    @property
    def versions(self) -> dict[str, str]:
        """Part -> version: as `Loaded.versions`, and the data version of everybody's histories."""
        versions = {part: told["version"] for part, told in self.loaded.versions.items()}
        return versions | {"interactions": self.loaded.version[TABLES.index("interactions")]}


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
