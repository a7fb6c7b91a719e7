"""What can be asked of an index, stored or live."""

from collections.abc import Mapping
from typing import Protocol

from avrec_dag.errors import MissingError
from avrec_dag.index.nearest import Rows, Scores, Vectors


class Searched(Protocol):
    """Every item's vectors in one order."""

    @property
    def items(self) -> tuple[str, ...]:
        """media_ids in the order of everything."""
        ...

    @property
    def place(self) -> Mapping[str, int]:
        """media_id -> its row."""
        ...

    @property
    def fused(self) -> Vectors:
        """(n, d) float32 unit vectors of what an item is like."""
        ...

    @property
    def joint(self) -> Vectors:
        """(n, e) float32 unit vectors in the space shared with text; zeros where an item has none."""
        ...

    @property
    def encoders(self) -> str:
        """Name of the preset that made them."""
        ...

    @property
    def space(self) -> str:
        """Identity of its joint space; empty where nobody told."""
        ...

    def fused_of(self, media_id: str) -> Vectors:
        """The fused vector of one item, (d,); MissingError for an unknown one."""
        ...

    def joint_of(self, media_id: str) -> Vectors:
        """The joint vector of one item, (e,); MissingError for an unknown one."""
        ...

    def vectors(self, part: str, rows: Rows) -> Vectors:
        """Some rows of one part, `fused` or `joint`: (r, d), without copying the rest."""
        ...

    def products(self, part: str, rows: Rows, query: Vectors) -> Scores:
        """(r,) float32 inner products of some rows of one part with a vector, (d,), without copying any."""
        ...

    def nearest(self, part: str, query: Vectors, k: int) -> tuple[Rows, Scores]:
        """Rows and cosines of the k items nearest in one part, `fused` or `joint`, best first; items without such a vector are not found.

        Raises:
            SettingError: When the vector has another size than the items'.
        """
        ...

    def coarse(self, part: str, query: Vectors, k: int) -> Rows:
        """About the k items nearest in one part, in any order, for who compares them himself; errors as for `nearest`."""
        ...


class Answers:
    """What follows from `Searched.nearest`."""

    def similar(self: Searched, media_id: str, k: int) -> list[tuple[str, float]]:
        """The k items most like this one by cosine of the fused vectors, best first, without itself.

        Raises:
            MissingError: When the item is not in the index.
        """
        found = named(self, "fused", self.fused_of(media_id), k + 1)
        return [(other, score) for other, score in found if other != media_id][: max(k, 0)]

    def search(self: Searched, joint: Vectors, k: int) -> list[tuple[str, float]]:
        """The k items nearest to a vector of the joint space, (e,) float32 of unit length, by cosine, best first.

        Raises:
            SettingError: When the vector comes from another space than the items'.
        """
        return named(self, "joint", joint, k)


def named(index: Searched, part: str, query: Vectors, k: int) -> list[tuple[str, float]]:
    """As `Searched.nearest`, by media_id."""
    rows, scores = index.nearest(part, query, k)
    return [(index.items[row], float(score)) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]


def row_of(index: Searched, media_id: str) -> int:
    """The row of an item.

    Raises:
        MissingError: When the item is not in the index.
    """
    if media_id not in index.place:
        raise MissingError(f"no item {media_id!r} among the {len(index.items)} in the index: misspelt, removed or not indexed yet")
    return index.place[media_id]
