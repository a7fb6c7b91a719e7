"""ALS: taste and items as short vectors whose products are the likes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models import files
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.histories import checked, recent


@dataclass(frozen=True)
class AlsSettings:
    """What is factorised, and how finely.

    Attributes:
        factors: Length of a vector.
        regularization: Ridge penalty on both sides, above 0.
        alpha: How much surer a like makes than no like.
        iterations: Of `fit`.
        recency: Every event of a person counts so much less than the next newer one, in (0, 1]; 1: all the same.
    """

    factors: int = 128
    regularization: float = 0.1
    alpha: float = 10.0
    iterations: int = 15
    recency: float = 1.0


class Als:
    """Implicit-feedback matrix factorisation by `implicit`; people are folded in when they are scored, so nobody has to be known."""

    name: ClassVar[str] = "als"
    source: ClassVar[str] = "Hu, Koren and Volinsky, 'Collaborative Filtering for Implicit Feedback Datasets', ICDM 2008; by `implicit`"

    def __init__(self, settings: AlsSettings = AlsSettings()) -> None:
        good = min(settings.factors, settings.iterations) >= 1 and min(settings.regularization, settings.alpha) > 0
        if not good or not 0 < settings.recency <= 1:
            raise ModelError(f"als: {settings} cannot work: everything above 0, recency at most 1")
        self.settings = settings
        self.items: tuple[str, ...] = ()
        self.factors = np.zeros((0, settings.factors), np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit`."""
        liked = recent(checked(data), self.settings.recency)
        self.items, self.factors = data.items, np.zeros((len(data.items), self.settings.factors), np.float32)
        if liked.nnz:
            with _one_blas_thread():
                solver = self._solver(seed)
                solver.fit(liked, show_progress=False)
            self.factors = np.asarray(solver.item_factors, np.float32)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit_partial`: people are folded in with the items as they are, then items with the people, exactly each."""
        if not self.factors.any():
            self.fit(data, seed=seed)
            return
        liked = recent(checked(data), self.settings.recency)
        added = np.zeros((len(data.items) - len(self.items), self.settings.factors), np.float32)
        self.items, self.factors = data.items, np.concatenate([self.factors, added])
        with _one_blas_thread():
            solver = self._solver(seed)
            solver.item_factors = self.factors
            solver.user_factors = solver.recalculate_user(np.arange(liked.shape[0]), liked)
            self.factors = solver.recalculate_item(np.arange(liked.shape[1]), sp.csr_matrix(liked.T))

    def _solver(self, seed: int) -> Any:
        from implicit.cpu.als import AlternatingLeastSquares

        names = ("factors", "regularization", "alpha", "iterations")
        return AlternatingLeastSquares(**{name: getattr(self.settings, name) for name in names}, random_state=seed)

    def folded(self, histories: Interactions) -> NDArray[np.float32]:
        """(users, factors): the vector of each person, solved for with the items held still; zeros for somebody who likes nothing."""
        liked = recent(checked(histories, self.items), self.settings.recency)
        if not liked.nnz:
            return np.zeros((liked.shape[0], self.settings.factors), np.float32)
        with _one_blas_thread():
            solver = self._solver(0)
            solver.item_factors = self.factors
            return solver.recalculate_user(np.arange(liked.shape[0]), liked)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`."""
        wanted = self.factors if candidates is None else self.factors[candidates]
        return np.asarray(self.folded(histories) @ wanted.T, np.float32)

    def save(self) -> Files:
        """See `Model.save`."""
        return files.pack(self.name, self.settings, self.items, {"factors": self.factors})

    @classmethod
    def load(cls, stored: Files) -> Self:
        """See `Model.load`; ModelError where the files are not such a model's."""
        read = files.unpack(stored, cls.name)
        model = cls(read.settings(AlsSettings))
        model.items, model.factors = read.items, read.array("factors", np.float32, (len(read.items), model.settings.factors))
        return model


def _one_blas_thread() -> Any:
    # implicit runs threads of its own, each calling BLAS: more of BLAS's would get in each other's way (its own documentation).
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")
