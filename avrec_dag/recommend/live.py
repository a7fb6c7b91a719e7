"""Answers in milliseconds: lists for anyone, similar items, search by words; from memory, over what the ledger last said."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from avrec_dag.feedback import Event, Rules
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import catalogue, content
from avrec_dag.recommend.answers import Found, Recommendation
from avrec_dag.recommend.blend import Scores, Views, blend
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.explain import explain
from avrec_dag.recommend.interactions import COLUMNS, Histories
from avrec_dag.recommend.model import Model
from avrec_dag.recommend.rerank import Method, rerank
from avrec_dag.recommend.searching import Searcher
from avrec_dag.recommend.settings import DIVERSITY, QUALITY, K
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
    """

    catalogue: Catalogue
    views: Views
    histories: Histories
    model_version: str

    @classmethod
    def load(cls, ledger: Ledger, blobs: Blobs, rules: Rules | None = None) -> "Recommender":
        """Read the model, the index, histories, quality, classes and words.

        Args:
            ledger: The tables.
            blobs: The models.
            rules: What events say that people send from now on; those of `interactions`.

        Raises:
            MissingError: When `recommender` or `item_index` has not been materialised.
        """
        from avrec_dag.recommend import model

        items = catalogue.load(ledger, blobs)
        trained = model.load(ledger, blobs)
        histories = Histories.of(ledger.rows("interactions", columns=COLUMNS), items.index.items, rules)
        return cls.of(items, trained, histories)

    @classmethod
    def of(cls, items: Catalogue, trained: Model, histories: Histories) -> "Recommender":
        """From parts already in memory; `histories` must be over the order of `items.index`."""
        model = trained.aligned(items.index.items)
        views = Views(model.linear, content.centred(items.index.fused), model.popularity, model.support, items.quality)
        return cls(items, views, histories, trained.digest)

    @property
    def users(self) -> tuple[str, ...]:
        """Everyone with a history."""
        return self.histories.users

    def recommend(
        self,
        user_id: str,
        k: int = K,
        *,
        diversity: float = DIVERSITY,
        quality: float = QUALITY,
        exclude: Collection[str] = (),
        events: Sequence[Event] = (),
        method: Method = "mmr",
    ) -> list[Recommendation]:
        """What this person should watch next, best first; never what they have met.

        Someone without a history gets what is popular and well made, spread over the library.

        Args:
            user_id: Anyone.
            k: At most so many.
            diversity: 0 orders by score, 1 spreads regardless of it.
            quality: 0 ignores quality, 1 looks at nothing else.
            exclude: Items not to show.
            events: What the person did lately; what the ledger already holds of it counts once.
            method: Of diversification.

        Raises:
            ValueError: When diversity or quality is outside [0, 1] or k is negative.
        """
        if not 0.0 <= quality <= 1.0:
            raise ValueError(f"quality must lie in [0, 1], found {quality}")
        history = self.histories.of_user(user_id).extended(events) if events else self.histories.of_user(user_id)
        weights = history.row(self.catalogue.index.place)
        scores = blend(self.views, weights, quality=quality)
        return self._listed(weights, scores, 0, k, diversity, method, exclude)

    def recommend_all(self, user_ids: Collection[str], k: int = K) -> Iterator[tuple[str, list[Recommendation]]]:
        """The default list of each of these people who has a history, scored in batches."""
        wanted = [row for row, user_id in enumerate(self.users) if user_id in user_ids]
        for start in range(0, len(wanted), _BATCH):
            rows = wanted[start : start + _BATCH]
            weights = sp.csr_matrix(self.histories.weights[rows])
            scores = blend(self.views, weights, quality=QUALITY)
            for place, row in enumerate(rows):
                yield self.users[row], self._listed(weights, scores, place, k, DIVERSITY, "mmr", ())

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

    @property
    def searcher(self) -> Searcher:
        """What finds items by what they hold, whoever asks."""
        return Searcher(self.catalogue)

    def _listed(
        self, weights: sp.csr_matrix, scores: Scores, person: int, k: int, diversity: float, method: Method, exclude: Collection[str]
    ) -> list[Recommendation]:
        final = scores.final[person].copy()
        final[[self.catalogue.index.place[media_id] for media_id in exclude if media_id in self.catalogue.index.place]] = -np.inf
        chosen = rerank(final, self.views.vectors, k, diversity=diversity, method=method)
        reasons = explain(self.views, weights, scores, person, chosen, self.catalogue.facts)
        scored = (1.0 / (1.0 + np.exp(-final[chosen]))).tolist()
        names = [self.catalogue.facts.items[item] for item in chosen]
        return [Recommendation(name, score, why.text, why.causes) for name, score, why in zip(names, scored, reasons, strict=True)]
