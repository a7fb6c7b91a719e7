"""What every encoder promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError

Matrix = NDArray[np.float32]
Picture = NDArray[np.uint8]
Modality = Literal["frame", "audio", "text", "events", "speech", "screen"]


@dataclass(frozen=True)
class EncoderSpec:
    """What is known of an encoder without loading it.

    Attributes:
        name: What settings and stored rows call it.
        modality: What it encodes: RGB pictures uint8 (h, w, 3), log-mel patches in dB, or texts.
        dim: Length of its vectors.
        digest: SHA-256 of its weights, pinned here so that step versions need no file; another digest recomputes what it made.
        package: Distribution that carries the weights; empty where there are none.
        install: Command that installs it; empty where nothing is to be installed.
        paired: Whether it was trained on pairs with text and has a text tower (`TextTower`) into its own space.
    """

    name: str
    modality: Modality
    dim: int
    digest: str
    package: str = ""
    install: str = ""
    paired: bool = False

    @property
    def identity(self) -> str:
        """`name@digest`, as step versions and the `model` column of embeddings have it."""
        return f"{self.name}@{self.digest[:12]}"


class Encoder(Protocol):
    """Turns a batch into vectors. Cheap to construct: weights load on first use, once per process."""

    spec: EncoderSpec

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda`."""
        ...

    def encode(self, batch: Sequence[Any]) -> Matrix:
        """float32 (n, dim), rows of unit length; row i depends on `batch[i]` alone. An empty batch gives (0, dim)."""
        ...


class TextTower(Encoder, Protocol):
    """An encoder of pictures or sound that also puts texts into its space."""

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Captions -> float32 (n, dim), unit length."""
        ...


@runtime_checkable
class QueryEncoder(Encoder, Protocol):
    """An encoder of texts that treats what is asked otherwise than what is asked for."""

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Queries -> float32 (n, dim), unit length, comparable with what `encode` makes of passages."""
        ...


class Tagger(Encoder, Protocol):
    """An encoder that also names what it sees or hears."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Its classes in order; empty where it knows none."""
        ...

    def tag(self, batch: Sequence[Any]) -> tuple[Matrix, Matrix]:
        """Vectors as `encode` gives them, and float32 (n, n_classes) in [0, 1]."""
        ...


class SoundTagger(Tagger, Protocol):
    """A tagger of sound, which decides itself how a long sound is cut."""

    def patches(self, log_mel: NDArray[np.floating]) -> Matrix:
        """Pieces of a log-mel spectrogram (n, 64) in dB (`media.log_mel`), to be tagged one by one: float32 (m, ...), m >= 1."""
        ...


@runtime_checkable
class WaveformTagger(Tagger, Protocol):
    """A tagger of sound that wants the waveform itself: float32 (n,) in [-1, 1], mono, one window after the other.

    Attributes:
        held: Windows held in memory at once.
    """

    held: int

    @property
    def sample_rate_hz(self) -> int:
        """The rate it wants."""
        ...

    @property
    def window_s(self) -> float:
        """The longest sound it takes at once."""
        ...


def trusted(spec: EncoderSpec, vectors: Matrix) -> Matrix:
    """The vectors, if they are what the encoder's spec promises.

    Raises:
        AvrecError: They have another length, or hold NaN or infinity.
    """
    if vectors.ndim != 2 or vectors.shape[1] != spec.dim:
        raise AvrecError(
            f"the encoder {spec.identity} gave vectors of shape {vectors.shape}, but says they have {spec.dim} numbers: "
            "a model that changed under the same name needs another digest"
        )
    if not np.isfinite(vectors).all():
        raise AvrecError(f"the encoder {spec.identity} gave NaN or infinity: its weights or its precision are broken; try another encoder")
    return vectors


def unit_rows(matrix: NDArray[np.floating]) -> Matrix:
    """Each row in unit length, float32; a row of zeros stays zero."""
    rows = np.asarray(matrix, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(1e-12)
