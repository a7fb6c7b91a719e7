"""Histories as the models of this package read them: checked, and as rows in which the newest counts most."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models.base import Interactions


def checked(data: Interactions, items: tuple[str, ...] | None = None) -> Interactions:
    """The same histories, of which something can be learned.

    Args:
        data: Histories.
        items: What the model was fitted on, where it was.

    Raises:
        ModelError: Numbers that are not finite, places outside of the items, or other items than the model's.
    """
    bad = ~(np.isfinite(data.weights) & np.isfinite(data.at_s))
    if bad.any():
        raise ModelError(f"reading histories: {bad.sum()} of {len(bad)} events have a weight or time that is not finite; leave them out")
    if len(data) and not 0 <= int(data.columns.min()) <= int(data.columns.max()) < len(data.items):
        raise ModelError(f"reading histories: events name items outside of the {len(data.items)} there are")
    if items is not None and len(data.items) != len(items):
        raise ModelError(f"scoring histories over {len(data.items)} items with a model of {len(items)}: align them, or fit the model again")
    return data


def each_once(history: Interactions) -> bool:
    """Whether no item occurs twice in the history of one person."""
    return len(set(history.columns.tolist())) == len(history)


def places(data: Interactions) -> NDArray[np.int64]:
    """(events,) how many events of the same person are newer: 0 is the newest."""
    newer = np.repeat(data.indptr[1:] - 1, np.diff(data.indptr))
    newer -= np.arange(len(data))
    return newer


def recent(data: Interactions, decay: float, *, met: bool = False) -> sp.csr_matrix:
    """(users, items) float32: what each person liked, times `decay` for every newer event of theirs; 1 leaves the weights alone.

    With `met`, what was met and is not liked is a stored 0.
    """
    faded = np.maximum(data.weights, 0.0) * np.power(decay, places(data), dtype=np.float64)
    rows = data.newest(faded.astype(np.float32))
    if not met:
        rows.eliminate_zeros()
    return rows


def liked_events(data: Interactions) -> Interactions:
    """The events that say something good of an item of which the newest event of the person says so, too."""
    if (data.weights > 0).all():
        return data
    cell = data.rows * max(len(data.items), 1) + data.columns
    _, newest, each = np.unique(cell[::-1], return_index=True, return_inverse=True)
    last = data.weights[::-1][newest][each][::-1]
    return data.only((data.weights > 0) & (last > 0))


def chosen(scores: NDArray[np.float32], candidates: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """(users, items) -> (users, candidates)."""
    return scores if candidates is None else scores[:, candidates]
