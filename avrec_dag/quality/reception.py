"""What people made of every item: one voice per person, however often they pressed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from avrec_dag.ledger import Ledger

_PAIR = ["user_id", "media_id"]


@dataclass(frozen=True)
class Reception:
    """What people made of one item.

    A person's liking of an item is the mean weight of their events on it, moved from [-1, 1] to [0, 1].

    Attributes:
        n_events: How many events.
        n_people: How many people they came from; at least 1.
        total: Sum over people of their liking, each in [0, 1].
        squares: Sum over people of its square.
    """

    n_events: int
    n_people: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Mean liking in [0, 1]."""
        return self.total / self.n_people


def receptions(ledger: Ledger) -> Mapping[str, Reception]:
    """Item -> what people made of it, over all days; one day's events are in memory at a time, and one sum per person and item."""
    days = []
    for day in ledger.partitions("feedback_events"):
        events = ledger.rows("feedback_events", day, columns=["user_id", "media_id", "weight"])
        days.append(events.group_by(_PAIR, use_threads=False).aggregate([("weight", "sum"), ("weight", "count")]))
    if not days:
        return {}
    pairs = pa.concat_tables(days).group_by(_PAIR, use_threads=False).aggregate([("weight_sum", "sum"), ("weight_count", "sum")])
    # Sorted, so that sums of floats do not depend on the order in which events were stored.
    pairs = pairs.sort_by([("media_id", "ascending"), ("user_id", "ascending")])
    n_events = np.asarray(pairs["weight_count_sum"], np.int64)
    known = n_events > 0
    liking = (np.asarray(pairs["weight_sum_sum"], np.float64)[known] / n_events[known] + 1) / 2
    names, place = np.unique(np.asarray(pairs["media_id"].to_pylist(), object)[known], return_inverse=True)
    sums = (np.bincount(place, each, minlength=len(names)) for each in (n_events[known], np.ones(known.sum()), liking, liking**2))
    columns = [column.tolist() for column in sums]
    return {
        name: Reception(int(events), int(people), total, squares)
        for name, events, people, total, squares in zip(names.tolist(), *columns, strict=True)
    }


def classes_of(ledger: Ledger) -> dict[str, str]:
    """Item -> the first of its labels, for items that have one."""
    table = ledger.rows("content_classes", columns=["labels"])
    return {one: labels[0] for one, labels in zip(table["media_id"].to_pylist(), table["labels"].to_pylist(), strict=True) if labels}
