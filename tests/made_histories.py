"""Made histories for tests of models: people of two tastes, meeting items of their own in an order that repeats."""

from collections.abc import Sequence

import numpy as np

from avrec_dag.recommend.models.base import Interactions


def interactions(histories: Sequence[Sequence[int]], n_items: int, weights: Sequence[Sequence[float]] | None = None) -> Interactions:
    """One list of columns a person; weights 1 and the place as time unless told otherwise."""
    flat = [item for history in histories for item in history]
    said = [1.0] * len(flat) if weights is None else [weight for row in weights for weight in row]
    return Interactions(
        users=tuple(f"u{person}" for person in range(len(histories))),
        items=tuple(f"i{item}" for item in range(n_items)),
        indptr=np.cumsum([0, *map(len, histories)]).astype(np.int64),
        columns=np.array(flat, np.int32),
        weights=np.array(said, np.float32),
        at_s=np.concatenate([[], *(np.arange(len(history)) for history in histories)]).astype(np.float64),
    )


def two_tastes(people: int = 60, items: int = 20, *, length: int = 6, seed: int = 0) -> Interactions:
    """Even people walk through the even items, odd ones through the odd, each from a start of their own, always to the next one."""
    rng = np.random.default_rng(seed)
    histories = []
    for person in range(people):
        own = np.arange(person % 2, items, 2)
        histories.append(own[(rng.integers(len(own)) + np.arange(length)) % len(own)].tolist())
    return interactions(histories, items)
