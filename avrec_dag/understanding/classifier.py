"""The trained content classifier: what it predicts, and how it is stored without code."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.storage import Blobs
from avrec_dag.understanding.calibration import chances
from avrec_dag.understanding.settings import Settings, Weights

if TYPE_CHECKING:
    from avrec_dag.understanding.network import Ensemble

_LARGEST_BYTES = 64 << 20


class Card(BaseModel):
    """model.json: everything about a stored classifier but its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(2, ge=2, le=2)
    names: tuple[str, ...] = Field(min_length=2, max_length=10_000)
    temperature: float = Field(gt=0)
    unsure_below: float = Field(ge=0, le=1)
    settings: Settings
    multi_label: bool = False
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Classifier:
    """A content classifier.

    Attributes:
        names: The classes.
        temperature: What the logits are divided by so that the probabilities are honest.
        unsure_below: Where its best probability is below this, an item is most likely of none of its classes.
        settings: How it was built and trained.
        weights: float32 arrays by parameter name.
        multi_label: Whether an item may have several of the classes, each with a probability of its own.
        thresholds: The probability from which on an item has a class, for each; empty where it has the one best.
    """

    names: tuple[str, ...]
    temperature: float
    unsure_below: float
    settings: Settings
    weights: Weights
    multi_label: bool = False
    thresholds: tuple[float, ...] = ()

    @cached_property
    def _network(self) -> "Ensemble":
        from avrec_dag.understanding.network import loaded

        return loaded(len(self.names), self.settings, self.weights)

    def logits(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits float32 (n, n_classes) of tokens float32 (n, 6, 512).

        Raises:
            ValueError: A token is not finite, or an item has no modality.
        """
        import torch

        if not np.isfinite(tokens).all():
            raise ValueError("classifying: the tokens hold NaN or infinity; recompute fused_features")
        if not tokens.any(axis=(1, 2)).all():
            raise ValueError("classifying: an item has no modality at all; recompute fused_features")
        with torch.inference_mode():
            return self._network(torch.from_numpy(np.ascontiguousarray(tokens))).numpy()

    def predict(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities float32 (n, n_classes) of tokens float32 (n, 6, 512); with one class each, rows sum to 1. Errors as in `logits`."""
        return chances(self.logits(tokens), self.temperature, multi_label=self.multi_label)

    def decided(self, probs: NDArray[np.float32]) -> list[str]:
        """The classes of one item by its probabilities (n_classes,): the best, or all that reach their threshold, best first.

        Empty where the item is of none of the classes: its best probability is below `unsure_below`, and no threshold is reached.
        """
        order = np.argsort(-probs, kind="stable")
        reached = [self.names[i] for i in order if self.multi_label and probs[i] >= self.thresholds[i]]
        if reached or probs.max() < self.unsure_below:
            return reached
        return [self.names[order[0]]]

    def files(self) -> dict[str, bytes]:
        """What to store: model.safetensors and model.json."""
        from safetensors.numpy import save

        card = Card(
            format=2, names=self.names, temperature=self.temperature, unsure_below=self.unsure_below, settings=self.settings,
            multi_label=self.multi_label, thresholds=self.thresholds,
        )  # fmt: skip
        return {"model.safetensors": save(self.weights), "model.json": card.model_dump_json(indent=1).encode()}


def load(blobs: Blobs, prefix: str) -> Classifier:
    """The classifier stored under a prefix; names, shapes and sizes are checked, nothing is executed.

    Raises:
        MissingError: There is none.
        SettingError: What is there is not a classifier of this format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as tensors

    try:
        raw, card_raw = (read_bounded(blobs, f"{prefix}/{name}") for name in ("model.safetensors", "model.json"))
        card = Card.model_validate_json(card_raw)
        if card.multi_label and len(card.thresholds) != len(card.names):
            raise ValueError(f"{len(card.thresholds)} thresholds for {len(card.names)} classes")
        classifier = Classifier(
            card.names, card.temperature, card.unsure_below, card.settings, tensors(raw), card.multi_label, card.thresholds
        )
        _ = classifier._network
    except FileNotFoundError as error:
        raise MissingError(f"loading the classifier {prefix}: nothing is stored there; materialize content_classifier") from error
    except (ValidationError, SafetensorError, RuntimeError, ValueError) as error:
        message = f"loading the classifier {prefix}: it is damaged or of another format ({error}); materialize content_classifier"
        raise SettingError(message) from error
    return classifier


def read_weights(blobs: Blobs, path: str) -> Weights:
    """The arrays of one safetensors file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is too large, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as tensors

    try:
        return tensors(read_bounded(blobs, path))
    except SafetensorError as error:
        raise ValueError(f"{path}: {error}") from error


def read_bounded(blobs: Blobs, path: str) -> bytes:
    """A model's file; ValueError where it is larger than any of ours."""
    with blobs.open(path) as file:
        raw = file.read(_LARGEST_BYTES + 1)
    if len(raw) > _LARGEST_BYTES:
        raise ValueError(f"{path} is larger than {_LARGEST_BYTES} bytes")
    return raw


def ranked(names: Sequence[str], probs: NDArray[np.float32], top: int) -> tuple[list[str], NDArray[np.float32]]:
    """The `top` classes of one item, best first, with their probabilities; ties in the order of `names`."""
    order = np.argsort(-probs, kind="stable")[:top]
    return [names[i] for i in order], probs[order].astype(np.float32)
