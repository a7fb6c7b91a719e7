"""Finding items by what they hold: like one item, or by words; each answer with the moment that fits best."""

from dataclasses import dataclass

import numpy as np

from avrec_dag.errors import SettingError
from avrec_dag.recommend import words
from avrec_dag.recommend.answers import Found
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.settings import K


@dataclass(frozen=True)
class Searcher:
    """Search over one catalogue, the same for everybody.

    Attributes:
        catalogue: The items.
    """

    catalogue: Catalogue

    def similar(self, media_id: str, k: int = K) -> list[Found]:
        """The items most like this one in picture, sound and words, each with its likest moment; MissingError for an unknown one."""
        name, index = self.catalogue.facts.name(media_id), self.catalogue.index
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
