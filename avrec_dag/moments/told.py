"""What tables tell of the moments of an item."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Kind = Literal["picture", "speech", "screen"]
KINDS: tuple[Kind, ...] = ("picture", "speech", "screen")


def term_hash(term: str) -> int:
    """64 bits of a term, the same everywhere, so that the index needs no dictionary: of a million terms two share one once in 10^7."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Told:
    """Moments of one item, m of them, and the t words in them.

    Attributes:
        media_id: The item.
        kinds: (m,) places in `KINDS`.
        starts_s: (m,) seconds, as are `ends_s`.
        joints: (m, e) unit vectors in the joint space.
        terms: (t,) hashes of words (`term_hash`).
        term_moments: (t,) the moment each word stands in, counting up from 0.
        term_at_s: (t,) its second.
    """

    media_id: str
    kinds: NDArray[np.uint8]
    starts_s: NDArray[np.float32]
    ends_s: NDArray[np.float32]
    joints: NDArray[np.float16]
    terms: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    term_moments: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    term_at_s: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "frame_embeddings": ("shot_starts_s", "shot_ends_s", "shot_joints"),
    "text_embeddings": (
        "moment_starts_s", "moment_ends_s", "moment_joints", "moment_kinds", "terms", "term_moments", "term_at_s",
    ),
}  # fmt: skip
"""Tables that tell of moments -> what is read of them: when they begin and end, their vectors, and of what kind they are."""


def told(table: pa.Table, name: str, dim: int) -> Iterator[Told]:
    """The moments of each row of a table; none of a row whose vectors have another size than `dim`, or are no numbers.

    Args:
        table: Rows with media_id and `COLUMNS[name]`.
        name: Which table.
        dim: Of the joint space.
    """
    for media_id, *lists in zip(table["media_id"].to_pylist(), *(views(table[column]) for column in COLUMNS[name]), strict=True):
        starts, ends, joints, *more = lists
        n = len(starts)
        if not n or len(joints) != n * dim or not np.isfinite(joints).all():
            continue
        kinds, terms, moments, at_s = more or (np.zeros(n), np.zeros(0), np.zeros(0), np.zeros(0))
        yield Told(
            media_id, kinds.astype(np.uint8), starts.astype(np.float32), ends.astype(np.float32), joints.reshape(n, dim).astype(np.float16),
            terms.astype(np.uint64), moments.astype(np.int32), at_s.astype(np.float32),
        )  # fmt: skip


def views(column: pa.ChunkedArray) -> list[NDArray[Any]]:
    """Each list as a numpy view on the column's memory; an empty one for a null."""
    found: list[NDArray[Any]] = []
    for chunk in column.chunks:
        flat, offsets = np.asarray(chunk.values), np.asarray(chunk.offsets)
        valid = chunk.is_valid().to_numpy(zero_copy_only=False)
        found += [flat[start:end] if ok else flat[:0] for start, end, ok in zip(offsets[:-1], offsets[1:], valid, strict=True)]
    return found
