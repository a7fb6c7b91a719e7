"""What the recommendation table itself promises: everyone covered, enough items, none twice, none hidden, fresh, varied, steady."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from avrec_dag.feedback.events import FUTURE_TOLERANCE, unix_us
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import exploring
from avrec_dag.recommend.filtering import Filter
from avrec_dag.recommend.interactions import cells_of
from avrec_dag.recommend.models.weighing import COLD_AT
from avrec_dag.recommend.settings import EXPLORATION

MIN_COVERAGE = 0.1
"""Of the items that all lists together could show, the least share that some list shows."""
MAX_GINI = 0.95
MAX_TOP_SHARE = 0.5
"""Of all places, the most that the most shown hundredth of the items may hold."""
MAX_DRIFT = 0.9
"""Of the places of an average list, the most that may have changed since the day before."""
MIN_QUALITY = 0.9
"""Of the library's mean quality, the least that recommended items have on average."""
MIN_PEOPLE = 10
"""Of fewer people, concentration and drift say nothing."""
LISTS = ["media_ids", "made_at", "yesterday_ids"]
_NEW = json.dumps({"because": "new"})[1:-1]


@dataclass(frozen=True)
class Metric:
    """One figure: its value, whether it passes, and what that means."""

    name: str
    value: float
    passed: bool
    detail: str


@dataclass(frozen=True)
class Judged:
    """What the lists are judged against.

    Attributes:
        filter: Over the items that can be recommended: groups of copies, and what moderation keeps back.
        lists: user_id, media_ids, and where they are known made_at and yesterday_ids.
        histories: user_id, media_ids met, and where it is known newest_us.
        quality: media_id, score.
        k: How many items a list should have, where its owner has so many left.
        exploration: Of the places of a list, what items may hold at most that stand there for being new.
    """

    filter: Filter
    lists: pa.Table
    histories: pa.Table
    quality: pa.Table
    k: int
    exploration: float = EXPLORATION

    def places(self) -> np.ndarray:
        """(items,) float64: how often each item stands in a list."""
        return np.asarray(_matrix(self.lists["media_ids"], self.filter.items).sum(axis=0), dtype=np.float64).ravel()

    def users(self) -> tuple[np.ndarray, np.ndarray]:
        """(lists,) row of each list's owner in `histories` or -1; (people,) bool, whether they have a list."""
        place = {user: row for row, user in enumerate(self.histories["user_id"].to_pylist())}
        owner = np.array([place.get(user, -1) for user in self.lists["user_id"].to_pylist()], dtype=np.int64)
        covered = np.zeros(len(place), dtype=bool)
        covered[owner[owner >= 0]] = True
        return owner, covered


def measure(judged: Judged) -> list[Metric]:
    """Judge the stored lists."""
    owner, covered = judged.users()
    shown = _matrix(judged.lists["media_ids"], judged.filter.items)
    met = _matrix(judged.histories["media_ids"], judged.filter.items)
    places = judged.places()
    return [
        Metric("users_covered", float(covered.mean()) if len(covered) else 1.0, bool(covered.all()),
               f"{int(covered.sum())} of {len(covered)} people with a history have a list"),
        *_lists(judged, shown, met, owner),
        _outdated(judged, owner),
        *_spread(judged, places, len(covered)),
        _drift(judged.lists),
        _quality(judged, places),
        *_new_items(judged, places),
    ]  # fmt: skip


def _matrix(lists: pa.ChunkedArray, items: Sequence[str]) -> sp.csr_matrix:
    """(lists, items) float32: how often each stands in each."""
    cells = cells_of(lists, items)
    return sp.csr_matrix((np.ones(len(cells.columns), np.float32), cells.columns, cells.indptr), shape=(len(lists), len(items)))


