"""Item-kNN: what the people who liked the one also liked."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models import files, top
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.histories import checked, chosen, recent


@dataclass(frozen=True)
class ItemKnnSettings:
    """How alike items are, and who counts.

    Attributes:
        similarity: "cosine" or "bm25".
        neighbours: How many are kept per item.
        recency: Every event of a person counts so much less than the next newer one at scoring, in (0, 1]; 1: all the same.
    """

    similarity: str = "cosine"
    neighbours: int = 200
    recency: float = 0.8


class ItemKnn:
    """Neighbourhoods of items, found by `implicit`, which multiplies sparse matrices on all cores and keeps the best of each row."""

    name: ClassVar[str] = "item_knn"
    source: ClassVar[str] = (
        "Deshpande and Karypis, 'Item-based top-N recommendation algorithms', TOIS 2004; "
        "BM25: Robertson and Walker, SIGIR 1994; by `implicit`"
    )

    def __init__(self, settings: ItemKnnSettings = ItemKnnSettings()) -> None:
        if settings.similarity not in ("cosine", "bm25") or settings.neighbours < 1 or not 0 < settings.recency <= 1:
            raise ModelError(f"item_knn: {settings} cannot work: cosine or bm25, at least one neighbour, recency in (0, 1]")
        self.settings = settings
        self.items: tuple[str, ...] = ()
        self.similar = sp.csr_matrix((0, 0), dtype=np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002 (nothing is drawn)
        """See `Model.fit`."""
        liked = checked(data).liked
        self.items, n = data.items, len(data.items)
        self.similar = self._neighbours(liked) if liked.nnz else sp.csr_matrix((n, n), dtype=np.float32)

    def _neighbours(self, liked: sp.csr_matrix) -> sp.csr_matrix:
        from implicit.nearest_neighbours import all_pairs_knn, bm25_weight, normalize

        weigh = normalize if self.settings.similarity == "cosine" else bm25_weight
        weighted = sp.csr_matrix(weigh(liked.T.astype(np.float64)).T)
        kept = self.settings.neighbours + 1  # an item is a neighbour of its own, which says nothing
        similar = sp.coo_matrix(all_pairs_knn(weighted, kept, show_progress=False))
        others = (similar.row != similar.col) & (similar.data > 0)
        at = (similar.row[others], similar.col[others])
        return sp.csr_matrix((similar.data[others].astype(np.float32), at), shape=similar.shape)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit_partial`: every length changes with one more like, so neighbours are found anew: no fit is cheaper."""
        self.fit(data, seed=seed)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`."""
        rows = recent(checked(histories, self.items), self.settings.recency)
        return chosen(np.asarray((rows @ self.similar).toarray(), np.float32), candidates)

    def top(self, histories: Interactions, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best `k` items that each has not met, and their scores, as `top.best` gives them."""
        return top.best(recent(checked(histories, self.items), self.settings.recency, met=True), self.similar, k)

    def save(self) -> Files:
        """See `Model.save`."""
        return files.pack(self.name, self.settings, self.items, {"similar": self.similar})

    @classmethod
    def load(cls, stored: Files) -> Self:
        """See `Model.load`; ModelError where the files are not such a model's."""
        read = files.unpack(stored, cls.name)
        model = cls(read.settings(ItemKnnSettings))
        model.items, model.similar = read.items, read.sparse("similar", np.float32, (len(read.items), len(read.items)))
        return model
