"""Finding items by what they hold: like one item, or by words, pictures, sounds and clips; re-ranked by taste where somebody asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import SettingError
from avrec_dag.recommend import words
from avrec_dag.recommend.answers import Found
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.explain import Reason
from avrec_dag.recommend.matching import Matches, match
from avrec_dag.recommend.queries import Query, Vector
from avrec_dag.recommend.settings import K

if TYPE_CHECKING:
    from avrec_dag.encoders.joint import JointSpace

POOL = 200
"""So many of the items that fit best are re-ranked by taste."""


@dataclass(frozen=True)
class Taste:
    """Whose taste re-ranks an answer.

    Attributes:
        weight: In [0, 1]: 0 leaves the order to the match, 1 to the taste.
        relevance: (r,) rows -> (r,) how well each suits the person (`Recommender.relevance`).
        why: (r,) rows -> why.
    """

    weight: float
    relevance: Callable[[NDArray[np.int64]], NDArray[np.floating]]
    why: Callable[[NDArray[np.int64]], Sequence[Reason]]

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0:
            raise ValueError(f"taste must lie in [0, 1], found {self.weight}")


@dataclass(frozen=True)
class Searcher:
    """Search over one catalogue.

    Attributes:
        catalogue: The items.
    """

    catalogue: Catalogue

    def similar(self, media_id: str, k: int = K) -> list[Found]:
        """The items most like this one in picture, sound and words, each with its likest moment; MissingError for an unknown one."""
        name, index = self.catalogue.facts.name(media_id), self.catalogue.index
        found = index.similar(media_id, k)
        joint = index.joint_of(media_id)
        asked = joint if joint.any() else None
        return [
            Found(other, score, f"its content is like {name}", (media_id,), self.catalogue.moments.best(other, asked))
            for other, score in found
        ]

    def search(self, query: Query, k: int = K, taste: Taste | None = None) -> list[Found]:
        """The items that fit best, each with its best moment: by meaning, by likeness to the examples, raised by exact words.

        What was said and what stood on the screen counts as well as title, tags and description, as far as one moment holds it. A query
        that asks for nothing finds nothing. With a taste, the `POOL` best that lie above the threshold of `Matches` change places
        among each other alone, by (1 - weight) z(match) + weight z(relevance), both standardised over the pool.

        Args:
            query: What is looked for.
            k: At most so many.
            taste: Whose taste re-ranks them.
        """
        if query.empty or not self.catalogue.index.items:
            return []
        joint = query.joint(self._of_text)
        matches = match(self.catalogue, query, joint, max(k, POOL))
        if taste is None or not taste.weight:
            order, scores = np.arange(len(matches.rows))[:k], matches.scores
            return self._told(query, joint, matches, order, scores, None)
        order, scores = _retasted(matches, taste, k)
        return self._told(query, joint, matches, order, scores, taste)

    def _told(
        self,
        query: Query,
        joint: Vector | None,
        matches: Matches,
        order: NDArray[np.int64],
        scores: NDArray[np.float64],
        taste: Taste | None,
    ) -> list[Found]:
        moments = self.catalogue.moments
        named = moments.named(words.asked(query.text)) if query.text.strip() else None
        rows = [int(matches.rows[at]) for at in order]
        suits: Sequence[Reason | None] = taste.why(np.array(rows, np.int64)) if taste is not None else [None] * len(rows)
        answer = []
        for row, at, suit in zip(rows, order, suits, strict=True):
            media_id = self.catalogue.index.items[row]
            moment = moments.best(media_id, joint, named, words.BOOST)
            reason = matches.reason(at) if suit is None else f"{matches.reason(at)}; {suit.text}"
            answer.append(Found(media_id, float(scores[at]), reason, suit.causes if suit else (), moment))
        return answer

    def _of_text(self, text: str) -> Vector:
        """The words in the space that the index is in; SettingError as for `_space`."""
        return self._space.text([text])[0]

    @cached_property
    def _space(self) -> "JointSpace":
        """That of the index.

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
        return space


def _retasted(matches: Matches, taste: Taste, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The order of the matches with the pool re-ranked, and their scores: in the pool the blend in units of the match, then the match."""
    pool = np.flatnonzero(matches.scores[:POOL] >= matches.threshold)
    fits, suits = _standardised(matches.scores[pool]), _standardised(taste.relevance(matches.rows[pool]))
    blended = (1 - taste.weight) * fits + taste.weight * suits
    scores = matches.scores.copy()
    scores[pool] = np.maximum(scores[pool].mean() + scores[pool].std() * blended, matches.threshold) if len(pool) else scores[pool]
    first = pool[np.lexsort((pool, -blended))]
    return np.concatenate([first, np.arange(len(pool), len(scores))])[:k], scores


def _standardised(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean 0 and deviation 1; zeros where all are equal."""
    moved = np.asarray(values, np.float64) - (np.mean(values) if len(values) else 0.0)
    spread = float(moved.std()) if len(moved) else 0.0
    return moved / spread if spread > 1e-9 else np.zeros_like(moved)