def _lists(judged: Judged, shown: sp.csr_matrix, met: sp.csr_matrix, owner: np.ndarray) -> Iterator[Metric]:
    rule, known = judged.filter, np.flatnonzero(owner >= 0)
    unknown = sum(map(len, judged.lists["media_ids"].to_pylist())) - shown.nnz
    mine, history = _once(sp.csr_matrix(shown[known])), _once(sp.csr_matrix(met[owner[known]]))
    hidden = replace(rule, withheld=frozenset()).hidden(history).astype(np.float32)
    again, copies = int(mine.multiply(history).nnz), int(mine.multiply(hidden).nnz)
    blocked = int(judged.places()[rule.blocked].sum())
    repeats = int(shown.sum() - _once(shown).nnz)
    short = _short(judged, mine, hidden)
    yield Metric("short_lists", short, short == 0, f"lists with fewer than {judged.k} items whose owner has more left")
    yield Metric("repeats", repeats, repeats == 0, "items that stand twice in one list")
    yield Metric("already_met", again, again == 0, "recommended items that the person has met before: watched, disliked, reported, …")
    yield Metric("copies_of_met", copies - again, copies == again, "recommended items that are copies of one that the person has met")
    yield Metric("blocked", blocked, blocked == 0, "recommended items that moderation keeps back")
    yield Metric("unknown_items", unknown, unknown == 0, "recommended items that are not in the index")


def _once(matrix: sp.csr_matrix) -> sp.csr_matrix:
    matrix = matrix.copy()
    matrix.sum_duplicates()
    matrix.data = np.ones_like(matrix.data)
    return matrix


def _short(judged: Judged, mine: sp.csr_matrix, hidden: sp.csr_matrix) -> int:
    """Lists with fewer items than k and than there are groups of copies left for their owner."""
    rule = judged.filter
    open_to = np.ones(len(rule.items), dtype=bool)
    open_to[rule.blocked] = False
    groups = len(np.unique(rule.groups[open_to]))
    gone = hidden[:, open_to] if hidden.shape[1] else hidden
    to_group = sp.csr_matrix(
        (np.ones(int(open_to.sum()), np.float32), (np.arange(int(open_to.sum())), rule.groups[open_to])),
        shape=(int(open_to.sum()), int(rule.groups.max(initial=-1)) + 1),
    )
    left = groups - np.diff(sp.csr_matrix(gone @ to_group).indptr)
    return int((np.diff(mine.indptr) < np.minimum(judged.k, left)).sum())


def _outdated(judged: Judged, owner: np.ndarray) -> Metric:
    said = "lists older than the newest thing that their owner did"
    if not {"made_at"} <= set(judged.lists.column_names) or "newest_us" not in judged.histories.column_names:
        return Metric("outdated_lists", 0, True, said)
    newest = np.asarray(judged.histories["newest_us"].to_pylist(), dtype=np.int64)
    made = np.array([0 if at is None else unix_us(at) for at in judged.lists["made_at"].to_pylist()], dtype=np.int64)
    known = (owner >= 0) & (made > 0)
    # A device may be as far ahead as an event is believed to be.
    late = int((newest[owner[known]] > made[known] + FUTURE_TOLERANCE.total_seconds() * 1e6).sum())
    return Metric("outdated_lists", late, late == 0, said)


