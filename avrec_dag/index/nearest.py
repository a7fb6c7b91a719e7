"""The rows of a matrix nearest to a vector: all of them compared, or found through an inverted file."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError

MOST_EXACT = 50_000
"""Rows up to which every one is compared; `bench/index.py` measures what the inverted file saves above."""
LISTS_PER_ROOT = 4
"""Lists for each root of the number of rows, as faiss's own guidelines have it."""
RECALL, TRIALS = 0.98, 64
"""So many of the 10 nearest must be found of trial queries: twice `TRIALS`, rows and the middles of two rows, which lie between lists."""
CANDIDATES_PER_RESULT, LEAST_CANDIDATES = 4, 64
"""Found by 8-bit codes for each row wanted, then compared by their vectors."""
_TRAINED_PER_LIST, _ITERATIONS = 64, 10
Rows, Scores, Vectors = NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]


def exact(vectors: Vectors, query: Vectors, k: int) -> tuple[Rows, Scores]:
    """The k rows with the largest inner products, best first.

    Args:
        vectors: float32 (n, d), in memory or mapped.
        query: float32 (d,).
        k: At most so many.
    """
    import faiss

    k = min(k, len(vectors))
    if k < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    asked = np.ascontiguousarray(query[None, :], dtype=np.float32)
    scores, rows = faiss.knn(asked, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
    return rows[0], scores[0]


def products(vectors: Vectors, rows: Rows, query: Vectors) -> Scores:
    """(r,) float32 inner products of some rows with a vector, read where they lie: copying them first takes twice as long.

    Args:
        vectors: float32 (n, d), in memory or mapped.
        rows: (r,) each in [0, n).
        query: float32 (d,).
    """
    from faiss import swig_ptr, swigfaiss

    at, asked = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(query, np.float32)
    if not len(at):
        return np.zeros(0, np.float32)
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        return np.asarray(vectors[at] @ asked, np.float32)
    if not 0 <= int(at.min()) <= int(at.max()) < len(vectors) or len(asked) != vectors.shape[1]:
        raise IndexError(f"{len(at)} rows and a query of {len(asked)} numbers do not fit vectors of shape {vectors.shape}")
    found = np.empty(len(at), np.float32)
    into, given = swig_ptr(found), (swig_ptr(asked), swig_ptr(vectors), swig_ptr(at))
    swigfaiss.fvec_inner_products_by_idx(into, given[0], given[1], given[2], len(asked), 1, len(at))
    return found


@dataclass(frozen=True)
class InvertedFile:
    """Rows in lists around centres, in 8 bits a number: codes make a short list, which is compared by the vectors themselves.

    After Jégou et al., "Searching in one billion vectors: re-rank with source coding", ICASSP 2011.

    Attributes:
        index: faiss's IndexIVFScalarQuantizer over those rows of `vectors` that are not zero.
        vectors: float32 (n, d) of unit length, in memory or mapped.
    """

    index: Any
    vectors: Vectors

    @classmethod
    def build(cls, vectors: Vectors, *, seed: int = 0) -> "InvertedFile":
        """Train the centres on a sample, file every row, and find out how many lists a search must look through.

        Args:
            vectors: float32 (n, d) of unit length; rows of zeros are in no list.
            seed: Of the sample and the first centres.
        """
        import faiss

        filed = np.flatnonzero(vectors.any(axis=1))
        n_lists = max(1, min(int(LISTS_PER_ROOT * len(filed) ** 0.5), len(filed) // 8))
        dim = vectors.shape[1]
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dim), dim, n_lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.seed, index.cp.niter = seed, _ITERATIONS
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _TRAINED_PER_LIST
        sample = np.sort(np.random.default_rng(seed).permutation(filed)[: n_lists * _TRAINED_PER_LIST])
        index.train(np.ascontiguousarray(vectors[sample]))
        for start in range(0, len(filed), 1 << 14):
            rows = filed[start : start + (1 << 14)]
            index.add_with_ids(np.ascontiguousarray(vectors[rows]), rows)
        found = cls(index, vectors)
        found._probe_enough(np.random.default_rng([seed, 1]).choice(filed, (2, TRIALS)))
        return found

    def _probe_enough(self, pairs: Rows) -> None:
        """Set how many lists a search looks through: doubled until the trial queries find what comparing every row finds.

        Args:
            pairs: (2, t) rows.
        """
        middles = self.vectors[pairs[0]] + self.vectors[pairs[1]]
        queries = np.concatenate([self.vectors[pairs[0]], middles / np.linalg.norm(middles, axis=1, keepdims=True).clip(1e-12)])
        truth = [set(exact(self.vectors, query, 10)[0].tolist()) for query in queries]
        nothing = np.zeros(0, np.int64)
        self.index.nprobe = min(8, self.index.nlist)
        while self.index.nprobe < self.index.nlist:
            hits = [len(best & set(self.nearest(query, 10, nothing)[0].tolist())) for best, query in zip(truth, queries, strict=True)]
            if np.sum(hits) >= RECALL * sum(map(len, truth)):
                return
            self.index.nprobe = min(2 * self.index.nprobe, self.index.nlist)

    def content(self) -> bytes:
        """The file that `opened` reads."""
        import faiss

        return faiss.serialize_index(self.index).tobytes()

    @classmethod
    def opened(cls, content: Path | bytes, vectors: Vectors) -> "InvertedFile":
        """An inverted file over these vectors, mapped where it is a file on this machine.

        faiss trusts what it reads: call this only with bytes whose hash is known.

        Raises:
            AvrecError: It is none, or one of other vectors.
        """
        import faiss

        try:
            if isinstance(content, Path):
                index = faiss.read_index(str(content), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
            else:
                index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        except RuntimeError as error:
            raise AvrecError(f"the inverted file cannot be read ({str(error)[:200]})") from error
        if not isinstance(index, faiss.IndexIVFScalarQuantizer) or index.d != vectors.shape[1] or index.ntotal > len(vectors):
            raise AvrecError(f"the inverted file is not one of {len(vectors)} vectors of {vectors.shape[1]} numbers")
        kept: Any = index.invlists
        lists = faiss.downcast_InvertedLists(kept)
        if isinstance(lists, faiss.OnDiskInvertedLists):
            # Else every search starts a thread for each list it probes, to have the disk read ahead: twice the time of the search
            # where the file is in memory, and twenty times on a machine whose cores are busy.
            lists.prefetch_nthread = 0
        return cls(index, vectors)

    def nearest(self, query: Vectors, k: int, left_out: Rows) -> tuple[Rows, Scores]:
        """As `exact`, without the rows `left_out`; of the rows filed, nearly all of the k nearest (`bench/index.py`)."""
        rows = self.coarse(query, max(LEAST_CANDIDATES, CANDIDATES_PER_RESULT * k), left_out)
        scores = products(self.vectors, rows, query)
        order = np.argsort(-scores, kind="stable")[:k]
        return rows[order], scores[order]

    def coarse(self, query: Vectors, k: int, left_out: Rows) -> Rows:
        """The k rows nearest by their codes, for who compares them himself."""
        import faiss

        asked, chosen, wanted = np.ascontiguousarray(query[None, :], dtype=np.float32), None, max(1, min(k, self.index.ntotal))
        selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(left_out)) if len(left_out) else None  # held while faiss looks at it
        if selector is not None or k >= self.index.ntotal:
            chosen = faiss.SearchParametersIVF()
            # Where all of the rows are wanted, lists save nothing.
            chosen.nprobe = self.index.nprobe if k < self.index.ntotal else self.index.nlist
            chosen.sel = selector
        _, found = self.index.search(asked, wanted, params=chosen)
        return found[0][(found[0] >= 0) & (found[0] < len(self.vectors))]


@dataclass(frozen=True)
class Neighbours:
    """One space of a stored index.

    Attributes:
        vectors: float32 (n, d).
        filed: Its inverted file; None: every row is compared.
    """

    vectors: Vectors
    filed: InvertedFile | None = None

    @cached_property
    def placed(self) -> NDArray[np.bool_]:
        """(n,): which rows are not zero."""
        return np.asarray(self.vectors.any(axis=1))

    def nearest(self, query: Vectors, k: int, left_out: Rows) -> tuple[Rows, Scores]:
        """The k rows nearest to a vector, best first, without some rows and without rows of zeros."""
        if k < 1 or not len(self.vectors):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if self.filed is not None:
            return self.filed.nearest(query, k, left_out)
        n_zero = len(self.vectors) - int(np.count_nonzero(self.placed))
        rows, scores = exact(self.vectors, query, k + len(left_out) + n_zero)
        kept = self.placed[rows] & ~np.isin(rows, left_out)
        return rows[kept][:k], scores[kept][:k]

    def coarse(self, query: Vectors, k: int, left_out: Rows) -> Rows:
        """About the k nearest rows, by codes where there are any."""
        return self.nearest(query, k, left_out)[0] if self.filed is None or k < 1 else self.filed.coarse(query, k, left_out)
