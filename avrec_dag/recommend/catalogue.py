"""The items that can be recommended, and what answers say about them."""

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.duplicates.groups import canonicals, groups
from avrec_dag.index import Index
from avrec_dag.ledger import Ledger
from avrec_dag.moderation.decisions import withheld
from avrec_dag.moments import Moments
from avrec_dag.recommend import indexing, words
from avrec_dag.recommend.explain import Facts
from avrec_dag.storage import Blobs

UNKNOWN_QUALITY = 0.5
_MEDIA = ["title", "description", "tags", "creator", "language"]
_SURE = 0.5
"""A language that was heard is believed from this probability on."""


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
        canonical_of: Item -> the item that stands for its group, where there are copies.
        languages: Item -> primary subtag of the language it is in, where that is known.
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
    canonical_of: Mapping[str, str] = field(default_factory=dict)
    languages: Mapping[str, str] = field(default_factory=dict)
    moments: Moments = field(default_factory=Moments.none)

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """(n,) int64: the item that an answer shows for each: the canonical one of its copies, itself where that may not be shown."""
        place = self.index.place
        return np.array([place.get(self.canonical_of.get(one, one), column) for column, one in enumerate(self.index.items)], np.int64)

    @cached_property
    def spoken(self) -> frozenset[str]:
        """Every language that some item is known to be in."""
        return frozenset(self.languages[one] for one in self.index.items if one in self.languages)

    @cached_property
    def class_names(self) -> frozenset[str]:
        """Every class that some item has."""
        return frozenset(name for one in self.index.items for name in self.classes.get(one, ()))

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
        found: dict[str, array[int]] = {}
        for row, terms in enumerate(self.terms):
            for term in terms:
                held = found.get(term)
                if held is None:
                    held = found[term] = array("i")  # which numpy reads as it is
                held.append(row)
        return found


def load(ledger: Ledger, blobs: Blobs, quality: Mapping[str, float] | None = None) -> Catalogue:
    """Items of the index that are still in the library and may be shown, with quality, classes and words.

    Args:
        ledger: The tables.
        blobs: The index.
        quality: Item -> the quality that holds, whatever was found since (`model.Trained.quality`).
    """
    media = {row["media_id"]: row for row in ledger.rows("raw_media", columns=_MEDIA).to_pylist()}
    items, found = indexing.current(ledger, blobs, media.keys() - withheld(ledger))
    scores = ledger.rows("quality_scores", columns=["score"])
    judged = {**dict(zip(scores["media_id"].to_pylist(), scores["score"].to_pylist(), strict=True)), **(quality or {})}
    classified = ledger.rows("content_classes", columns=["labels", "class_names", "class_probs"]).to_pylist()
    return Catalogue(
        items,
        np.array([judged.get(media_id, UNKNOWN_QUALITY) for media_id in items.items], dtype=np.float32),
        {media_id: row["title"] for media_id, row in media.items() if row["title"]},
        {row["media_id"]: tuple(row["labels"]) for row in classified if row["labels"]},
        {media_id: " ".join([row["title"] or "", *(row["tags"] or ()), row["description"] or ""]) for media_id, row in media.items()},
        {media_id: row["creator"] for media_id, row in media.items() if row["creator"]},
        {row["media_id"]: _shares(row) for row in classified if row["labels"]},
        groups(ledger),
        canonicals(ledger),
        _languages(ledger, media),
        found,
    )


def _languages(ledger: Ledger, media: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the uploader says, else what was heard."""
    heard = ledger.rows("transcripts", columns=["language", "language_prob"]).to_pylist()
    spoken = {row["media_id"]: row["language"] for row in heard if row["language"] and (row["language_prob"] or 0.0) >= _SURE}
    named = {one: row["language"] for one, row in media.items() if row["language"]}
    return {one: re.split(r"[-_]", name.strip().lower())[0] for one, name in {**spoken, **named}.items()}


def _shares(row: Mapping[str, Any]) -> dict[str, float]:
    """How sure each of an item's classes is, all together at most 1; one that a person gave and the model does not know counts in full."""
    known = dict(zip(row["class_names"] or (), row["class_probs"] or (), strict=True))
    sure = {name: float(known.get(name, 1.0)) for name in row["labels"]}
    most = max(sum(sure.values()), 1.0)
    return {name: share / most for name, share in sure.items()}
