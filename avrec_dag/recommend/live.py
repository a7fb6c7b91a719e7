"""Answers in milliseconds: lists for anyone, similar items, search by words; from memory, over what the ledger last said."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from avrec_dag.errors import SettingError
from avrec_dag.feedback import Event
from avrec_dag.ledger import Ledger
from avrec_dag.moments import Moment
from avrec_dag.recommend import catalogue, content, words
from avrec_dag.recommend.blend import Scores, Views, blend
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.explain import Facts, explain
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.model import Model
from avrec_dag.recommend.rerank import Method, rerank
from avrec_dag.recommend.settings import DIVERSITY, QUALITY, K
from avrec_dag.storage import Blobs

_BATCH = 256


@dataclass(frozen=True)
class Recommendation:
    """One item of an answer.

    Attributes:
        media_id: The item.
        score: Larger is better: for lists in (0, 1), for similar items a cosine, for search a cosine plus a boost for exact words.
        reason: One line for people.
        causes: The items of the person's history behind it, strongest first.
    """

    media_id: str
    score: float
    reason: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found(Recommendation):
    """One item of an answer that points into it.

    Attributes:
        moment: Where in the item to look; None where nothing is known of its moments.
    """

    moment: Moment | None = None


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
    def load(cls, ledger: Ledger, blobs: Blobs) -> "Recommender":
        """Read the model, the index, histories, quality, classes and words.

        Raises:
            MissingError: When `recommender` or `item_index` has not been materialised.
        """
        from avrec_dag.recommend import model

        items = catalogue.load(ledger, blobs)
        trained = model.load(ledger, blobs)
        histories = Histories.of(ledger.rows("interactions", columns=["media_ids", "weights", "last_s"]), items.index.items)
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
        """The items most like this one in picture, sound and words, each with its likest moment; MissingError for an unknown one."""
        name, index = self._facts.name(media_id), self.catalogue.index
        found = index.similar(media_id, k)
        joint = index.joint[index.place[media_id]]
        asked = joint if joint.any() else None
        return [
            Found(other, score, f"its content is like {name}", (media_id,), self.catalogue.moments.best(other, asked))
            for other, score in found
        ]

    def search(self, text: str, k: int = K) -> list[Found]:
        """The items that fit the words, best first: by meaning in the joint space, raised by exact words (`words.boost`).

        What was said and what stood on the screen counts as well as title, tags and description, as far as one moment holds it.
        Each item comes with the moment that fits best. Any language that the text encoder knows; an empty text finds nothing.
        """
        if not text.strip():
            return []
        wanted, moments = words.asked(text), self.catalogue.moments
        held = zip(self.catalogue.index.items, self.catalogue.terms, strict=True)
        scores = {media_id: words.boost(wanted, terms) for media_id, terms in held}
        named = moments.named(wanted)
        said = {media_id: words.BOOST * share for media_id, share in moments.best_shares(named).items() if media_id in scores}
        reasons = {media_id: "named so" for media_id, raised in scores.items() if raised > 0}
        reasons |= {media_id: "said or shown in it" for media_id, raised in said.items() if raised > scores[media_id]}
        scores |= {media_id: max(raised, scores[media_id]) for media_id, raised in said.items()}
        joint = self._query(text)
        for media_id, cosine in self.catalogue.index.search(joint, len(scores)):
            scores[media_id] += cosine
        best = sorted(scores, key=lambda media_id: (-scores[media_id], media_id))[:k]
        return [
            Found(one, scores[one], reasons.get(one, "fits by meaning"), (), moments.best(one, joint, named, words.BOOST)) for one in best
        ]

    def _query(self, text: str) -> np.ndarray:
        """The words in the space that the index is in.

        Raises:
            SettingError: The encoders of that name are not those that made it.
        """
        from avrec_dag.encoders.joint import JointSpace

        space = JointSpace(self.catalogue.index.encoders)
        if self.catalogue.index.space not in ("", space.identity):
            raise SettingError(
                f"the index was made with the encoders {self.catalogue.index.space}, AVREC_ENCODERS={space.preset} is now "
                f"{space.identity}; run `avrec materialize`"
            )
        return space.text([text])[0]

    @property
    def _facts(self) -> Facts:
        return Facts(self.catalogue.index.items, self.catalogue.titles, self.catalogue.labels)

    def _listed(
        self, weights: sp.csr_matrix, scores: Scores, person: int, k: int, diversity: float, method: Method, exclude: Collection[str]
    ) -> list[Recommendation]:
        final = scores.final[person].copy()
        final[[self.catalogue.index.place[media_id] for media_id in exclude if media_id in self.catalogue.index.place]] = -np.inf
        chosen = rerank(final, self.views.vectors, k, diversity=diversity, method=method)
        reasons = explain(self.views, weights, scores, person, chosen, self._facts)
        scored = (1.0 / (1.0 + np.exp(-final[chosen]))).tolist()
        names = [self._facts.items[item] for item in chosen]
        return [Recommendation(name, score, why.text, why.causes) for name, score, why in zip(names, scored, reasons, strict=True)]
