"""EASE: a person's likes regressed on their other likes, in closed form."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models import files, learned, regression, restricted, top
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.gram import cleared
from avrec_dag.recommend.models.histories import checked, chosen, recent


@dataclass(frozen=True)
class EaseSettings:
    """What is regressed on what.

    Attributes:
        l2: Ridge penalty, above 0.
        recency: Every event of a person counts so much less than the next newer one at scoring, in (0, 1]; 1: all the same.
        sources: Weights towards one item come from at most so many others, where there are more than `exact_items` items.
        exact_items: Up to so many items one dense system is solved instead.
    """

    l2: float = 100.0
    recency: float = 0.8
    sources: int = 48
    exact_items: int = 6000


class Ease:
    """The linear autoencoder without a diagonal, from a running Gram matrix; order is nothing to it but at scoring."""

    name: ClassVar[str] = "ease"
    source: ClassVar[str] = "Steck, 'Embarrassingly Shallow Autoencoders for Sparse Data', WWW 2019"

    def __init__(self, settings: EaseSettings = EaseSettings()) -> None:
        if settings.l2 <= 0 or not 0 < settings.recency <= 1 or settings.sources < 1:
            raise ModelError(f"ease: {settings} cannot work: l2 above 0, recency in (0, 1], at least one source")
        self.settings = settings
        self.learned = learned.nothing()
        self.gram = sp.csr_matrix((0, 0))
        self.weights = sp.csr_matrix((0, 0), dtype=np.float32)

    @property
    def items(self) -> tuple[str, ...]:
        """What the columns are."""
        return self.learned.items

    def fit(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002 (nothing is drawn)
        """See `Model.fit`."""
        self.learned = learned.remembered(checked(data))
        self.gram = _gram(self.learned)
        self.weights = self._solved()

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit_partial`: what histories that changed gave to the Gram matrix is exchanged; the result is that of `fit`."""
        now = learned.remembered(checked(data))
        if data.items[: len(self.items)] != self.items:
            self.fit(data, seed=seed)
            return
        gone, come = learned.changed(replace(self.learned, items=data.items), now)
        if len(gone) or len(come) or len(data.items) > len(self.items):
            self.gram.resize(len(data.items), len(data.items))
            self.gram = cleared(self.gram - _gram(gone) + _gram(come))
            self.learned = now
            self.weights = self._solved()

    def _solved(self) -> sp.csr_matrix:
        settings, lower = self.settings, sp.csr_matrix(sp.tril(self.gram))
        if len(self.items) <= settings.exact_items:
            return regression.autoencoder(lower, l2=settings.l2)
        others = sp.csr_matrix(self.gram - sp.diags_array(self.gram.diagonal()))
        others.eliminate_zeros()

        def towards(start: int, end: int) -> sp.csc_matrix:
            return sp.csc_matrix(sp.csr_matrix(others[start:end]).transpose())  # its columns are its rows

        return restricted.solve(lower, towards, l2=settings.l2, sources=settings.sources)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`."""
        rows = recent(checked(histories, self.items), self.settings.recency)
        return chosen(np.asarray((rows @ self.weights).toarray(), np.float32), candidates)

    def top(self, histories: Interactions, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best `k` items that each has not met, and their scores, as `top.best` gives them."""
        return top.best(recent(checked(histories, self.items), self.settings.recency, met=True), self.weights, k)

    def save(self) -> Files:
        """See `Model.save`."""
        sums = {"weights": self.weights, "gram": self.gram}
        return files.pack(self.name, self.settings, self.items, {**sums, **learned.arrays(self.learned)})

    @classmethod
    def load(cls, stored: Files) -> Self:
        """See `Model.load`; ModelError where the files are not such a model's."""
        read = files.unpack(stored, cls.name)
        model, shape = cls(read.settings(EaseSettings)), (len(read.items), len(read.items))
        model.learned, model.gram = learned.read(read), read.sparse("gram", np.float64, shape)
        model.weights = read.sparse("weights", np.float32, shape)
        return model


def _gram(people: Interactions) -> sp.csr_matrix:
    liked = people.liked.astype(np.float64)
    return sp.csr_matrix(liked.T @ liked)