def _spread(judged: Judged, places: np.ndarray, people: int) -> Iterator[Metric]:
    from avrec_dag.recommend.metrics import gini

    items, used = len(places), int((places > 0).sum())
    # What one list can show bounds what all lists can: ten people with twenty places each cannot use a million items.
    reachable = min(1.0, people * judged.k / items) if items else 0.0
    share = used / items if items else 0.0
    yield Metric("catalogue_coverage", share, share >= MIN_COVERAGE * reachable, f"{used} of {items} items stand in some list")
    few, concentration = people < MIN_PEOPLE, gini(np.sort(places))
    yield Metric(
        "concentration_gini", concentration, concentration <= MAX_GINI or few, f"0: every item as often, 1: one only; limit {MAX_GINI}"
    )
    top = np.sort(places)[::-1][: max(1, items // 100)].sum() / max(1.0, places.sum())
    yield Metric(
        "top_share",
        float(top),
        top <= MAX_TOP_SHARE or few,
        f"of all places, held by the most shown hundredth of items; limit {MAX_TOP_SHARE}",
    )


def _drift(lists: pa.Table) -> Metric:
    """One minus the mean share of a list that stood in the same person's list of the day before."""
    before = lists["yesterday_ids"].to_pylist() if "yesterday_ids" in lists.column_names else []
    pairs = [(set(now), set(then)) for now, then in zip(lists["media_ids"].to_pylist(), before, strict=False) if now and then]
    kept = [len(now & then) / max(len(now), len(then)) for now, then in pairs]
    drift = 1.0 - float(np.mean(kept)) if kept else 0.0
    said = f"of the places of {len(kept)} people's lists, changed since the day before; limit {MAX_DRIFT}"
    return Metric("drift", drift, drift <= MAX_DRIFT or len(kept) < MIN_PEOPLE, said)


def _quality(judged: Judged, places: np.ndarray) -> Metric:
    known = dict(zip(judged.quality["media_id"].to_pylist(), judged.quality["score"].to_pylist(), strict=True))
    score = np.array([known.get(one, np.nan) for one in judged.filter.items], dtype=np.float64)
    rated = np.isfinite(score)
    weight = places[rated].sum()
    mean = float((score[rated] * places[rated]).sum() / weight) if weight else 0.0
    library = float(score[rated].mean()) if rated.any() else 0.0
    return Metric(
        "mean_quality", mean, not weight or mean >= MIN_QUALITY * library, f"of recommended items; the library's mean is {library:.3f}"
    )


def _new_items(judged: Judged, places: np.ndarray) -> Iterator[Metric]:
    """How many places are given to items for being new, and how many new items stand on any list: how soon what is new is shown."""
    whys = judged.lists["whys"].to_pylist() if "whys" in judged.lists.column_names else []
    tried = np.array([sum(_NEW in why for why in one or ()) for one in whys], np.int64)
    most, all_places = exploring.places(judged.k, judged.exploration), max(1.0, places.sum())
    yield Metric("explored_places", float(tried.sum() / all_places), bool((tried <= most).all()),
                 f"of all places, given to items for being new; limit {most} of {judged.k} places of a list")  # fmt: skip
    new = _support(judged) <= COLD_AT
    new[judged.filter.blocked] = False
    shown, room = int((places[new] > 0).sum()), most > 0 and len(whys) > 0
    yield Metric("new_items_shown", shown / int(new.sum()) if new.any() else 1.0, shown > 0 or not (room and new.any()),
                 f"of the {int(new.sum())} items that at most {COLD_AT:g} people liked, stand in some list")  # fmt: skip


def _support(judged: Judged) -> np.ndarray:
    """(items,) how many people like each now."""
    if "weights" not in judged.histories.column_names:
        return np.zeros(len(judged.filter.items))
    met = cells_of(judged.histories["media_ids"], judged.filter.items)
    return np.bincount(met.columns, met.values(judged.histories["weights"]) > 0, minlength=len(judged.filter.items))


def dated(ledger: Ledger, rows: Iterable[Row], at: datetime | None = None) -> Iterator[Row]:
    """Rows of `recommendations` with the time they are made at, and the list of an earlier day that each replaces.

    Args:
        ledger: Holds the lists that they replace.
        rows: New lists.
        at: Now, in UTC.
    """
    now = at or datetime.now(UTC)
    known: Mapping[str, dict] = {row["user_id"]: row for row in ledger.rows("recommendations", columns=LISTS).to_pylist()}
    for row in rows:
        old = known.get(row.key)
        earlier = old is not None and old["made_at"] is not None and old["made_at"].date() < now.date()
        before = None if old is None else old["media_ids"] if earlier else old["yesterday_ids"]
        yield replace(row, values={**row.values, "made_at": now, "yesterday_ids": before})
