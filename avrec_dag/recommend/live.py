"""Answers in milliseconds: lists for anyone, similar items, search by words; from memory, over what the ledger last said."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Unpack

import numpy as np
import scipy.sparse as sp

from avrec_dag.feedback import Event, Rules
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import catalogue, content
from avrec_dag.recommend.answers import Found, Recommendation
from avrec_dag.recommend.blend import Scores, Views, blend
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.explain import explain, noted
from avrec_dag.recommend.filtering import Filter
from avrec_dag.recommend.interactions import COLUMNS, Histories
from avrec_dag.recommend.model import Model
from avrec_dag.recommend.reranking.knobs import Changes, Knobs
from avrec_dag.recommend.reranking.listing import Reranker, Shelf
from avrec_dag.recommend.searching import Searcher
from avrec_dag.recommend.settings import K
from avrec_dag.recommend.telling import advice
from avrec_dag.storage import Blobs

_BATCH = 256


@dataclass(frozen=True)
class Recommender:
    """Everything an answer needs, read once. Load anew when `version` of the ledger has moved on.

    Attributes:
        catalogue: The items.
        views: What is known of them, in the order of the index.
        histories: Everybody's opinions of them.
        model_version: Hash of the trained model.
        knobs: What counts how much, unless a request says otherwise.
    """

    catalogue: Catalogue
    views: Views
    histories: Histories
    model_version: str
    knobs: Knobs = field(default_factory=Knobs)

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

        items = catalogue.load(ledger, blobs)
        trained = model.load(ledger, blobs)
        histories = Histories.of(ledger.rows("interactions", columns=COLUMNS), items.index.items, rules)
        return cls.of(items, trained, histories, knobs)

    @classmethod
    def of(cls, items: Catalogue, trained: Model, histories: Histories, knobs: Knobs | None = None) -> "Recommender":
        """From parts already in memory; `histories` must be over the order of `items.index`."""
        model = trained.aligned(items.index.items)
        views = Views(model.linear, content.centred(items.index.fused), model.popularity, model.support, items.quality)
        return cls(items, views, histories, trained.digest, knobs or Knobs())

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
        **changes: Unpack[Changes],
    ) -> list[Recommendation]:
        """What this person should watch next, best first; never what they have met.

        Someone without a history gets what is popular and well made, spread over the library.

        Args:
            user_id: Anyone.
            k: At most so many.
            exclude: Items not to show.
            events: What the person did lately; what the ledger already holds of it counts once.
            changes: Knobs (`reranking.knobs`) other than those of the library.

        Raises:
            ValueError: When a knob is outside its range or k is negative.
        """
        knobs = self.knobs.turned(**changes)
        history = self.histories.of_user(user_id).extended(events) if events else self.histories.of_user(user_id)
        weights = history.row(self.catalogue.index.place)
        scores = blend(self.views, weights, quality=knobs.quality_share)
        return self._listed(weights, scores, 0, k, knobs, exclude)

    def recommend_all(self, user_ids: Collection[str], k: int = K) -> Iterator[tuple[str, list[Recommendation]]]:
        """The default list of each of these people who has a history, scored in batches."""
        wanted = [row for row, user_id in enumerate(self.users) if user_id in user_ids]
        for start in range(0, len(wanted), _BATCH):
            rows = wanted[start : start + _BATCH]
            weights = sp.csr_matrix(self.histories.weights[rows])
            scores = blend(self.views, weights, quality=self.knobs.quality_share)
            for place, row in enumerate(rows):
                yield self.users[row], self._listed(weights, scores, place, k, self.knobs, ())

    def similar(self, media_id: str, k: int = K) -> list[Found]:
        """As `Searcher.similar`."""
        return self.searcher.similar(media_id, k)

    def search(self, text: str, k: int = K) -> list[Found]:
        """As `Searcher.search`."""
        return self.searcher.search(text, k)

    def relevance(self, user_id: str, *, events: Sequence[Event] = ()) -> np.ndarray:
        """How well every item suits a person: (items,) float32 in the order of the index, finite for what they have met, too.

        Args:
            user_id: Anyone; for somebody unknown, what suits most people.
            events: As for `recommend`.
        """
        history = self.histories.of_user(user_id).extended(events) if events else self.histories.of_user(user_id)
        scores = blend(self.views, history.row(self.catalogue.index.place))
        return (scores.linear + scores.content + scores.popularity)[0]

    @cached_property
    def filter(self) -> Filter:
        """What nobody may be shown (again)."""
        return Filter(self.catalogue.index.items, self.catalogue.group_of)

    @cached_property
    def reranker(self) -> Reranker:
        """What makes lists of scores."""
        items = self.catalogue
        shelf = Shelf.of(items.index.items, self.views.vectors, groups=self.filter.groups, creators=items.creators, classes=items.classes)
        return Reranker.of(shelf, self.histories.liked)

    @property
    def searcher(self) -> Searcher:
        """What finds items by what they hold, whoever asks."""
        return Searcher(self.catalogue)

    def _listed(
        self, weights: sp.csr_matrix, scores: Scores, person: int, k: int, knobs: Knobs, exclude: Collection[str]
    ) -> list[Recommendation]:
        final, own = scores.final[person].copy(), sp.csr_matrix(weights[[person]])
        items = self.catalogue.index.items
        final[self.filter.columns([items[column] for column in own.indices], exclude)] = -np.inf
        listed = self.reranker.listed(final, own, k, knobs)
        chosen = [one.position for one in listed]
        explained = explain(self.views, weights, scores, person, chosen, self.catalogue.facts)
        reasons = [noted(reason, one) for reason, one in zip(explained, listed, strict=True)]
        scored = (1.0 / (1.0 + np.exp(-final[chosen]))).tolist()
        names = [self.catalogue.facts.items[item] for item in chosen]
        return [advice(name, score, why, self.catalogue.facts) for name, score, why in zip(names, scored, reasons, strict=True)]
