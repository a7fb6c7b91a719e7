"""The models of the present recommender behind the protocol: popularity, EASE and likeness of content, each alone."""

import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend import content, linear
from avrec_dag.recommend.models.base import Files, Interactions


def _packed(arrays: dict[str, np.ndarray], settings: object) -> Files:
    from safetensors.numpy import save

    return {"model.safetensors": save(arrays), "model.json": json.dumps(asdict(settings)).encode()}  # type: ignore[call-overload]


def _unpacked(files: Files) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    from safetensors.numpy import load

    return load(files["model.safetensors"]), json.loads(files["model.json"])


def _columns(scores: NDArray[np.float32], candidates: NDArray[np.int64] | None) -> NDArray[np.float32]:
    return scores if candidates is None else scores[:, candidates]


@dataclass(frozen=True)
class PopularitySettings:
    """half_life_days: an event counts half for every so many days before the newest one; 0: all count the same."""

    half_life_days: float = 0.0


class Popularity:
    """Everyone gets what most people like."""

    name: ClassVar[str] = "popularity"
    source: ClassVar[str] = "counting"

    def __init__(self, settings: PopularitySettings = PopularitySettings()) -> None:
        self.settings = settings
        self.counts = np.empty(0, np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Count."""
        del seed
        weights = np.maximum(data.weights, 0.0).astype(np.float64)
        if self.settings.half_life_days:
            weights *= 0.5 ** ((data.at_s.max(initial=0.0) - data.at_s) / (86400.0 * self.settings.half_life_days))
        self.counts = np.bincount(data.columns, weights=weights, minlength=len(data.items)).astype(np.float32)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """Count anew: nothing is cheaper."""
        self.fit(data, seed=seed)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """The same for everybody."""
        return _columns(np.repeat(self.counts[None, :], len(histories.users), axis=0), candidates)

    def save(self) -> Files:
        """model.safetensors and model.json."""
        return _packed({"counts": self.counts}, self.settings)

    @classmethod
    def load(cls, files: Files) -> Self:
        """The inverse of `save`."""
        arrays, settings = _unpacked(files)
        model = cls(PopularitySettings(**settings))
        model.counts = arrays["counts"]
        return model


@dataclass(frozen=True)
class EaseSettings:
    """l2: ridge penalty."""

    l2: float = 10.0


class Ease:
    """A linear model from items to items, see `linear`."""

    name: ClassVar[str] = "ease"
    source: ClassVar[str] = "Steck, WWW 2019"

    def __init__(self, settings: EaseSettings = EaseSettings()) -> None:
        self.settings = settings
        self.weights = sp.csr_matrix((0, 0), dtype=np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Solve in closed form."""
        del seed
        self.weights = linear.fit(data.liked, l2=self.settings.l2)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """Solve anew."""
        self.fit(data, seed=seed)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Liked items times weights."""
        return _columns(np.asarray((histories.liked @ self.weights).toarray(), np.float32), candidates)

    def save(self) -> Files:
        """model.safetensors and model.json."""
        weights = self.weights
        shape = np.array(weights.shape, np.int64)
        arrays = {"data": weights.data, "indices": weights.indices, "indptr": weights.indptr, "shape": shape}
        return _packed(arrays, self.settings)

    @classmethod
    def load(cls, files: Files) -> Self:
        """The inverse of `save`."""
        arrays, settings = _unpacked(files)
        model = cls(EaseSettings(**settings))
        model.weights = sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
        return model


@dataclass(frozen=True)
class ContentSettings:
    """Nothing to set."""


class Content:
    """Likeness of every item to what a person met, see `content`."""

    name: ClassVar[str] = "content"
    source: ClassVar[str] = "Rocchio 1971"

    def __init__(self, settings: ContentSettings = ContentSettings()) -> None:
        self.settings = settings
        self.vectors = np.empty((0, 0), np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Centre the vectors."""
        del seed
        vectors = np.zeros((len(data.items), 1), np.float32) if data.vectors is None else data.vectors
        self.vectors = content.centred(vectors)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """Centre the vectors anew."""
        self.fit(data, seed=seed)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Cosines with the weighted mean of the history."""
        return _columns(content.score(histories.liked, self.vectors), candidates)

    def save(self) -> Files:
        """model.safetensors and model.json."""
        return _packed({"vectors": self.vectors}, self.settings)

    @classmethod
    def load(cls, files: Files) -> Self:
        """The inverse of `save`."""
        arrays, settings = _unpacked(files)
        model = cls(ContentSettings(**settings))
        model.vectors = arrays["vectors"]
        return model
