"""The linear model: what a person liked, newest first, times weights from item to item that were fitted to what people liked next."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models import files, learned, regression, restricted, top
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.gram import Pairs
from avrec_dag.recommend.models.histories import checked, chosen, each_once, places, recent

_Links = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
_NO_LINKS: _Links = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True)
class LinearSettings:
    """What is regressed on what.

    Attributes:
        l2: Ridge penalty, above 0.
        decay: How much less an event counts than the next newer one in the examples that are learned from, in (0, 1].
        recency: The same in the history that is scored.
        backward: What share of a transition also counts the other way round, at least 0: with 1, order is nothing.
        window: How many events back count in the examples.
        sources: Weights towards one item come from at most so many others, where there are more than `exact_items` items.
        exact_items: Up to so many items one dense system is solved instead.
    """

    l2: float = 120.0
    decay: float = 0.9
    recency: float = 0.7
    backward: float = 0.3
    window: int = 12
    sources: int = 48
    exact_items: int = 6000


class Linear:
    """EASE with recency and transitions: a ridge regression from faded histories to the next item, from running sums."""

    name: ClassVar[str] = "linear"
    source: ClassVar[str] = (
        "Choi, Kim, Lee, Shim and Lee, 'Session-aware Linear Item-Item Models for Session-based Recommendation' (SLIST), WWW 2021, "
        "after Steck, 'Embarrassingly Shallow Autoencoders for Sparse Data', WWW 2019"
    )

    def __init__(self, settings: LinearSettings = LinearSettings()) -> None:
        shares = 0 < settings.decay <= 1 and 0 < settings.recency <= 1 and settings.backward >= 0
        if not shares or settings.l2 <= 0 or min(settings.window, settings.sources) < 1:
            raise ModelError(f"linear: {settings} cannot work: l2 above 0, decay and recency in (0, 1], window and sources at least 1")
        self.settings = settings
        self.learned = learned.nothing()
        self.pairs = Pairs.none(0)
        self.weights = sp.csr_matrix((0, 0), dtype=np.float32)
        self._last: tuple[Interactions | None, sp.csr_matrix, _Links] = (None, self.weights, _NO_LINKS)

    @property
    def items(self) -> tuple[str, ...]:
        """What the columns are."""
        return self.learned.items

    def fit(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002 (nothing is drawn)
        """See `Model.fit`."""
        self.learned = learned.remembered(checked(data))
        self.pairs = self._pairs(self.learned)
        self.weights = self._solved()

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit_partial`: the sums of histories that changed are exchanged; the result is that of `fit`."""
        now = learned.remembered(checked(data))
        if data.items[: len(self.items)] != self.items:
            self.fit(data, seed=seed)
            return
        before = replace(self.learned, items=data.items)
        gone, come = learned.changed(before, now)
        if len(gone) or len(come) or len(data.items) > len(self.items):
            self.pairs = self.pairs.grown(len(data.items)).plus(self._pairs(gone), -1.0).plus(self._pairs(come))
            self.learned = now
            self.weights = self._solved()

    def _pairs(self, some: Interactions) -> Pairs:
        return Pairs.of(some, decay=self.settings.decay, window=self.settings.window)

    def _solved(self) -> sp.csr_matrix:
        settings, together, after = self.settings, self.pairs.together, self.pairs.after
        by_column = sp.csc_matrix(after)  # as it is solved; the other way round is then the rows as they are

        def towards(start: int, end: int) -> sp.csc_matrix:
            columns = sp.csc_matrix(by_column[:, start:end])
            return columns + settings.backward * sp.csr_matrix(after[start:end]).transpose() if settings.backward else columns

        if len(self.items) <= settings.exact_items:
            return regression.solve(together, towards(0, len(self.items)), l2=settings.l2)
        return restricted.solve(together, towards, l2=settings.l2, sources=settings.sources)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`."""
        if len(histories.users) == 1 and each_once(histories):
            return chosen(self._of_one(checked(histories, self.items)), candidates)
        rows = recent(checked(histories, self.items), self.settings.recency)
        if candidates is not None and len(histories.users) > 1:  # a dense row of every item for each would be mostly thrown away
            return _cells(sp.csr_matrix(rows @ self.weights), candidates)
        return chosen(np.asarray((rows @ self.weights).toarray(), np.float32), candidates)

    def effects(self, history: Interactions, candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """(events, candidates) float32: what the score of one person's history loses without each event, in which no item occurs twice.

        Without an event, what is older than it moves up a place and counts for more, so that it loses less than the event itself adds.
        """
        events, columns, weights = self._linked(checked(history, self.items))
        order = np.argsort(candidates)
        at = np.minimum(np.searchsorted(candidates, columns, sorter=order), max(len(candidates) - 1, 0))
        wanted = candidates[order[at]] == columns if len(candidates) else np.zeros(len(columns), bool)
        added = np.zeros((len(history), len(candidates)), np.float32)
        added[events[wanted], order[at[wanted]]] = weights[wanted]
        older = np.cumsum(added, axis=0) - added
        return np.asarray(added + (1.0 - 1.0 / self.settings.recency) * older, np.float32)

    def _of_one(self, history: Interactions) -> NDArray[np.float32]:
        """(1, items) scores of one person, of whom every event is on another item."""
        _, columns, weights = self._linked(history)
        scores = np.zeros((1, len(self.items)), np.float32)
        np.add.at(scores[0], columns, weights)
        return scores

    def _linked(self, history: Interactions) -> _Links:
        """Of each event and each item that it is linked to: the event, the item, and what the event adds there.

        The last one's stay, as a list asks twice: to score, and to explain.
        """
        of, weights, found = self._last
        if of is not history or weights is not self.weights:
            found = self._links(history)
            self._last = (history, self.weights, found)
        return found

    def _links(self, history: Interactions) -> _Links:
        counted = (np.maximum(history.weights, 0.0) * np.power(self.settings.recency, places(history), dtype=np.float64)).astype(np.float32)
        starts = self.weights.indptr[history.columns]
        n_linked = self.weights.indptr[history.columns + 1] - starts
        events = np.repeat(np.arange(len(history)), n_linked)
        at = np.repeat(starts - np.cumsum(n_linked) + n_linked, n_linked) + np.arange(len(events))
        return events, self.weights.indices[at].astype(np.int64), counted[events] * self.weights.data[at]

    def top(self, histories: Interactions, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best `k` items that each has not met, and their scores, as `top.best` gives them."""
        return top.best(recent(checked(histories, self.items), self.settings.recency, met=True), self.weights, k)

    def save(self) -> Files:
        """See `Model.save`."""
        sums = {"together": self.pairs.together, "after": self.pairs.after}
        return files.pack(self.name, self.settings, self.items, {"weights": self.weights, **sums, **learned.arrays(self.learned)})

    @classmethod
    def load(cls, stored: Files) -> Self:
        """See `Model.load`; ModelError where the files are not such a model's."""
        read = files.unpack(stored, cls.name)
        model, shape = cls(read.settings(LinearSettings)), (len(read.items), len(read.items))
        model.learned = learned.read(read)
        model.pairs = Pairs(read.sparse("together", np.float64, shape), read.sparse("after", np.float64, shape))
        model.weights = read.sparse("weights", np.float32, shape)
        return model


def _cells(rows: sp.csr_matrix, columns: NDArray[np.integer]) -> NDArray[np.float32]:
    return np.asarray(sp.csr_matrix(rows[:, columns]).toarray(), np.float32)
