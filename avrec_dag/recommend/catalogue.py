"""The items that can be recommended, and what answers say about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from avrec_dag.duplicates.groups import groups
from avrec_dag.index import Index
from avrec_dag.ledger import Ledger
from avrec_dag.moderation.decisions import withheld
from avrec_dag.moments import Moments
from avrec_dag.recommend import indexing, words
from avrec_dag.recommend.explain import Facts
from avrec_dag.storage import Blobs

UNKNOWN_QUALITY = 0.5


@dataclass(frozen=True)
class Catalogue:
    """Every item of the index.

    Attributes:
        index: Ids and vectors; its order is the order of everything.
        quality: (n,) float32 in [0, 1]; `UNKNOWN_QUALITY` where it has not been scored.
        titles: Item -> title, where it has one.
        labels: Item -> its classes, where it has any.
        words: Item -> title, tags and description in one text, where it has any.
        creators: Item -> who made it, where somebody said so.
        classes: Item -> its classes with their probabilities, summing to at most 1, where it has any.
        group_of: Item -> its group of copies, where there are any.
        moments: Shots, speech and screen text of the items, with their times.
    """

    index: Index
    quality: np.ndarray
    titles: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    creators: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    group_of: Mapping[str, str] = field(default_factory=dict)
    moments: Moments = field(default_factory=Moments.none)

    @cached_property
    def facts(self) -> Facts:
        """What reasons may mention."""
        terms = dict(zip(self.index.items, self.terms, strict=True))
        held_by = {word: len(rows) for word, rows in self.holders.items()}
        return Facts(self.index.items, self.titles, self.labels, terms, held_by)

    @cached_property
    def terms(self) -> tuple[frozenset[str], ...]:
        """The words of each item, for exact search."""
        return tuple(words.terms(self.words.get(media_id, "")) for media_id in self.index.items)

    @cached_property
    def holders(self) -> Mapping[str, Sequence[int]]:
        """Word -> the rows of the items that hold it."""
        found: dict[str, list[int]] = {}
        for row, terms in enumerate(self.terms):
            for term in terms:
                found.setdefault(term, []).append(row)
        return found


def load(ledger: Ledger, blobs: Blobs) -> Catalogue:
    """Items of the index that are still in the library and may be shown, with quality, classes and words."""
    media = {row["media_id"]: row for row in ledger.rows("raw_media", columns=["title", "description", "tags", "creator"]).to_pylist()}
    items, found = indexing.current(ledger, blobs, media.keys() - withheld(ledger))
    scores = ledger.rows("quality_scores", columns=["score"])
    quality = dict(zip(scores["media_id"].to_pylist(), scores["score"].to_pylist(), strict=True))
    classified = ledger.rows("content_classes", columns=["labels", "class_names", "class_probs"]).to_pylist()
    return Catalogue(
        items,
        np.array([quality.get(media_id, UNKNOWN_QUALITY) for media_id in items.items], dtype=np.float32),
        {media_id: row["title"] for media_id, row in media.items() if row["title"]},
        {row["media_id"]: tuple(row["labels"]) for row in classified if row["labels"]},
        {media_id: " ".join([row["title"] or "", *(row["tags"] or ()), row["description"] or ""]) for media_id, row in media.items()},
        {media_id: row["creator"] for media_id, row in media.items() if row["creator"]},
        {row["media_id"]: _shares(row) for row in classified if row["labels"]},
        groups(ledger),
        found,
    )


def _shares(row: Mapping[str, Any]) -> dict[str, float]:
    """How sure each of an item's classes is, all together at most 1; one that a person gave and the model does not know counts in full."""
    known = dict(zip(row["class_names"] or (), row["class_probs"] or (), strict=True))
    sure = {name: float(known.get(name, 1.0)) for name in row["labels"]}
    most = max(sum(sure.values()), 1.0)
    return {name: share / most for name, share in sure.items()}
