"""What each event of a history does to scores, whatever the model."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions, Model
from avrec_dag.recommend.models.blend import Blend
from avrec_dag.recommend.models.content import Content
from avrec_dag.recommend.models.histories import each_once
from avrec_dag.recommend.models.linear import Linear
from avrec_dag.recommend.models.popularity import Popularity
from avrec_dag.recommend.models.weighing import Array

MOST = 50
"""Of a longer history the newest so many events are looked at."""


def of_events(blend: Blend, history: Interactions, items: NDArray[np.int64]) -> dict[str, Array]:
    """By how much each event raises the raw score that each component gives to some items.

    For likeness of content it is the event's share of the profile times its likeness. Of any other model it is what the score loses
    when the history is told without the event.

    Args:
        blend: Fitted.
        history: One person's, over any items.
        items: (n,) columns.

    Returns:
        Component -> (events, n) float32; zero for events older than the newest `MOST`, and where the component does not know the item.
    """
    return {component.name: _of_one(blend, component, history, items) for component in blend.components}


def _of_one(blend: Blend, component: Model, history: Interactions, items: NDArray[np.int64]) -> Array:
    if isinstance(component, Content):
        vectors, share = component.vectors(history), component.shares(history)
        return np.asarray(share[:, None] * (component.towards(vectors[history.columns]) @ vectors[items].T), np.float32)
    effects = np.zeros((len(history), len(items)), np.float32)
    if isinstance(component, Popularity):  # the same whatever the history
        return effects
    known, place = blend.as_known(component, history)
    events = np.arange(len(history)) if place is None else np.flatnonzero(place[history.columns] >= 0)
    wanted = items if place is None else place[items]
    looked_at = np.arange(max(0, len(known) - MOST), len(known))
    if isinstance(component, Linear) and (wanted >= 0).any() and each_once(known):
        lost = component.effects(known, wanted[wanted >= 0])[looked_at]
        effects[np.ix_(events[looked_at], wanted >= 0)] = lost
    elif len(looked_at) and (wanted >= 0).any():
        lost = component.score(known, wanted[wanted >= 0]) - component.score(_without(known, looked_at), wanted[wanted >= 0])
        effects[np.ix_(events[looked_at], wanted >= 0)] = lost
    return effects


def _without(history: Interactions, events: NDArray[np.int64]) -> Interactions:
    """The same history once for every event named, each time without that one."""
    n = len(history)
    kept = np.flatnonzero(np.arange(n)[None, :] != events[:, None]) % n
    indptr = np.arange(len(events) + 1, dtype=np.int64) * (n - 1)
    users = tuple(history.users * len(events))
    return replace(
        history, users=users, indptr=indptr, columns=history.columns[kept], weights=history.weights[kept], at_s=history.at_s[kept]
    )
