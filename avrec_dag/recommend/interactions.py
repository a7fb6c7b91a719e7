"""What every person thinks of every item they met: events of all days folded into one history per person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.feedback import Rules
from avrec_dag.feedback.weights import EXPLICIT
from avrec_dag.recommend.history import DAY_US, HOUR_US, MICRO, MINUTE_US, History, Opinion
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.schema import TABLES

_OPINIONS = ("explicit", "done_micro", "last_us", "n_day")
_LISTS = ("media_ids", "shown_ids", "shown_n", "shown_us")
_PERSON = ("creators", "newest_us", "n_minute", "n_hour", "n_capped")
COLUMNS = tuple(TABLES["interactions"].columns.names)
"""What `Histories.of` reads of `interactions`, beside user_id."""
HALF_LIFE_DAYS = Rules().half_life_days

# An event beyond the limits is met and weighs nothing. Only people who passed a limit anywhere are ranked: that costs a sort.
# Age counts from the last thing that the person liked, not from today: nobody's history changes because a day went by, and a dislike fades
# no like, so that what everybody's likes teach the models does not move with it.
_FOLD = """
WITH known AS (
    SELECT e.user_id, e.media_id, e.event_id, e.kind, epoch_us(e.happened_at) AS at_us, list_contains($explicit, e.kind) AS explicit,
           CASE WHEN e.kind <> 'comment' OR s.score IS NULL OR NOT isfinite(s.score) THEN e.weight
                WHEN s.score < $least THEN 0 ELSE greatest(-1, least(1, $base + $slope * s.score)) END AS weight,
           coalesce(e.creator, i.creator) AS creator, i.media_id IS NOT NULL AS held,
           md5_number(concat_ws('|', e.event_id, e.fields['event'], round(s.score, 3), i.media_id, coalesce(e.creator, i.creator))) AS mark
    FROM events e LEFT JOIN items i USING (media_id) LEFT JOIN sentiment s USING (event_id)
    WHERE i.media_id IS NOT NULL OR e.kind = 'follow'
), acts AS (
    SELECT user_id, media_id, event_id, at_us, explicit, mark,
           CASE WHEN isfinite(weight) THEN greatest(-1, least(1, weight)) ELSE 0 END AS weight
    FROM known WHERE held AND kind <> 'impression'
), suspects AS (
    SELECT user_id FROM acts GROUP BY user_id, media_id HAVING count(*) > $per_item_day
    UNION SELECT user_id FROM acts GROUP BY user_id, at_us // $minute_us HAVING count(*) > $per_minute
    UNION SELECT user_id FROM acts GROUP BY user_id, at_us // $hour_us HAVING count(*) > $per_hour
), judged AS (
    SELECT *, true AS counts FROM acts ANTI JOIN suspects USING (user_id)
    UNION ALL
    SELECT *, row_number() OVER (PARTITION BY user_id, media_id, at_us // $day_us ORDER BY at_us, event_id) <= $per_item_day
              AND row_number() OVER (PARTITION BY user_id, at_us // $minute_us ORDER BY at_us, event_id) <= $per_minute
              AND row_number() OVER (PARTITION BY user_id, at_us // $hour_us ORDER BY at_us, event_id) <= $per_hour
    FROM acts SEMI JOIN suspects USING (user_id)
), days AS (
    SELECT user_id, media_id, at_us // $day_us AS day, max(at_us) AS last_us, count(*) AS n, count(*) FILTER (NOT counts) AS n_capped,
           max_by(weight, (at_us, event_id)) FILTER (explicit AND counts) AS explicit,
           coalesce(sum(round(weight * $micro)::BIGINT) FILTER (NOT explicit AND counts), 0)::BIGINT AS done_micro, bit_xor(mark) AS mark
    FROM judged GROUP BY ALL
), opinions AS (
    SELECT user_id, media_id, max(last_us) AS last_us, max_by(n, day)::INT AS n_day, sum(n_capped) AS n_capped,
           max_by(explicit, day) FILTER (explicit IS NOT NULL) AS explicit, sum(done_micro)::BIGINT AS done_micro, bit_xor(mark) AS mark
    FROM days GROUP BY ALL
), faded AS (
    SELECT * EXCLUDE (opinion), (opinion * pow(0.5, greatest(0, coalesce(max(last_us) FILTER (opinion > 0) OVER (PARTITION BY user_id),
               max(last_us) OVER (PARTITION BY user_id)) - last_us) / ($day_us * $half_life)))::FLOAT AS weight
    FROM (SELECT *, coalesce(explicit, greatest(-1, least(1, done_micro / $micro))) AS opinion FROM opinions)
), met AS (
    SELECT user_id, list(media_id ORDER BY last_us, media_id) AS media_ids, list(weight ORDER BY last_us, media_id) AS weights,
           list(last_us / 1e6 ORDER BY last_us, media_id) AS last_s, list(explicit ORDER BY last_us, media_id) AS explicit,
           list(done_micro ORDER BY last_us, media_id) AS done_micro, list(last_us ORDER BY last_us, media_id) AS last_us,
           list(n_day ORDER BY last_us, media_id) AS n_day, max(last_us) AS newest_us, sum(n_capped)::BIGINT AS n_capped,
           bit_xor(mark) AS mark
    FROM faded GROUP BY user_id
), minutes AS (
    SELECT user_id, max_by(n, span)::INT AS n_minute
    FROM (SELECT user_id, at_us // $minute_us AS span, count(*) AS n FROM acts GROUP BY ALL) GROUP BY user_id
), hours AS (
    SELECT user_id, max_by(n, span)::INT AS n_hour
    FROM (SELECT user_id, at_us // $hour_us AS span, count(*) AS n FROM acts GROUP BY ALL) GROUP BY user_id
), impressions AS (
    SELECT user_id, media_id, count(*)::INT AS n, max(at_us) AS last_us, bit_xor(mark) AS mark
    FROM known WHERE kind = 'impression' GROUP BY ALL
), shown AS (
    SELECT user_id, list(media_id ORDER BY media_id) AS shown_ids, list(n ORDER BY media_id) AS shown_n,
           list(last_us ORDER BY media_id) AS shown_us, bit_xor(mark) AS mark
    FROM impressions ANTI JOIN opinions USING (user_id, media_id) GROUP BY user_id
), followed AS (
    SELECT user_id, list(DISTINCT creator ORDER BY creator) FILTER (creator IS NOT NULL) AS creators, bit_xor(mark) AS mark
    FROM known WHERE kind = 'follow' GROUP BY user_id
)
SELECT user_id, coalesce(media_ids, []) AS media_ids, coalesce(weights, []) AS weights, coalesce(last_s, []) AS last_s,
       coalesce(explicit, []) AS explicit, coalesce(done_micro, []) AS done_micro, coalesce(last_us, []) AS last_us,
       coalesce(n_day, []) AS n_day, coalesce(shown_ids, []) AS shown_ids, coalesce(shown_n, []) AS shown_n,
       coalesce(shown_us, []) AS shown_us, coalesce(creators, []) AS creators, coalesce(newest_us, 0) AS newest_us,
       coalesce(n_minute, 0) AS n_minute, coalesce(n_hour, 0) AS n_hour, coalesce(n_capped, 0) AS n_capped,
       left(sha256(concat_ws('|', $seed, met.mark, shown.mark, followed.mark)), 32) AS version
FROM met FULL JOIN shown USING (user_id) FULL JOIN followed USING (user_id)
LEFT JOIN minutes USING (user_id) LEFT JOIN hours USING (user_id) ORDER BY user_id
"""


def fold(events: pa.Table, items: pa.Table, sentiment: pa.Table | None = None, *, code: str = "", rules: Rules | None = None) -> pa.Table:
    """Fold events into one history per person.

    The newest explicit opinion of an item (like, dislike, rating, not interested, report) stands; without one, the weights of everything
    done add up, cut to [-1, 1]. Both then fade with the half-life before the newest liked item. Impressions are kept apart, of items on
    which nothing was done.

    Args:
        events: user_id, media_id, event_id, fields (with event: hash of the content), kind, weight in [-1, 1] (a weight that is no number
            counts as 0), creator, happened_at; in any order, each event_id once.
        items: media_id and creator of the items that exist; events on others are dropped, but for whom they follow.
        sentiment: event_id and score in [0, 1] of the comments that were read; they weigh by it.
        code: Enters every version.
        rules: What events say.

    Returns:
        user_id and the columns of `interactions`, what was met oldest first, and version; sorted by user_id.
    """
    rules = rules or Rules()
    comment, limits = rules.weights["comment"], rules.limits
    nobody = pa.table({"event_id": pa.array([], pa.string()), "score": pa.array([], pa.float32())})
    given = {
        "explicit": sorted(EXPLICIT), "base": comment.base, "slope": comment.slope, "least": comment.least,
        "per_item_day": limits.per_item_day,
        "per_minute": limits.per_minute, "per_hour": limits.per_hour, "micro": MICRO, "day_us": DAY_US, "hour_us": HOUR_US,
        "minute_us": MINUTE_US, "half_life": rules.half_life_days, "seed": f"{code}|{rules.identity}",
    }  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("events", events)
        connection.register("items", items)
        connection.register("sentiment", nobody if sentiment is None else sentiment.select(["event_id", "score"]))
        folded = connection.sql(_FOLD, params=given).to_arrow_table()
    own = TABLES["interactions"].columns
    return folded.cast(pa.schema([("user_id", pa.string()), *own, ("version", pa.string())]))


def _whole(lists: pa.ChunkedArray) -> pa.ListArray:
    return pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)


@dataclass(frozen=True)
class Cells:
    """Lists of a table as rows over one order of items; those on other items are gone.

    Attributes:
        indptr: (lists + 1,) where each list begins.
        columns: The item of each cell.
        kept: (values,) bool over the flat lists, whether the items there are among those.
    """

    indptr: NDArray[np.int64]
    columns: NDArray[np.int64]
    kept: NDArray[np.bool_]

    def values(self, lists: pa.ChunkedArray) -> np.ndarray:
        """One value per cell; a null is NaN."""
        return _whole(lists).flatten().to_numpy(zero_copy_only=False)[self.kept]


def cells_of(ids: pa.ChunkedArray, items: Sequence[str]) -> Cells:
    """Lists of item ids as rows over one order of items."""
    lengths = np.asarray(_whole(ids).value_lengths(), dtype=np.int64)
    known = pc.SetLookupOptions(value_set=pa.array(list(items), pa.string()))
    column = pc.call_function("index_in", [_whole(ids).flatten()], known)
    kept = np.asarray(column.is_valid(), dtype=bool)
    row = np.repeat(np.arange(len(lengths)), lengths)[kept]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(lengths)))]).astype(np.int64)
    return Cells(indptr, np.asarray(column.fill_null(0), dtype=np.int64)[kept], kept)


@dataclass(frozen=True)
class Histories:
    """Everyone's opinions as sparse matrices over one order of items.

    Attributes:
        users: One per row.
        items: One per column.
        weights: (users, items) float32 in [-1, 1]; a stored zero is an item met without an opinion.
        last_s: The same cells, float64 UNIX seconds of the latest event.
        table: The rows they are from, for what only one person's history needs; None where that is not asked for.
        rules: What further events say.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    weights: sp.csr_matrix
    last_s: sp.csr_matrix
    table: pa.Table | None = field(default=None, repr=False)
    rules: Rules = field(default_factory=Rules)

    @classmethod
    def of(cls, interactions: pa.Table, items: Sequence[str], rules: Rules | None = None) -> "Histories":
        """From rows of `interactions`; items that are not in `items` are left out.

        Args:
            interactions: user_id, media_ids, weights and last_s; with all of `COLUMNS`, `of_user` answers too.
            items: The order of the columns.
            rules: What further events say.
        """
        cells = cells_of(interactions["media_ids"], items)
        shape = (interactions.num_rows, len(items))

        def matrix(name: str, dtype: type[np.floating]) -> sp.csr_matrix:
            return sp.csr_matrix((cells.values(interactions[name]).astype(dtype), cells.columns, cells.indptr), shape=shape)

        users = tuple(interactions["user_id"].to_pylist())
        whole = interactions.combine_chunks() if set(COLUMNS) <= set(interactions.column_names) else None
        return cls(users, tuple(items), matrix("weights", np.float32), matrix("last_s", np.float64), whole, rules or Rules())

    @cached_property
    def place(self) -> Mapping[str, int]:
        """user_id -> row."""
        return {user_id: row for row, user_id in enumerate(self.users)}

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.items)

    def of_user(self, user_id: str) -> History:
        """One person's history on the items here; an empty one for somebody unknown.

        Raises:
            ValueError: The histories were made without all of `COLUMNS`.
        """
        if self.table is None:
            raise ValueError("these histories hold no single person's: make them from all of interactions.COLUMNS")
        place = self.place.get(user_id)
        if place is None:
            return History(rules=self.rules)
        # Cell by cell: a table of one row costs several times as much.
        row: dict[str, Any] = {name: self.table[name][place].as_py() for name in (*_LISTS, *_OPINIONS, *_PERSON)}
        opinions = {one: Opinion(*kept) for one, *kept in zip(row["media_ids"], *(row[name] for name in _OPINIONS), strict=True)}
        shown = {one: (n, at) for one, n, at in zip(row["shown_ids"], row["shown_n"], row["shown_us"], strict=True)}
        person = {name: row[name] for name in _PERSON} | {"creators": tuple(row["creators"])}
        return History(opinions, shown, **person, rules=self.rules).within(self._known)

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
