"""One space for text, pictures and sound without a model trained on pairs: ConSE.

A picture or sound stands where the names of its classes stand, weighted by their probabilities (Norouzi et al., "Zero-Shot
Learning by Convex Combination of Semantic Embeddings", ICLR 2014). The text encoder knows many languages, so any of them finds it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.base import Matrix, unit_rows
from avrec_dag.encoders.cache import cached
from avrec_dag.encoders.packaged.image import imagenet_names

TOP = 10
"""Classes of an item that count; those after them have hardly any probability, but add noise."""


@dataclass(frozen=True)
class JointSpace:
    """The space of one text encoder, moved so that the mean of the ImageNet class names is its origin.

    Taking the mean off matters: texts share a large common part, which would make everything like everything else.

    Attributes:
        text_encoder: Name of the encoder in the registry.
    """

    text_encoder: str = "use-multilingual"

    def text(self, texts: Sequence[str]) -> Matrix:
        """Texts in any language that the encoder knows -> float32 (n, d), unit length (512 numbers for the packaged encoder)."""
        return self.placed(registry.load(self.text_encoder).encode(texts))

    def placed(self, vectors: Matrix) -> Matrix:
        """The same from what the text encoder made of the texts: float32 (n, d) -> float32 (n, d), unit length."""
        return unit_rows(vectors - _origin(self.text_encoder))

    def from_classes(self, names: Sequence[str], probs: NDArray[np.floating]) -> Matrix | None:
        """Where an item stands that shows or sounds like these classes.

        Args:
            names: The tagger's classes.
            probs: Their probabilities (n_classes,) in [0, 1]; the `TOP` highest count.

        Returns:
            float32 (d,), unit length; None without classes, or where none has any probability.
        """
        if not len(names) or not float(np.max(probs)) > 0:
            return None
        best = np.argsort(-np.asarray(probs), kind="stable")[:TOP]
        places = class_vectors(tuple(names), self.text_encoder)[best] - _origin(self.text_encoder)
        place = np.asarray(probs, np.float32)[best] @ places
        return unit_rows(place) if np.linalg.norm(place) > 1e-6 else None


@cache
def class_vectors(names: tuple[str, ...], text_encoder: str) -> Matrix:
    """The names of classes as texts: float32 (n, d), kept in the cache because a thousand names take seconds."""
    digest = registry.load(text_encoder).spec.digest
    stem = f"names-{text_encoder}-{digest[:12]}-{hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:12]}"

    def make() -> bytes:
        vectors = registry.load(text_encoder).encode(names)
        return b"".join([np.array(vectors.shape, "<i8").tobytes(), vectors.astype("<f4").tobytes()])

    raw = cached(stem, ".f32", make).read_bytes()
    return np.frombuffer(raw, "<f4", offset=16).reshape(np.frombuffer(raw, "<i8", count=2))


@cache
def _origin(text_encoder: str) -> Matrix:
    return class_vectors(imagenet_names(), text_encoder).mean(axis=0)
