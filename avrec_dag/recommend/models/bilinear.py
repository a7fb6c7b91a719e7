"""Likeness of content as behaviour teaches it: which content goes with which in histories, a matrix between content vectors."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.content import Content, ContentSettings
from avrec_dag.recommend.models.files import pack, unpack
from avrec_dag.recommend.models.histories import checked, liked_events
from avrec_dag.recommend.models.weighing import COLD_AT

_BATCH = 4096
"""So many people's sums of vectors are held at once."""


@dataclass(frozen=True)
class BilinearSettings(ContentSettings):
    """How a profile is made, as for `Content`, and what the matrix is learned from.

    Attributes:
        ridge: Penalty, in mean eigenvalues of the vectors' Gram matrix, so that it means the same for few items and many, few dimensions
            and many.
        people: It is learned from so many people at most, drawn at random; it has d x d entries, whatever the number of items.
    """

    ridge: float = 1.0
    people: int = 20_000


class Bilinear(Content):
    """The product p' M v of the profile p of a person, as `Content` makes it, and an item's vector v.

    Of the items that more than `COLD_AT` people liked, with vectors V (n, d) and cosines C (n, n) of who liked them (zeros on the
    diagonal), M minimises ||C - V M V'|| with a ridge penalty on either side: M = A C A', A = (V'V + l)^-1 V'. C is never formed. What
    sets content apart that the same people like counts for more than a plain cosine lets it, and what tells nothing of taste (wording, a
    style of picture) for less; what is learned on known items holds for one that nobody has met.

    Args:
        settings: See `BilinearSettings`.
    """

    name: ClassVar[str] = "bilinear"
    source: ClassVar[str] = "a bilinear form of features by ridge regression: Park and Chu, 'Pairwise Preference Regression', RecSys 2009"

    def __init__(self, settings: BilinearSettings = BilinearSettings()) -> None:
        if not settings.ridge > 0 or settings.people < 1:
            raise ModelError(f"bilinear: {settings} cannot work: ridge above 0, people at least 1")
        super().__init__(settings)
        self.learning = settings
        self.matrix = np.zeros((0, 0), np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit`; without vectors nothing is learned and every score is 0."""
        vectors, likes = self.vectors(data).astype(np.float64), liked_events(checked(data)).liked
        counts = np.bincount(likes.indices, minlength=len(data.items))
        known = np.where((counts > COLD_AT)[:, None], vectors, 0.0)
        gram = known.T @ known
        mean = np.trace(gram) / max(len(gram), 1)
        if mean <= 0:
            self.matrix = np.zeros((vectors.shape[1],) * 2, np.float32)
            return
        together = self._together(likes, counts, known, np.random.default_rng([seed, 17]))
        inverse = np.linalg.inv(gram + self.learning.ridge * mean * np.eye(len(gram)))
        self.matrix = (inverse @ together @ inverse).astype(np.float32)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """The same: it takes a bounded number of people, and no longer than their likes times d."""
        self.fit(data, seed=seed)

    def _together(
        self, likes: sp.csr_matrix, counts: NDArray[np.int64], known: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """V' C V (d, d), by sums over people less the diagonal."""
        people = likes.shape[0]
        some = np.sort(rng.choice(people, min(people, self.learning.people), replace=False))
        chosen = sp.csr_matrix(likes[some])
        chosen.data = np.ones(chosen.nnz)
        scaled = sp.csr_matrix(chosen @ sp.diags(np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0.0)))
        total = -(known.T * np.asarray(scaled.power(2).sum(axis=0)).ravel()) @ known
        for start in range(0, len(some), _BATCH):
            sums = np.asarray(sp.csr_matrix(scaled[start : start + _BATCH]) @ known)
            total += sums.T @ sums
        return total

    def towards(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) float32 -> (n, d): what each item, in a profile, looks for in others.

        Raises:
            ModelError: It was fitted on vectors of another length.
        """
        if len(self.matrix) != vectors.shape[1] and self.matrix.any() and vectors.shape[1] > 1:
            said = f"it was fitted on vectors of {len(self.matrix)} numbers and is given {vectors.shape[1]}"
            raise ModelError(f"scoring by content with the model `bilinear`: {said}; fit it again")
        return vectors @ self.matrix if len(self.matrix) == vectors.shape[1] else np.zeros_like(vectors)

    def save(self) -> Files:
        """See `Model.save`: the settings and the matrix, and no items, as any may be scored."""
        return pack(self.name, self.learning, (), {"matrix": self.matrix})

    @classmethod
    def load(cls, files: Files) -> Self:
        """See `Model.load`; ModelError where the files are not such a model's."""
        read = unpack(files, cls.name)
        model = cls(read.settings(BilinearSettings))
        matrix = read.array("matrix", np.float32, (None, None))
        if matrix.shape[0] != matrix.shape[1]:
            raise read.refused(f"the matrix is {matrix.shape}, and should be square")
        model.matrix = matrix
        return model
