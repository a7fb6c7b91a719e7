"""Likeness of content: a person is the weighted mean of the items they met, disliked ones counting against."""

import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.index.nearest import products
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.histories import places

_FILE = "content.json"
_NONE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class ContentSettings:
    """How a profile is made.

    Attributes:
        disliked: How much a disliked item counts beside one liked as strongly. On made people, who dislike what is not to their taste
            at random, more loses accuracy (NDCG@10 of content alone 0.45 at 0.25, 0.42 at 1) and less makes dislikes unfelt.
        recency: How much an event counts beside the one after it, in (0, 1]; 1 forgets nothing.
    """

    disliked: float = 0.25
    recency: float = 1.0


def centred(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (n, d) less their mean, unit length again, float32: what all items share says nothing about taste.

    A row of zeros is an item of which nothing is known: it takes no part in the mean and stays zero.
    """
    told = np.linalg.norm(vectors, axis=1) > 1e-6
    moved = (vectors - vectors.sum(axis=0) / max(int(told.sum()), 1)).astype(np.float32, copy=False)
    norms = np.linalg.norm(moved, axis=1)
    known = told & (norms > 1e-6)
    moved /= np.where(known, norms, 1)[:, None]
    moved[~known] = 0.0
    return moved


class Content:
    """The cosine between an item and the profile of a person.

    Nothing is learned: the vectors come with the histories to score, so that an item is known the moment it has one, and a model file
    holds settings only.

    Args:
        settings: See `ContentSettings`.
    """

    name: ClassVar[str] = "content"
    source: ClassVar[str] = "Rocchio, Relevance feedback in information retrieval, 1971 (profile as a weighted mean)"
    any_items: ClassVar[bool] = True

    def __init__(self, settings: ContentSettings | None = None) -> None:
        self.settings = settings or ContentSettings()
        self._centred: tuple[NDArray[np.float32], NDArray[np.float32]] = (_NONE, _NONE)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002 - nothing is drawn
        """Learn nothing; the vectors are centred ahead of the first question."""
        self.vectors(data)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002 - nothing is drawn
        """The same."""
        self.vectors(data)

    def vectors(self, data: Interactions) -> NDArray[np.float32]:
        """(items, d) float32 centred vectors of these items; computed once for one array; (items, 1) zeros where there are none."""
        return np.zeros((len(data.items), 1), np.float32) if data.vectors is None else self.centred(data.vectors)

    def centred(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the function; computed once for one array, and not to be written to."""
        given, found = self._centred
        if given is not vectors:
            found = centred(vectors)
            self._centred = (vectors, found)
        return found

    def towards(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) float32 centred vectors -> (n, d): what each, in a profile, looks for in others; here itself."""
        return vectors

    def profiles(self, data: Interactions) -> NDArray[np.float32]:
        """(users, d) float32: what each person looks for; the score of an item is its product with the item's vector."""
        vectors, shares = self.vectors(data), self.shares(data)
        if len(data.users) == 1:
            return self.towards((shares @ vectors[data.columns])[None, :])
        rows = sp.csr_matrix((shares, data.columns, data.indptr), shape=(len(data.users), len(data.items)))
        return self.towards(np.asarray(rows @ vectors, np.float32))

    def shares(self, data: Interactions) -> NDArray[np.float32]:
        """What each event adds to the profile of its person: (events,), signed as the weights, magnitudes summing to 1 per person."""
        counted = np.where(data.weights < 0, self.settings.disliked * data.weights, data.weights).astype(np.float64)
        if self.settings.recency < 1.0:
            counted *= self.settings.recency ** places(data)
        size = np.abs(counted)
        alone = len(data.users) == 1
        sums = np.full(len(size), size.sum()) if alone else np.bincount(data.rows, size, minlength=len(data.users))[data.rows]
        return np.divide(counted, sums, out=np.zeros_like(counted), where=sums > 0).astype(np.float32)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`; the items may be any, as long as the histories bring their vectors."""
        vectors, profiles = self.vectors(histories), self.profiles(histories)
        if candidates is not None and len(profiles) == 1:
            return products(vectors, candidates, profiles[0])[None, :]
        return np.asarray(profiles @ (vectors if candidates is None else vectors[candidates]).T, dtype=np.float32)

    def save(self) -> Files:
        """content.json: the settings."""
        return {_FILE: json.dumps(asdict(self.settings)).encode()}

    @classmethod
    def load(cls, files: Files) -> Self:
        """The inverse of `save`."""
        return cls(ContentSettings(**json.loads(files[_FILE])))
