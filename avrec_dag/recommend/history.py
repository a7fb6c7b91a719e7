"""One person's opinions, and what they become with every event that follows."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.feedback import Event, Rules
from avrec_dag.feedback.events import unix_us
from avrec_dag.feedback.weights import EXPLICIT
from avrec_dag.recommend.models.base import Interactions

MICRO = 1_000_000
"""Weights are added up as whole millionths: sums of floats depend on their order, and a history must not."""
DAY_US, HOUR_US, MINUTE_US = 86_400_000_000, 3_600_000_000, 60_000_000


class Opinion(NamedTuple):
    """What is kept of one item that a person met; everything that follows from more events follows from this.

    Attributes:
        explicit: Weight of the newest explicit opinion; None without any.
        done_micro: Sum of the weights of everything else, in millionths, not cut.
        last_us: UNIX microseconds of the latest event.
        n_day: Events on the UTC day of the latest.
    """

    explicit: float | None
    done_micro: int
    last_us: int
    n_day: int

    @property
    def weight(self) -> float:
        """In [-1, 1], before it fades: the newest explicit opinion stands; without one, what was done adds up."""
        return self.explicit if self.explicit is not None else min(1.0, max(-1.0, self.done_micro / MICRO))


@dataclass(frozen=True)
class History:
    """One person's opinions.

    Attributes:
        opinions: Item met -> what is kept of it.
        shown: Item that was only ever shown -> number of impressions, and UNIX microseconds of the latest.
        creators: Whom they follow, in alphabetical order.
        newest_us: UNIX microseconds of the newest event that is no impression; 0 without any.
        n_minute: Events in the clock minute of the newest, impressions not counted.
        n_hour: The same of its hour.
        n_capped: Events beyond `Rules.limits`: they count as met and weigh nothing.
        liked_elsewhere_us: UNIX microseconds of the newest liked item that was left out (`within`); 0 without any.
        rules: What events say.
    """

    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    shown: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    creators: tuple[str, ...] = ()
    newest_us: int = 0
    n_minute: int = 0
    n_hour: int = 0
    n_capped: int = 0
    liked_elsewhere_us: int = 0
    rules: Rules = field(default_factory=Rules)

    @property
    def weights(self) -> Mapping[str, float]:
        """Item met -> faded weight in [-1, 1]: half for every half-life before the newest liked item; what came later counts in full."""
        anchor = self._newest_liked_us() or self.newest_us
        return {one: kept.weight * self._fade(kept.last_us, anchor) for one, kept in self.opinions.items()}

    @property
    def last_s(self) -> Mapping[str, float]:
        """Item met -> UNIX seconds of the latest event on it."""
        return {one: kept.last_us / 1e6 for one, kept in self.opinions.items()}

    @property
    def passed(self) -> Mapping[str, float]:
        """Item that was shown and never acted on -> faded weight of its impressions, as many as count; in [-1, 1]."""
        weight, most = self.rules.weights["impression"].base, self.rules.most_impressions
        return {
            one: min(1.0, max(-1.0, weight * min(n, most))) * self._fade(last_us, self.newest_us)
            for one, (n, last_us) in self.shown.items()
        }

    def _fade(self, last_us: int, anchor_us: int) -> float:
        return 0.5 ** (max(0, anchor_us - last_us) / (DAY_US * self.rules.half_life_days))

    def _newest_liked_us(self) -> int:
        return max(self.liked_elsewhere_us, *(kept.last_us for kept in self.opinions.values() if kept.weight > 0), 0)

    def extended(self, events: Iterable[Event], creator_of: Mapping[str, str] | None = None) -> "History":
        """With what the person did since: equal to folding everything anew, as long as no event is older than what is known.

        An event not newer than what is known of its item counts as known; so does one that comes twice. One that comes late, older than
        another known event of its item, counts from the next fold on. A comment weighs as one that nobody has read yet.

        Args:
            events: In any order, on items that the library holds.
            creator_of: Item -> its creator, for a follow that names none.
        """
        grown = _Growing(self, creator_of or {})
        for event in sorted({one.event_id: one for one in events}.values(), key=lambda one: (one.happened_at, one.event_id)):
            grown.add(event)
        return grown.history()

    def interactions(
        self,
        place: Mapping[str, int],
        user_id: str = "",
        vectors: NDArray[np.float32] | None = None,
        items: tuple[str, ...] | None = None,
    ) -> Interactions:
        """This one person's opinions as models read them (`Histories.interactions`).

        Args:
            place: Item -> its column, 0 to n - 1 in this order, as `ItemIndex.place`; opinions on others are left out.
            user_id: Whose they are.
            vectors: (items, d) float32 content vectors in the same order.
            items: The keys of `place`, where they are at hand.
        """
        here = sorted((kept.last_us, place[one], one) for one, kept in self.opinions.items() if one in place)
        weights = self.weights
        return Interactions(
            (user_id,), tuple(place) if items is None else items, np.array([0, len(here)], np.int64),
            np.array([column for _, column, _ in here], np.int32), np.array([weights[one] for _, _, one in here], np.float32),
            np.array([at / 1e6 for at, _, _ in here], np.float64), vectors,
        )  # fmt: skip

    def row(self, place: Mapping[str, int]) -> sp.csr_matrix:
        """(1, items) float32 of the opinions on the items that have a place."""
        here = [(place[media_id], weight) for media_id, weight in self.weights.items() if media_id in place]
        columns = np.array([column for column, _ in here], dtype=np.int64)
        data = np.array([weight for _, weight in here], dtype=np.float32)
        return sp.csr_matrix((data, columns, np.array([0, len(here)], dtype=np.int64)), shape=(1, len(place)))

    def within(self, items: Collection[str]) -> "History":
        """Without the items that are not among these."""
        opinions = {one: kept for one, kept in self.opinions.items() if one in items}
        shown = {one: kept for one, kept in self.shown.items() if one in items}
        return replace(self, opinions=opinions, shown=shown, liked_elsewhere_us=self._left_out_us(items))

    def _left_out_us(self, items: Collection[str]) -> int:
        liked = (kept.last_us for one, kept in self.opinions.items() if one not in items and kept.weight > 0)
        return max(self.liked_elsewhere_us, *liked, 0)


class _Growing:
    """A history that takes one event after the other, oldest first."""

    def __init__(self, known: History, creator_of: Mapping[str, str]) -> None:
        self.known, self.creator_of = known, creator_of
        self.opinions, self.shown, self.creators = dict(known.opinions), dict(known.shown), set(known.creators)
        self.newest_us, self.n_minute, self.n_hour, self.n_capped = known.newest_us, known.n_minute, known.n_hour, known.n_capped

    def add(self, event: Event) -> None:
        at_us, one = unix_us(event.happened_at), event.media_id
        if event.kind == "follow":
            creator = event.creator or self.creator_of.get(one)
            self.creators |= {creator} if creator else set()
        if not one:
            return
        if event.kind == "impression":
            n, last_us = self.shown.get(one, (0, -1))
            if one not in self.opinions and at_us > last_us:
                self.shown[one] = (n + 1, at_us)
            return
        before = self.opinions.get(one)
        if before is None or at_us > before.last_us:
            self.shown.pop(one, None)
            self._act(event, at_us, before or Opinion(None, 0, -1, 0))

    def _act(self, event: Event, at_us: int, before: Opinion) -> None:
        n_day = before.n_day + 1 if at_us // DAY_US == before.last_us // DAY_US else 1
        explicit, done_micro = before.explicit, before.done_micro
        if self._counts(at_us, n_day):
            weight = self.known.rules.weight(event)
            explicit = weight if event.kind in EXPLICIT else explicit
            done_micro += 0 if event.kind in EXPLICIT else round(weight * MICRO)
        else:
            self.n_capped += 1
        self.opinions[event.media_id] = Opinion(explicit, done_micro, at_us, n_day)

    def _counts(self, at_us: int, n_day: int) -> bool:
        """Whether a person can have done so much; counts the event."""
        limits = self.known.rules.limits
        n_minute = self.n_minute + 1 if at_us // MINUTE_US == self.newest_us // MINUTE_US else 1
        n_hour = self.n_hour + 1 if at_us // HOUR_US == self.newest_us // HOUR_US else 1
        if at_us >= self.newest_us:
            self.newest_us, self.n_minute, self.n_hour = at_us, n_minute, n_hour
        return n_day <= limits.per_item_day and n_minute <= limits.per_minute and n_hour <= limits.per_hour

    def history(self) -> History:
        return replace(
            self.known, opinions=self.opinions, shown=self.shown, creators=tuple(sorted(self.creators)), newest_us=self.newest_us,
            n_minute=self.n_minute, n_hour=self.n_hour, n_capped=self.n_capped,
        )  # fmt: skip
