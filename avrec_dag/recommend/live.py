"""Answers in milliseconds: lists for anyone, similar items, search by words; from memory, over what the ledger last said."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Unpack

import numpy as np

from avrec_dag.feedback import Event, Rules
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import catalogue
from avrec_dag.recommend.answers import Found, Recommendation
from avrec_dag.recommend.blend import Scores, Views, blend, opinions
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.explain import explain
from avrec_dag.recommend.exploring import Explorer, explored, places
from avrec_dag.recommend.filtering import Filter
from avrec_dag.recommend.history import History
from avrec_dag.recommend.interactions import COLUMNS, Histories
from avrec_dag.recommend.model import Trained
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.queries import Query
from avrec_dag.recommend.reranking.knobs import Changes, Knobs
from avrec_dag.recommend.reranking.listing import Reranker, Shelf
from avrec_dag.recommend.retrieving import Retriever
from avrec_dag.recommend.searching import Searcher, Taste
from avrec_dag.recommend.settings import TASTE, K
from avrec_dag.recommend.signals import Signals
from avrec_dag.recommend.telling import advice
from avrec_dag.storage import Blobs

_BATCH = 256
_CELLS = 4_000_000
"""So many scores are held at once, times the models."""


@dataclass(frozen=True)
class Recommender:
    """Everything an answer needs, read once. Load anew when `version` of the ledger has moved on.

    Attributes:
        catalogue: The items.
        views: What is known of them, in the order of the index.
        histories: Everybody's opinions of them.
        model_version: That of the row of the trained model.
        knobs: What counts how much, unless a request says otherwise.
        tried: Item -> how far it pleased and displeased people until the model was last fitted from nothing.
        stamp: Of that fit.
    """

    catalogue: Catalogue
    views: Views
    histories: Histories
    model_version: str
    knobs: Knobs = field(default_factory=Knobs)
    tried: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    stamp: str = ""

    @classmethod
    def load(cls, ledger: Ledger, blobs: Blobs, rules: Rules | None = None, knobs: Knobs | None = None) -> "Recommender":
        """Read the model, the index, histories, quality, classes and words.

        Args:
            ledger: The tables.
            blobs: The models.
            rules: What events say that people send from now on; those of `interactions`.
            knobs: What counts how much in lists.

        Raises:
            MissingError: When `recommender` or `item_index` has not been materialised.
        """
        from avrec_dag.recommend import model

        trained = model.load(ledger, blobs)
        items = catalogue.load(ledger, blobs, trained.quality)
        histories = Histories.of(ledger.rows("interactions", columns=COLUMNS), items.index.items, rules)
        return cls.of(items, trained, histories, knobs)

    @classmethod
    def of(cls, items: Catalogue, trained: Trained, histories: Histories, knobs: Knobs | None = None) -> "Recommender":
        """From parts already in memory; `histories` must be over the order of `items.index`."""
        views = Views(items.index.items, trained.blend, items.index.fused, items.quality)
        known = zip(trained.blend.items, zip(trained.tried.pleased.tolist(), trained.tried.displeased.tolist(), strict=True), strict=False)
        return cls(items, views, histories, trained.version, knobs or Knobs(), dict(known), trained.tried.stamp)

    @property
    def users(self) -> tuple[str, ...]:
        """Everyone with a history."""
        return self.histories.users

    def recommend(
        self,
        user_id: str,
        k: int = K,
        *,
        exclude: Collection[str] = (),
        events: Sequence[Event] = (),
        context: Context | None = None,
        **changes: Unpack[Changes],
    ) -> list[Recommendation]:
        """What this person should watch next, best first; never what they have met.

        Someone without a history gets what fits the context, then what is popular and well made, spread over the library.

        Args:
            user_id: Anyone.
            k: At most so many.
            exclude: Items not to show.
            events: What the person did lately; what the ledger already holds of it counts once.
            context: What the request says of the person; what of it the library cannot use (`usable`) changes nothing.
            changes: Knobs (`reranking.knobs`) other than those of the library.

        Raises:
            ValueError: When a knob is outside its range or k is negative.
        """
        knobs = self.knobs.turned(**changes)
        known = self.known(user_id, events)
        history, share = self._read(known, user_id), knobs.quality_share
        fits = self.usable(context)[0] if context else Context()
        pool = self.retriever.pool(known, history, fits, k, len(exclude)) if k > 0 else None
        scores = blend(self.views, history, quality=share, pool=pool).moved(self.signals.of_history(known, pool), 1.0 - share)
        if fits and share < 1.0:
            relevance = scores.relevance[0] / (1.0 - share)
            scores = scores.moved(self.signals.of_context(fits, len(history), relevance, pool), 1.0 - share)
        return self._listed(history, scores, k, knobs, (*exclude, *((fits.referrer,) if fits.referrer else ())))

    def usable(self, context: Context) -> tuple[Context, tuple[str, ...]]:
        """What of a context says something here, and a sentence for each part that does not."""
        return context.within(self.catalogue.index.place.keys(), self.catalogue.class_names, self.catalogue.spoken)

    def history(self, user_id: str, events: Sequence[Event] = ()) -> Interactions:
        """One person's opinions as models read them, with what they did since the tables were written."""
        return self._read(self.known(user_id, events), user_id)

    def known(self, user_id: str, events: Sequence[Event] = ()) -> History:
        """What is kept of one person, with what they did since the tables were written."""
        known = self.histories.of_user(user_id)
        return known.extended(events, self.catalogue.creators) if events else known

    def _read(self, known: History, user_id: str) -> Interactions:
        return known.interactions(self.catalogue.index.place, user_id, self.views.fused, self.views.items)

    def recommend_all(self, user_ids: Collection[str], k: int = K) -> Iterator[tuple[str, list[Recommendation]]]:
        """The default list of each of these people who has a history, scored in batches."""
        everyone = self.histories.interactions(self.views.fused)
        wanted = [row for row, user_id in enumerate(self.users) if user_id in user_ids]
        size = max(1, min(_BATCH, _CELLS // max(len(self.views.items), 1)))
        for start in range(0, len(wanted), size):
            some = replace(everyone.of(wanted[start : start + size]), items=self.views.items)
            scores = blend(self.views, some, quality=self.knobs.quality_share)
            for place, user_id in enumerate(some.users):
                signals = self.signals.of_history(self.histories.of_user(user_id))
                moved = scores.of(place).moved(signals, 1.0 - self.knobs.quality_share)
                yield user_id, self._listed(some.of([place]), moved, k, self.knobs, ())

    def similar(self, media_id: str, k: int = K) -> list[Found]:
        """As `Searcher.similar`."""
        return self.searcher.similar(media_id, k)

    def search(
        self, query: str | Query, k: int = K, *, user_id: str | None = None, taste: float | None = None, events: Sequence[Event] = ()
    ) -> list[Found]:
        """As `Searcher.search`, for words or any other query.

        Args:
            query: What is looked for.
            k: At most so many.
            user_id: Whose taste re-ranks what is found; None: nobody's.
            taste: How much, in [0, 1]; None: `TASTE`.
            events: As for `recommend`.

        Raises:
            ValueError: taste is outside [0, 1].
        """
        asked = Query(query) if isinstance(query, str) else query
        mine = None if user_id is None else self.taste(user_id, TASTE if taste is None else taste, events=events)
        return self.searcher.search(asked, k, mine)

    def taste(self, user_id: str, weight: float, *, events: Sequence[Event] = ()) -> Taste:
        """What re-ranks an answer by one person's taste."""
        history = self.history(user_id, events)

        def scored(rows: np.ndarray) -> Scores:
            return blend(self.views, history, pool=self.retriever.among(rows))

        def relevance(rows: np.ndarray) -> np.ndarray:
            scores = scored(rows)
            return scores.relevance[0][scores.at(rows)]

        return Taste(weight, relevance, lambda rows: explain(self.views, history, scored(rows), rows.tolist(), self.catalogue.facts))

    def relevance(self, user_id: str, *, events: Sequence[Event] = ()) -> np.ndarray:
        """How well every item suits a person: (items,) float32 in the order of the index, finite for what they have met, too.

        Args:
            user_id: Anyone; for somebody unknown, what suits most people.
            events: As for `recommend`.
        """
        return blend(self.views, self.history(user_id, events)).relevance[0]

    @cached_property
    def filter(self) -> Filter:
        """What nobody may be shown (again)."""
        return Filter(self.catalogue.index.items, self.catalogue.group_of)

    @cached_property
    def signals(self) -> Signals:
        """What moves scores besides models and quality."""
        return Signals(self.catalogue, self.views.vectors)

    @cached_property
    def reranker(self) -> Reranker:
        """What makes lists of scores."""
        items = self.catalogue
        shown = zip(items.index.items, items.shown.tolist(), strict=True)
        makers = {one: items.creators[items.index.items[column]] for one, column in shown if items.index.items[column] in items.creators}
        shelf = Shelf.of(items.index.items, self.views.vectors, groups=self.filter.groups, creators=makers, classes=items.classes)
        return Reranker.of(shelf, self.histories.liked)

    @cached_property
    def explorer(self) -> Explorer:
        """What chooses new items."""
        return Explorer.of(self.catalogue, self.filter.groups, self.views.support, self.tried, self.stamp)

    @cached_property
    def retriever(self) -> Retriever:
        """What finds candidates."""
        return Retriever(self.catalogue, self.views, self.explorer.new, self.stamp)

    @cached_property
    def searcher(self) -> Searcher:
        """What finds items by what they hold, whoever asks."""
        return Searcher(self.catalogue)

    def _listed(self, history: Interactions, scores: Scores, k: int, knobs: Knobs, exclude: Collection[str]) -> list[Recommendation]:
        final, items = scores.final[0].copy(), self.catalogue.index.items
        hidden, pool = self.filter.columns([items[column] for column in history.columns], exclude), scores.pool
        final[hidden if pool is None else pool.holds(hidden)] = -np.inf
        reranker = self.reranker if pool is None else self.reranker.among(pool)
        listed = reranker.listed(final, opinions(history), k, knobs)
        if places(k, knobs.exploration):
            drawn = self.explorer.drawn(history.users[0], replace(scores, final=final[None, :]))
            share, cap = knobs.exploration, knobs.per_creator
            listed = explored(listed, drawn, final, reranker.shelf, k=k, share=share, per_creator=cap)
        at = [one.position for one in listed]
        chosen = at if pool is None else pool.columns[at].tolist()
        reasons = explain(self.views, history, scores, chosen, self.catalogue.facts, listed)
        scored = (0.5 + 0.5 * final[at] / (1.0 + np.abs(final[at]))).tolist()
        # A group of copies stands where the best-scored of them does, and why is that one's; what is shown is the canonical one.
        names = [items[self.catalogue.shown[item]] for item in chosen]
        return [advice(name, score, why, self.catalogue.facts) for name, score, why in zip(names, scored, reasons, strict=True)]
