"""What every person thinks of every item they met: events of all days folded into one history per person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.feedback import WEIGHTS, Event
from avrec_dag.recommend.models.base import Interactions

HALF_LIFE_DAYS = 30.0
"""An opinion counts half for every so many days that it lies before the person's own newest event."""

# Age counts from the person's own newest event, not from today: nobody's history changes because a day went by.
_AGGREGATE = """
WITH kept AS (
    SELECT e.user_id, e.media_id, e.event_id, e.fields['event'] AS event, e.weight, list_contains(?, e.kind) AS explicit,
           epoch_us(e.happened_at) / 1e6 AS at_s
    FROM events e SEMI JOIN items USING (media_id)
), opinions AS (
    SELECT user_id, media_id, max(at_s) AS last_s, string_agg(event, ',' ORDER BY event_id) AS events,
           coalesce(max_by(weight, (at_s, event_id)) FILTER (explicit),
                    greatest(-1.0, least(1.0, sum(weight ORDER BY at_s, event_id)))) AS weight
    FROM kept GROUP BY ALL
), decayed AS (
    SELECT *, (weight * pow(0.5, (max(last_s) OVER (PARTITION BY user_id) - last_s) / (86400.0 * ?)))::FLOAT AS faded FROM opinions
)
SELECT user_id, list(media_id ORDER BY last_s, media_id) AS media_ids, list(faded ORDER BY last_s, media_id) AS weights,
       list(last_s ORDER BY last_s, media_id) AS last_s,
       left(sha256(concat_ws('|', ?, string_agg(events, ',' ORDER BY media_id))), 32) AS version
FROM decayed GROUP BY user_id ORDER BY user_id
"""


def fold(events: pa.Table, media_ids: Iterable[str], *, code: str = "", half_life_days: float = HALF_LIFE_DAYS) -> pa.Table:
    """Fold events into one history per person.

    The newest explicit opinion of an item (like, dislike, rating) stands; without one, the weights of everything done add up, cut to
    [-1, 1]. Both then fade with the half-life.

    Args:
        events: user_id, media_id, event_id, fields (with event: hash of the content), kind, weight in [-1, 1], happened_at; in any order.
        media_ids: The items that exist; events on others are dropped.
        code: Enters every version.
        half_life_days: See `HALF_LIFE_DAYS`.

    Returns:
        user_id, media_ids, weights (float32), last_s (UNIX seconds), both oldest first, and version; sorted by user_id.
    """
    explicit = [kind for kind, weight in WEIGHTS.items() if weight.explicit]
    with duckdb.connect() as connection:
        connection.register("events", events)
        connection.register("items", pa.table({"media_id": pa.array(sorted(set(media_ids)), pa.string())}))
        seed = f"{code}|half_life_days={half_life_days:g}"
        return connection.sql(_AGGREGATE, params=[explicit, half_life_days, seed]).to_arrow_table()


def _whole(lists: pa.ChunkedArray) -> pa.ListArray:
    return pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)


