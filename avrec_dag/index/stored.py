"""The index as it is built and stored: every item's vectors in one order, and the files that hold them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from avrec_dag.errors import SettingError
from avrec_dag.index.base import Answers, row_of
from avrec_dag.index.nearest import MOST_EXACT, InvertedFile, Neighbours, Rows, Scores, Vectors, products
from avrec_dag.moments import views

TABLE, KEY = "item_index", "item_index"
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class ItemIndex(Answers):
    """Every item's vectors in one order.

    Attributes:
        items: media_ids, sorted.
        fused: (n, d) float32 unit vectors of what an item is like.
        joint: (n, e) float32 unit vectors in the space shared with text; zeros where an item has none.
        left_out: Items whose vectors have another dimension than most: they return when they are computed anew.
        encoders: Name of the preset that made them; a query needs the same.
        space: Identity of its joint space; empty where nobody told.
        versions: Of each item's vectors, so that a later look at the library tells which have changed; empty where nobody told.
        filed: The inverted files of fused and of joint; without one, every item is compared.
    """

    items: tuple[str, ...]
    fused: Vectors
    joint: Vectors
    left_out: int = 0
    encoders: str = "packaged"
    space: str = ""
    versions: tuple[str, ...] = ()
    filed: Mapping[str, InvertedFile] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        features: pa.Table,
        encoders: str = "packaged",
        space: str = "",
        versions: Mapping[str, str] | None = None,
        *,
        dims: tuple[int, int] | tuple[None, None] = (None, None),
        most_exact: int = MOST_EXACT,
        seed: int = 0,
    ) -> "ItemIndex":
        """From rows of `fused_features` (media_id, vector, joint) and what made them.

        Args:
            features: The rows, in any order.
            encoders: As in the class, like `space`.
            space: Of the joint vectors.
            versions: media_id -> version of its vectors.
            dims: Sizes of the vectors; None: the commonest.
            most_exact: With more items than this, inverted files are made.
            seed: Of their centres.
        """
        rows = features.sort_by("media_id")
        (fused, has_fused), (joint, has_joint) = _matrix(rows["vector"], dims[0]), _matrix(rows["joint"], dims[1])
        joint[~has_joint] = 0.0
        items = tuple(media_id for media_id, has in zip(rows["media_id"].to_pylist(), has_fused, strict=True) if has)
        fused, joint = fused[has_fused], joint[has_fused]
        filed = {}
        if len(items) > most_exact:
            filed = {name: InvertedFile.build(part, seed=seed) for name, part in (("fused", fused), ("joint", joint)) if part.any()}
        told = tuple((versions or {}).get(media_id, "") for media_id in items)
        return cls(items, fused, joint, int((~has_fused).sum()), encoders, space, told, filed)

    @property
    def facts(self) -> bytes:
        """index.json: everything but the vectors."""
        told = {"format": 2, "items": self.items, "left_out": self.left_out, "encoders": self.encoders, "space": self.space}
        return json.dumps({**told, "versions": self.versions, "filed": sorted(self.filed)}, ensure_ascii=False).encode()

    @property
    def kind(self) -> str:
        """How it is searched, for people."""
        return "inverted file, 8 bits, compared exactly" if self.filed else "exact"

    @cached_property
    def place(self) -> Mapping[str, int]:
        """media_id -> its row."""
        return {media_id: row for row, media_id in enumerate(self.items)}

    def fused_of(self, media_id: str) -> Vectors:
        """As in `Searched`."""
        return self.fused[row_of(self, media_id)]

    def joint_of(self, media_id: str) -> Vectors:
        """As in `Searched`."""
        return self.joint[row_of(self, media_id)]

    def vectors(self, part: str, rows: Rows) -> Vectors:
        """As in `Searched`."""
        return (self.fused if part == "fused" else self.joint)[rows]

    def products(self, part: str, rows: Rows, query: Vectors) -> Scores:
        """As in `Searched`."""
        return products(self.fused if part == "fused" else self.joint, rows, query)

    def nearest(self, part: str, query: Vectors, k: int, left_out: Rows = _NONE) -> tuple[Rows, Scores]:
        """As in `Searched`, without the rows `left_out`."""
        near = self._asked(part, query)
        return (_NONE, np.zeros(0, np.float32)) if near is None else near.nearest(query, k, left_out)

    def coarse(self, part: str, query: Vectors, k: int, left_out: Rows = _NONE) -> Rows:
        """As in `Searched`, without the rows `left_out`."""
        near = self._asked(part, query)
        return _NONE if near is None else near.coarse(query, k, left_out)

    def _asked(self, part: str, query: Vectors) -> Neighbours | None:
        near = self._fused if part == "fused" else self._joint
        if not len(near.vectors) or not near.placed.any():
            return None
        if len(query) != near.vectors.shape[1]:
            raise SettingError(
                f"the query has {len(query)} numbers, the index {near.vectors.shape[1]}: it was built with another text encoder or "
                "other ones; set AVREC_ENCODERS back, or materialise item_index"
            )
        return near

    @cached_property
    def _fused(self) -> Neighbours:
        return self._neighbours("fused", self.fused)

    @cached_property
    def _joint(self) -> Neighbours:
        return self._neighbours("joint", self.joint)

    def _neighbours(self, part: str, vectors: Vectors) -> Neighbours:
        filed = self.filed.get(part)
        return Neighbours(vectors, filed if filed is not None and filed.vectors is vectors else None)


def _matrix(column: pa.ChunkedArray, dim: int | None) -> tuple[Vectors, np.ndarray]:
    """Lists of one length as float32 (n, d), and which rows those are; other rows are zero.

    Args:
        column: Lists of numbers, or nulls.
        dim: The length; None: the commonest.
    """
    vectors = views(column)
    lengths = np.array([len(vector) for vector in vectors], dtype=np.int64)
    if dim is None:
        dim = int(np.bincount(lengths[lengths > 0]).argmax()) if (lengths > 0).any() else 1
    result = np.zeros((len(vectors), dim), np.float32)
    fits = lengths == dim
    for row in np.flatnonzero(fits):
        result[row] = vectors[int(row)]
    fits &= np.isfinite(result).all(axis=1)
    result[~fits] = 0.0
    return result, fits
