"""Which items are worth comparing: those whose vectors lie near each other, found block by block with faiss."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from avrec_dag.encoders.base import Matrix
from avrec_dag.ledger import Ledger

Space = Literal["picture", "both", "sound"]
LEAST_COSINE: Mapping[Space, float] = {"picture": 0.6, "both": 0.7, "sound": 0.9}
"""Cosine from which two items are compared: of their pictures; of pictures and sounds together (the mean of the two cosines); of the
sounds of items without a picture."""
Block = tuple[Sequence[str], Matrix]
"""Ids and their unit vectors, float32 (n, d)."""
Pair = tuple[str, str]
"""Two ids, the lesser first."""


def pair(a: str, b: str) -> Pair:
    """The two ids in order."""
    return (a, b) if a < b else (b, a)


def near(new: Iterable[Block], blocks: Iterable[Block], least: float) -> Iterator[Pair]:
    """Every pair of a new item and any item whose cosine is at least `least`; exact, so that it depends on the two vectors alone.

    Memory is bounded by the vectors of the new items and of one block.

    Args:
        new: The new items.
        blocks: All items, the new ones among them; vectors of another length than a new one's are never near it.
        least: Cosine.

    Yields:
        Pairs; those of two new items twice.
    """
    import faiss

    queries = list(new)
    for ids, vectors in blocks:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, np.float32))
        for names, wanted in queries:
            if wanted.shape[1] != vectors.shape[1]:
                continue
            limits, _, found = index.range_search(np.ascontiguousarray(wanted, np.float32), least)
            for row, one in enumerate(names):
                yield from (pair(one, ids[place]) for place in found[limits[row] : limits[row + 1]] if ids[place] != one)


def blocks(ledger: Ledger, space: Space, only: frozenset[str] | None = None) -> Iterator[Block]:
    """The vectors of one space, day by day and dimension by dimension.

    Args:
        ledger: The tables.
        space: Which.
        only: These items alone.
    """
    for day in sorted({*ledger.partitions("frame_embeddings"), *ledger.partitions("audio_embeddings")}):
        seen = vectors_of(ledger, "frame_embeddings", day)
        heard = vectors_of(ledger, "audio_embeddings", day) if space != "picture" else {}
        yield from _stacked({one: vector for one, vector in _in_space(space, seen, heard) if only is None or one in only})


def _in_space(
    space: Space, seen: Mapping[str, NDArray[np.float32]], heard: Mapping[str, NDArray[np.float32]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if space == "picture":
        yield from seen.items()
    elif space == "sound":
        yield from ((one, vector) for one, vector in heard.items() if one not in seen)
    else:
        half = np.float32(np.sqrt(0.5))
        yield from ((one, np.concatenate([seen[one], heard[one]]) * half) for one in seen.keys() & heard.keys())


def _stacked(vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[Block]:
    by_size: dict[int, list[str]] = {}
    for one in sorted(vectors):
        by_size.setdefault(len(vectors[one]), []).append(one)
    for ids in by_size.values():
        yield ids, np.stack([vectors[one] for one in ids])


def vectors_of(ledger: Ledger, table: str, day: str) -> dict[str, NDArray[np.float32]]:
    """Item -> its vector, as views on one array; vectors that are no numbers are left out."""
    rows = ledger.rows(table, day, ["vector"])
    column = rows["vector"].combine_chunks() if rows.num_rows else pa.array([], pa.list_(pa.float32()))
    values = np.asarray(pc.list_flatten(column), np.float32)  # type: ignore[attr-defined]
    sizes = np.asarray(pc.fill_null(pc.list_value_length(column), 0))  # type: ignore[attr-defined]
    ends = np.cumsum(sizes)
    found = zip(rows["media_id"].to_pylist(), ends.tolist(), sizes.tolist(), strict=True)
    views = {one: values[end - size : end] for one, end, size in found if size}
    return {one: vector for one, vector in views.items() if np.isfinite(vector).all()}
