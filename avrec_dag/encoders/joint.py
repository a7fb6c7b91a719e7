"""One space for text, pictures and sound: by models trained on pairs where a preset has them, by the names of classes where not.

**Without a model trained on pairs** a picture or sound stands where the names of its classes stand, weighted by their
probabilities (ConSE: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014), in the space of
the text encoder, which knows many languages.

**With one** (SigLIP, CLIP for pictures, CLAP for sound) an item stands where its own vector stands, and a query where the model's
text tower puts it. These spaces have nothing to do with each other or with the text encoder's, so the joint space is their
concatenation, a block for each. An item's vector is of unit length within each block it has and zero in the others; the mean
over an item's modalities is again of unit length. The inner product with a query is then the sum of what the blocks say, over
the root of how many of them the item has, which is how independent z-scores are combined (Stouffer et al. 1949).

For that the blocks must speak in one unit. A picture that fits differs from one that does not by 0.1 of SigLIP's cosine, but by 0.5
of a text encoder's. Each block of a query is therefore moved so that the mean of a background of captions (the ImageNet class
names) is its origin, and stretched so that the cosines of the background with itself spread as far as those of the text
block. The background stands in for pictures: those of a model trained on pairs vary as their captions do, but for a constant
offset (Liang et al., "Mind the Gap", NeurIPS 2022; Zhang et al., ICLR 2023), which moves all items alike.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.base import EncoderSpec, Matrix, QueryEncoder, TextTower, unit_rows
from avrec_dag.encoders.cache import cached
from avrec_dag.encoders.packaged.image import imagenet_names
from avrec_dag.errors import SettingError

TOP = 10
"""Classes of an item that count; those after them have hardly any probability, but add noise."""
CAPTIONS = {"frame": "a photo of {}", "audio": "the sound of {}", "text": "{}"}
"""How the name of a class becomes a caption as models trained on pairs saw them (Radford et al. 2021)."""
Side = Literal["item", "query"]


@dataclass(frozen=True)
class JointSpace:
    """The joint space of one preset.

    Attributes:
        preset: Which encoders, as in `registry.preset`.
    """

    preset: str = "packaged"

    @cached_property
    def blocks(self) -> tuple[EncoderSpec, ...]:
        """The encoders whose spaces stand side by side: those trained on pairs, and the text encoder last."""
        return registry.preset(self.preset).joint_blocks

    @property
    def identity(self) -> str:
        """Of everything that shapes it: vectors of two identities must never be compared."""
        return registry.preset(self.preset).joint_space

    @property
    def dim(self) -> int:
        """Numbers in a vector of it."""
        return sum(spec.dim for spec in self.blocks)

    def text(self, texts: Sequence[str]) -> Matrix:
        """Queries in any language that the encoders know -> float32 (n, dim); of unit length where there is one block."""
        return self._scaled([_texts(spec, tuple(texts), "query") - _origin(spec, "query") for spec in self.blocks])

    def classes(self, groups: Sequence[Sequence[str]]) -> Matrix:
        """Classes by the phrases that stand for each: the mean of its phrases, each as a caption (`CAPTIONS`); as from `text`."""
        phrases = [phrase for group in groups for phrase in group]
        starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
        sizes = np.array([[len(group)] for group in groups], np.float32)
        parts = []
        for spec in self.blocks:
            captions = tuple(CAPTIONS[spec.modality].format(phrase) for phrase in phrases)
            vectors = unit_rows(_texts(spec, captions, "query") - _origin(spec, "query"))
            parts.append((np.add.reduceat(vectors, starts, axis=0) / sizes).astype(np.float32))
        return self._scaled(parts)

    def placed(self, vectors: Matrix) -> Matrix:
        """Items from what the text encoder made of their texts: float32 (n, d) -> float32 (n, dim), unit length."""
        return self._in_block(self.blocks[-1], unit_rows(vectors - _origin(self.blocks[-1], "item")))

    def of_media(self, encoder: EncoderSpec, vector: Matrix, names: Sequence[str], probs: NDArray[np.floating]) -> Matrix | None:
        """Where an item stands by what is seen or heard: by its vector where the encoder was trained on pairs, else by its classes.

        Args:
            encoder: What made `vector` and `probs`.
            vector: float32 (d,), unit length.
            names: The encoder's classes; as in `from_classes`, with `probs`.
            probs: Their probabilities.

        Returns:
            float32 (dim,), unit length; None where neither says anything.
        """
        if encoder.paired and encoder not in self.blocks:
            raise SettingError(f"{encoder.name} changed on disk while it was in use; run the same again")
        if encoder.paired:
            return self._in_block(encoder, vector[None])[0]
        return self.from_classes(names, probs)

    def from_classes(self, names: Sequence[str], probs: NDArray[np.floating]) -> Matrix | None:
        """Where an item stands that shows or sounds like these classes.

        Args:
            names: The tagger's classes.
            probs: Their probabilities (n_classes,) in [0, 1]; the `TOP` highest count.

        Returns:
            float32 (dim,), unit length; None without classes, or where none has any probability.
        """
        if not len(names) or not float(np.max(probs)) > 0:
            return None
        best, text = np.argsort(-np.asarray(probs), kind="stable")[:TOP], self.blocks[-1]
        places = class_vectors(tuple(names), text)[best] - _origin(text, "item")
        place = np.asarray(probs, np.float32)[best] @ places
        return self._in_block(text, unit_rows(place)[None])[0] if np.linalg.norm(place) > 1e-6 else None

    def _in_block(self, encoder: EncoderSpec, vectors: Matrix) -> Matrix:
        place = self.blocks.index(encoder)
        widths = [0 if number == place else spec.dim for number, spec in enumerate(self.blocks)]
        return np.pad(vectors, ((0, 0), (sum(widths[:place]), sum(widths[place + 1 :]))))

    def _scaled(self, parts: Sequence[Matrix]) -> Matrix:
        """Blocks side by side, each in unit length times what makes its cosines spread as those of the text block."""
        stretched = [unit_rows(part) * self._stretch(spec) for spec, part in zip(self.blocks, parts, strict=True)]
        return np.concatenate(stretched, axis=1).astype(np.float32, copy=False)

    def _stretch(self, spec: EncoderSpec) -> float:
        text = self.blocks[-1]
        return 1.0 if spec is text else _spread(text) / _spread(spec)


@cache
def class_vectors(names: tuple[str, ...], spec: EncoderSpec, side: Side = "item") -> Matrix:
    """The names of classes as texts: float32 (n, d), kept in the cache because a thousand names take seconds."""
    told = hashlib.sha256("\n".join((side, spec.name, *names)).encode()).hexdigest()
    stem = f"names-{spec.digest[:12]}-{told[:16]}"

    def make() -> bytes:
        vectors = _texts(spec, names, side)
        return b"".join([np.array(vectors.shape, "<i8").tobytes(), vectors.astype("<f4").tobytes()])

    raw = cached(stem, ".f32", make).read_bytes()
    return np.frombuffer(raw, "<f4", offset=16).reshape(np.frombuffer(raw, "<i8", count=2))


def _texts(spec: EncoderSpec, texts: tuple[str, ...], side: Side) -> Matrix:
    """What an encoder makes of texts: with its text tower, or as a query where it treats queries as something else."""
    encoder = registry.load(spec.name)
    if encoder.spec != spec:
        raise SettingError(f"{spec.name} changed on disk while it was in use; run the same again")
    if spec.paired:
        return cast("TextTower", encoder).encode_texts(texts)
    if side == "query" and isinstance(encoder, QueryEncoder):
        return encoder.encode_queries(texts)
    return encoder.encode(texts)


def _background(spec: EncoderSpec, side: Side) -> Matrix:
    queries_differ = not spec.paired and isinstance(registry.load(spec.name), QueryEncoder)
    captions = tuple(CAPTIONS[spec.modality].format(name) for name in imagenet_names())
    return class_vectors(captions, spec, side if queries_differ else "item")


@cache
def _origin(spec: EncoderSpec, side: Side) -> Matrix:
    """Mean of the background. Taking it off matters: texts share a large common part, which would make everything like everything."""
    return _background(spec, side).mean(axis=0)


@cache
def _spread(spec: EncoderSpec) -> float:
    """Standard deviation of the products of two different captions of the background, one as an item, one as a query."""
    items = _background(spec, "item") - _origin(spec, "item")
    items = items if spec.paired else unit_rows(items)
    products = items @ unit_rows(_background(spec, "query") - _origin(spec, "query")).T
    return float(products[~np.eye(len(products), dtype=bool)].std()) or 1.0
