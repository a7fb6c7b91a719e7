"""What running sums already hold, so that only histories that changed are taken out and put in again."""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.files import Stored
from avrec_dag.recommend.models.histories import liked_events


def nothing() -> Interactions:
    """What a model that was not fitted has learned."""
    return Interactions((), (), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0))


def remembered(data: Interactions) -> Interactions:
    """The events on items that are liked still, with people as hashes: a model's files name nobody."""
    liked = liked_events(data)
    return replace(liked, users=tuple(hashlib.sha256(user.encode()).hexdigest()[:16] for user in data.users), vectors=None)


def changed(before: Interactions, now: Interactions) -> tuple[Interactions, Interactions]:
    """The histories of `before` that are not so `now`, and those of `now` that were not so before; both from `remembered`."""
    place = {user: row for row, user in enumerate(before.users)}
    row_now = np.array([row for row, user in enumerate(now.users) if user in place], np.int64)
    row_before = np.array([place[now.users[row]] for row in row_now.tolist()], np.int64)
    long_as_before = np.diff(before.indptr)[row_before] == np.diff(now.indptr)[row_now]
    row_now, row_before = row_now[long_as_before], row_before[long_as_before]
    one, other = before.of(row_before), now.of(row_now)
    differs = (one.columns != other.columns) | (one.weights != other.weights)
    same = np.bincount(one.rows[differs], minlength=len(row_now)) == 0
    gone, come = np.ones(len(before.users), bool), np.ones(len(now.users), bool)
    gone[row_before[same]] = False
    come[row_now[same]] = False
    return before.of(np.flatnonzero(gone)), now.of(np.flatnonzero(come))


def arrays(learned: Interactions) -> dict[str, NDArray]:
    """For `files.pack`."""
    people = np.array([int(user, 16) for user in learned.users], np.uint64)
    return {"people": people, "people.indptr": learned.indptr, "people.columns": learned.columns, "people.weights": learned.weights}


def read(stored: Stored) -> Interactions:
    """The inverse of `arrays`; ModelError where they make no histories."""
    people = stored.array("people", np.uint64, (None,))
    indptr = stored.array("people.indptr", np.int64, (len(people) + 1,))
    columns = stored.array("people.columns", np.int32, (None,))
    weights = stored.array("people.weights", np.float32, (len(columns),))
    stored.check_rows("people", indptr, len(columns))
    stored.check_columns("people", columns, len(stored.items))
    users = tuple(f"{person:016x}" for person in people.tolist())
    return Interactions(users, stored.items, indptr, columns, weights, np.zeros(len(columns)))
