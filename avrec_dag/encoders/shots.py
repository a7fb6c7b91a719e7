"""What each shot of an item looks like: the vectors behind answers that name a moment, not only an item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import Matrix
from avrec_dag.errors import AvrecError
from avrec_dag.items import Item

MOST_SHOTS = 64
"""Spans kept of one item; neighbouring shots of a film with more of them are joined."""
Place = Callable[[Matrix, Matrix], tuple[Matrix, Matrix | None]]
"""Vectors (n, d) and class probabilities (n, c) of some frames -> what they are together: unit vector (d,), joint (e,) or None."""


@dataclass(frozen=True)
class Spans:
    """The shots of one item of which there are frames.

    Attributes:
        owner: int (n_frames,): the span of every frame, counting up from 0.
        starts_s: When each span begins, seconds.
        ends_s: When it ends: where the next shot begins, whether frames of that were kept or not.
    """

    owner: NDArray[np.int64]
    starts_s: list[float]
    ends_s: list[float]


def spans_of(item: Item, n_frames: int) -> Spans:
    """The spans of an item from its rows of `frames` and `raw_media`; at most `MOST_SHOTS`, each with a frame.

    Raises:
        AvrecError: The table and the stored frames disagree.
    """
    told = item.parents["frames"]
    shot = np.asarray(told["shot"], np.int64)
    starts = [float(at_s) for at_s in told["shot_starts_s"]]  # type: ignore[attr-defined]
    if len(shot) != n_frames or len(starts) <= int(shot.max(initial=0)):
        raise AvrecError(f"{item.key}: {n_frames} frames are stored and {len(shot)} are told of; sample the frames anew")
    whole_s = float(item.parents.get("raw_media", {}).get("duration_s") or 0)  # type: ignore[arg-type]
    ends = [*starts[1:], max(whole_s, starts[-1])]
    seen, of_seen = np.unique(shot, return_inverse=True)
    joined = np.arange(len(seen)) * min(MOST_SHOTS, len(seen)) // len(seen)
    members = [seen[joined == span] for span in range(int(joined[-1]) + 1)]
    return Spans(joined[of_seen], [starts[group[0]] for group in members], [ends[group[-1]] for group in members])


def columns(spans: Spans, vectors: Matrix, probs: Matrix, place: Place) -> Mapping[str, object]:
    """The columns of `frame_embeddings` that tell of single shots.

    Args:
        spans: Of the item.
        vectors: float32 (n_frames, d).
        probs: float32 (n_frames, n_classes).
        place: What frames are together.

    Returns:
        `shot_starts_s` and `shot_ends_s`, one number per span, and `shot_vectors` and `shot_joints`, float32 unit rows one after the
        other. A shot that has no place in the joint space has that of the item; where the item has none, `shot_joints` is None.
    """
    whole = place(vectors, probs)[1]
    placed = [place(vectors[spans.owner == span], probs[spans.owner == span]) for span in range(len(spans.starts_s))]
    joints = None if whole is None else np.concatenate([whole if joint is None else joint for _, joint in placed])
    return {
        "shot_starts_s": spans.starts_s,
        "shot_ends_s": spans.ends_s,
        "shot_vectors": np.concatenate([vector for vector, _ in placed]),
        "shot_joints": joints,
    }
