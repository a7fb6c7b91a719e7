"""The moments of a whole index: stored beside it, and asked for the best one of an item."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.moments.arrays import Arrays, InMemory, Mapped
from avrec_dag.moments.told import KINDS, Kind, Told, term_hash

FILE = "moments.safetensors"
_EMPTY: Mapping[str, tuple[type, tuple[int, ...]]] = {
    "offsets": (np.int64, (1,)),
    "kinds": (np.uint8, (0,)),
    "starts_s": (np.float32, (0,)),
    "ends_s": (np.float32, (0,)),
    "joints": (np.float16, (0, 1)),
    "terms": (np.uint64, (0,)),
    "term_moments": (np.int32, (0,)),
    "term_at_s": (np.float32, (0,)),
}


@dataclass(frozen=True)
class Moment:
    """A stretch of an item.

    Attributes:
        start_s: Where to begin to watch, seconds; for a word that was asked for, where it was said.
        end_s: Where it ends.
        kind: What it is found by: the picture, what was said, or what stood on the screen.
    """

    start_s: float
    end_s: float
    kind: Kind


@dataclass(frozen=True)
class Moments:
    """The moments of every item of an index, item by item.

    Vectors are float16 and are read for the items of an answer only, so that a library of millions of shots needs no memory for them.

    Attributes:
        items: The items in the order of `offsets`.
        arrays: `offsets` (n_items + 1,): where each item's moments begin; `kinds`, `starts_s`, `ends_s`, `joints` (m, e): of each
            moment; `terms` (t,) ascending hashes of the words said or shown, with the moment each stands in and its second.
    """

    items: tuple[str, ...]
    arrays: Arrays

    @classmethod
    def build(cls, items: Sequence[str], parts: Iterable[Told]) -> "Moments":
        """Gather the moments of items; those of items that are not in the index are left out.

        Args:
            items: The order of the index.
            parts: Of any items in any order, of one size of vectors.
        """
        place = {media_id: number for number, media_id in enumerate(items)}
        kept = sorted((part for part in parts if part.media_id in place), key=lambda part: place[part.media_id])
        sizes = np.array([len(part.kinds) for part in kept], np.int64)
        counts = np.bincount([place[part.media_id] for part in kept], sizes, len(items)) if kept else np.zeros(len(items))
        arrays = {name: np.zeros(shape, kind) for name, (kind, shape) in _EMPTY.items()}
        if kept:
            arrays |= {name: np.concatenate([getattr(part, name) for part in kept]) for name in _EMPTY if name != "offsets"}
            firsts = np.repeat(np.cumsum(sizes) - sizes, [len(part.terms) for part in kept])
            arrays["term_moments"] = (arrays["term_moments"] + firsts).astype(np.int32)
        order = np.argsort(arrays["terms"], kind="stable")
        arrays |= {name: arrays[name][order] for name in ("terms", "term_moments", "term_at_s")}
        arrays["offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(tuple(items), InMemory(arrays))

    @classmethod
    def none(cls) -> "Moments":
        """Of a library whose index holds none."""
        return cls.build((), ())

    def files(self) -> dict[str, bytes]:
        """moments.safetensors; which items they belong to, the index says."""
        from safetensors.numpy import save

        return {FILE: save({name: np.ascontiguousarray(self.arrays.whole(name)) for name in _EMPTY})}

    @classmethod
    def read(cls, content: bytes | Path, items: Sequence[str]) -> "Moments":
        """The inverse of `files`, for the index with these items: mapped from a file, or from bytes."""
        from safetensors.numpy import load

        arrays = Mapped(content) if isinstance(content, Path) else InMemory(load(content))
        found = cls(tuple(items), arrays)
        _ = len(found)  # opens the file now: a sweep deletes the files of older indexes, not what is mapped
        return found

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {media_id: number for number, media_id in enumerate(self.items)}

    def named(self, wanted: Collection[str]) -> "Named":
        """Where the wanted terms were said or shown, over the whole library."""
        ranges = [np.searchsorted(self._terms, np.uint64(term_hash(term)), side) for term in wanted for side in ("left", "right")]
        rows = [np.arange(start, end) for start, end in zip(ranges[::2], ranges[1::2], strict=True)]
        found = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
        moments, at_s = self._whole("term_moments")[found], self._whole("term_at_s")[found]
        unique, inverse, counts = np.unique(moments, return_inverse=True, return_counts=True)
        earliest = np.full(len(unique), np.inf, np.float32)
        np.minimum.at(earliest, inverse, at_s)
        return Named(unique, counts / max(1, len(wanted)), earliest, np.searchsorted(self._offsets, unique, "right") - 1)

    def best_shares(self, named: "Named") -> dict[str, float]:
        """Item -> the largest share of the wanted terms that one of its moments holds; without items that hold none."""
        best: dict[str, float] = {}
        for place, share in zip(named.places.tolist(), named.shares.tolist(), strict=True):
            best[self.items[place]] = max(share, best.get(self.items[place], 0.0))
        return best

    def best(self, media_id: str, joint: NDArray[np.floating] | None, named: "Named | None" = None, boost: float = 0.0) -> Moment | None:
        """The moment of one item that fits best: nearest in the joint space, raised by the words it holds; None where it has none.

        Args:
            media_id: The item.
            joint: (e,) unit vector of what is asked for; None where only words are.
            named: Where the words stand.
            boost: What a moment that holds all of them gains.
        """
        place = self._place.get(media_id)
        if place is None:
            return None
        start, end = map(int, self._offsets[place : place + 2])
        if start == end:
            return None
        scores, from_s = np.zeros(end - start, np.float32), self._whole("starts_s")[start:end].copy()
        if joint is not None and len(joint) == self.arrays.rows("joints", start, start + 1).shape[1]:
            scores += self.arrays.rows("joints", start, end).astype(np.float32) @ np.asarray(joint, np.float32)
        if named is not None:
            of_item = named.places == place
            scores[named.moments[of_item] - start] += boost * named.shares[of_item]
            from_s[named.moments[of_item] - start] = named.at_s[of_item]
        one = int(np.argmax(scores))
        kind = KINDS[int(self._whole("kinds")[start + one])]
        return Moment(round(float(from_s[one]), 3), round(float(self._whole("ends_s")[start + one]), 3), kind)

    def _whole(self, name: str) -> NDArray[Any]:
        return self._small[name]

    @cached_property
    def _small(self) -> Mapping[str, NDArray[Any]]:
        """Everything but the vectors: 21 bytes for a moment, 16 for a word."""
        return {name: self.arrays.whole(name) for name in _EMPTY if name != "joints"}

    @property
    def _offsets(self) -> NDArray[np.int64]:
        return self._small["offsets"]

    @property
    def _terms(self) -> NDArray[np.uint64]:
        return self._small["terms"]


@dataclass(frozen=True)
class Named:
    """Where the words of one query stand.

    Attributes:
        moments: (h,) ascending numbers of moments that hold at least one of the words.
        shares: (h,) share of the words that each holds, in (0, 1].
        at_s: (h,) the second of the first of them.
        places: (h,) the item of each.
    """

    moments: NDArray[np.int32]
    shares: NDArray[np.float64]
    at_s: NDArray[np.float32]
    places: NDArray[np.int64]
