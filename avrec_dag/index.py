"""Nearest items: exact inner products over the fused and the joint vectors of every item, by faiss."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.moments import views

TABLE, KEY, KIND = "item_index", "item_index", "faiss IndexFlatIP"


@dataclass(frozen=True)
class ItemIndex:
    """Every item's vectors in one order.

    Attributes:
        items: media_ids, sorted.
        fused: (n, d) float32 unit vectors of what an item is like.
        joint: (n, e) float32 unit vectors in the space shared with text; zeros where an item has none.
        left_out: Items whose vectors have another dimension than most: they return when they are computed anew.
        encoders: Name of the preset that made them; a query needs the same.
        space: Identity of its joint space; empty where nobody told.
    """

    items: tuple[str, ...]
    fused: np.ndarray
    joint: np.ndarray
    left_out: int = 0
    encoders: str = "packaged"
    space: str = ""

    @classmethod
    def build(cls, features: pa.Table, encoders: str = "packaged", space: str = "") -> "ItemIndex":
        """From rows of `fused_features` (media_id, vector, joint) and what made them."""
        rows = features.sort_by("media_id")
        fused, has_fused = _matrix(rows["vector"])
        joint, has_joint = _matrix(rows["joint"])
        joint[~has_joint] = 0.0
        items = tuple(media_id for media_id, has in zip(rows["media_id"].to_pylist(), has_fused, strict=True) if has)
        return cls(items, fused[has_fused], joint[has_fused], int((~has_fused).sum()), encoders, space)

    def files(self) -> dict[str, bytes]:
        """index.safetensors (the vectors) and index.json (the ids): the faiss index is built from them when it is read."""
        from safetensors.numpy import save

        facts = {"format": 1, "items": list(self.items), "left_out": self.left_out, "encoders": self.encoders, "space": self.space}
        return {
            "index.safetensors": save({"fused": self.fused, "joint": self.joint}),
            "index.json": json.dumps(facts, ensure_ascii=False).encode(),
        }

    @classmethod
    def read(cls, files: Mapping[str, bytes]) -> "ItemIndex":
        """The inverse of `files`."""
        from safetensors.numpy import load

        facts, arrays = json.loads(files["index.json"]), load(files["index.safetensors"])
        return cls(
            tuple(facts["items"]),
            arrays["fused"],
            arrays["joint"],
            facts["left_out"],
            facts.get("encoders", "packaged"),
            facts.get("space", ""),
        )

    def only(self, kept: Collection[str]) -> "ItemIndex":
        """The same index without the items that are not in `kept`."""
        rows = np.array([row for row, media_id in enumerate(self.items) if media_id in kept], dtype=np.int64)
        if len(rows) == len(self.items):
            return self
        return replace(self, items=tuple(self.items[row] for row in rows), fused=self.fused[rows], joint=self.joint[rows])

    @property
    def digest(self) -> str:
        """Hash of everything in `files`, 32 hex digits."""
        return hashlib.sha256(b"".join(content for _, content in sorted(self.files().items()))).hexdigest()[:32]

    @cached_property
    def place(self) -> Mapping[str, int]:
        """media_id -> its row."""
        return {media_id: row for row, media_id in enumerate(self.items)}

    def similar(self, media_id: str, k: int) -> list[tuple[str, float]]:
        """The k items most like this one by cosine of the fused vectors, best first, without itself.

        Raises:
            MissingError: When the item is not in the index.
        """
        if media_id not in self.place:
            raise MissingError(f"no item {media_id!r} among the {len(self.items)} in the index: misspelt, removed or not indexed yet")
        found = self._nearest(self._fused_index, self.fused[self.place[media_id]], k + 1)
        return [(other, score) for other, score in found if other != media_id][:k]

    def search(self, joint: np.ndarray, k: int) -> list[tuple[str, float]]:
        """The k items nearest to a vector of the joint space, (e,) float32 of unit length, by cosine, best first.

        Raises:
            SettingError: When the vector comes from another space than the items'.
        """
        if not self.joint.any():
            return []
        if len(joint) != self.joint.shape[1]:
            raise SettingError(
                f"the query has {len(joint)} numbers, the index {self.joint.shape[1]}: it was built with another text encoder; "
                "set AVREC_ENCODERS back, or materialise item_index"
            )
        found = self._nearest(self._joint_index, joint, k)
        return [(media_id, score) for media_id, score in found if self.joint[self.place[media_id]].any()]

    @cached_property
    def _fused_index(self) -> Any:
        return _flat(self.fused)

    @cached_property
    def _joint_index(self) -> Any:
        return _flat(self.joint)

    def _nearest(self, index: Any, query: np.ndarray, k: int) -> list[tuple[str, float]]:
        if not self.items or k < 1:
            return []
        scores, rows = index.search(np.ascontiguousarray(query[None, :], dtype=np.float32), min(k, len(self.items)))
        return [(self.items[row], float(score)) for row, score in zip(rows[0], scores[0], strict=True) if row >= 0]


def _flat(vectors: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def _matrix(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Lists of the commonest length as float32 (n, d), and which rows those are; other rows are zero."""
    vectors = views(column)
    lengths = np.array([len(vector) for vector in vectors], dtype=np.int64)
    dim = int(np.bincount(lengths[lengths > 0]).argmax()) if (lengths > 0).any() else 1
    result = np.zeros((len(vectors), dim), np.float32)
    fits = lengths == dim
    for row in np.flatnonzero(fits):
        result[row] = vectors[row]
    fits &= np.isfinite(result).all(axis=1)
    result[~fits] = 0.0
    return result, fits