@dataclass(frozen=True)
class Histories:
    """Everyone's opinions as sparse matrices over one order of items.

    Attributes:
        users: One per row.
        items: One per column.
        weights: (users, items) float32 in [-1, 1]; a stored zero is an item met without an opinion.
        last_s: The same cells, float64 UNIX seconds of the latest event.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    weights: sp.csr_matrix
    last_s: sp.csr_matrix

    @classmethod
    def of(cls, interactions: pa.Table, items: Sequence[str]) -> "Histories":
        """From rows of `interactions` (user_id, media_ids, weights, last_s); items that are not in `items` are left out."""
        lengths = np.asarray(_whole(interactions["media_ids"]).value_lengths(), dtype=np.int64)
        known = pc.SetLookupOptions(value_set=pa.array(list(items), pa.string()))
        column = pc.call_function("index_in", [_whole(interactions["media_ids"]).flatten()], known)
        kept = np.asarray(column.is_valid(), dtype=bool)
        columns = np.asarray(column.fill_null(0), dtype=np.int64)[kept]
        row = np.repeat(np.arange(len(lengths)), lengths)[kept]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(lengths)))]).astype(np.int64)

        def matrix(name: str, dtype: type[np.floating]) -> sp.csr_matrix:
            flat = np.asarray(_whole(interactions[name]).flatten()).astype(dtype)[kept]
            return sp.csr_matrix((flat, columns, indptr), shape=(len(lengths), len(items)))

        users = tuple(interactions["user_id"].to_pylist())
        return cls(users, tuple(items), matrix("weights", np.float32), matrix("last_s", np.float64))

    @cached_property
    def place(self) -> Mapping[str, int]:
        """user_id -> row."""
        return {user_id: row for row, user_id in enumerate(self.users)}

    def of_user(self, user_id: str) -> "History":
        """One person's history; an empty one for somebody unknown."""
        row = self.place.get(user_id)
        if row is None:
            return History({}, {})
        start, end = self.weights.indptr[row : row + 2]
        names = [self.items[column] for column in self.weights.indices[start:end]]
        return History(
            dict(zip(names, self.weights.data[start:end].tolist(), strict=True)),
            dict(zip(names, self.last_s.data[start:end].tolist(), strict=True)),
        )

    def interactions(self, vectors: NDArray[np.float32] | None = None) -> Interactions:
        """The same opinions as models read them: one event per item met, at its latest time, oldest first.

        Args:
            vectors: (items, d) float32 content vectors in the order of `items`.
        """
        weights, last_s = self.weights.sorted_indices(), self.last_s.sorted_indices()
        rows = np.repeat(np.arange(len(self.users)), np.diff(weights.indptr))
        order = np.lexsort((last_s.data, rows))  # stable: what happened at once stands in the order of the items
        return Interactions(
            self.users, self.items, weights.indptr.astype(np.int64), weights.indices[order].astype(np.int32),
            weights.data[order].astype(np.float32), last_s.data[order], vectors,
        )  # fmt: skip

    @property
    def liked(self) -> sp.csr_matrix:
        """(users, items) float32: the positive weights only."""
        liked = self.weights.copy()
        liked.data = np.maximum(liked.data, 0.0)
        liked.eliminate_zeros()
        return liked


@dataclass(frozen=True)
class History:
    """One person's opinions.

    Attributes:
        weights: Item -> faded weight in [-1, 1].
        last_s: Item -> UNIX seconds of the latest event on it.
    """

    weights: Mapping[str, float]
    last_s: Mapping[str, float]

    def extended(self, events: Iterable[Event], *, half_life_days: float = HALF_LIFE_DAYS) -> "History":
        """With what the person did since: as `fold`, but an event not newer than what is known of its item counts as known."""
        weights, last_s = dict(self.weights), dict(self.last_s)
        known_until = max(last_s.values(), default=0.0)
        for media_id in weights:  # back to what was thought at the time
            weights[media_id] /= _fade(known_until - last_s[media_id], half_life_days)
        for event in sorted(events, key=lambda event: (event.happened_at, event.event_id)):
            at_s = event.happened_at.timestamp()
            if at_s <= last_s.get(event.media_id, -np.inf):
                continue
            before = 0.0 if WEIGHTS[event.kind].explicit else weights.get(event.media_id, 0.0)
            weights[event.media_id] = min(1.0, max(-1.0, before + event.weight))
            last_s[event.media_id] = at_s
        newest = max(last_s.values(), default=0.0)
        return History({key: weight * _fade(newest - last_s[key], half_life_days) for key, weight in weights.items()}, last_s)

    def interactions(self, place: Mapping[str, int], user_id: str = "", vectors: NDArray[np.float32] | None = None) -> Interactions:
        """This one person's opinions as models read them (`Histories.interactions`).

        Args:
            place: Item -> its column, 0 to n - 1 in this order, as `ItemIndex.place`; opinions on others are left out.
            user_id: Whose they are.
            vectors: (items, d) float32 content vectors in the same order.
        """
        weights = self.row(place)
        last_s = np.array([self.last_s[media_id] for media_id in self.weights if media_id in place], dtype=np.float64)
        times = sp.csr_matrix((last_s, weights.indices, weights.indptr), shape=weights.shape)
        return Histories((user_id,), tuple(place), weights, times).interactions(vectors)

    def row(self, place: Mapping[str, int]) -> sp.csr_matrix:
        """(1, items) float32 of the opinions on the items that have a place."""
        here = [(place[media_id], weight) for media_id, weight in self.weights.items() if media_id in place]
        columns = np.array([column for column, _ in here], dtype=np.int64)
        data = np.array([weight for _, weight in here], dtype=np.float32)
        return sp.csr_matrix((data, columns, np.array([0, len(here)], dtype=np.int64)), shape=(1, len(place)))


def _fade(age_s: float, half_life_days: float) -> float:
    # Never 0: what is faded must unfade.
    return max(0.5 ** (age_s / (86400.0 * half_life_days)), 1e-30)
