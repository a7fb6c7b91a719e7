"""The trained fusion: what it makes of an item's tokens, and how it is stored without code."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.storage import Blobs
from avrec_dag.understanding.classifier import read_bounded
from avrec_dag.understanding.settings import FusionSettings, Weights

if TYPE_CHECKING:
    from avrec_dag.understanding.fusion_network import FusionNetwork


class _Card(BaseModel):
    """model.json: everything about a stored fusion but its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(1, ge=1, le=1)
    n_classes: int = Field(ge=2, le=10_000)
    share: float = Field(ge=0, le=1)
    settings: FusionSettings


@dataclass(frozen=True)
class FusionModel:
    """A trained fusion.

    Attributes:
        n_classes: How many classes it learned from.
        share: Of the learned part in the cosine of two items; the rest is the untrained recipe's, which also knows what nobody labelled.
        settings: How it was built and trained.
        weights: float32 arrays by parameter name.
    """

    n_classes: int
    share: float
    settings: FusionSettings
    weights: Weights

    @cached_property
    def network(self) -> "FusionNetwork":
        """With these weights, on the CPU."""
        from avrec_dag.understanding.fusion_network import loaded

        return loaded(self.n_classes, self.settings, self.weights)

    def embed(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """The learned vectors float32 (n, 128), unit length, of tokens float32 (n, 6, 512)."""
        import torch

        with torch.inference_mode():
            return self.network.embed(torch.from_numpy(np.ascontiguousarray(tokens))).numpy()

    def logits(self, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """What it takes items for, float32 (n, n_classes); only its own evaluation asks."""
        import torch

        with torch.inference_mode():
            return self.network(torch.from_numpy(np.ascontiguousarray(tokens))).numpy()

    def mixed(self, vectors: NDArray[np.float32], tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fused vectors float32 (n, 896), unit length: the untrained recipe's (n, 768) beside the learned ones, by `share`."""
        return mixed(vectors, self.embed(tokens), self.share)

    def files(self) -> dict[str, bytes]:
        """What to store: model.safetensors and model.json."""
        from safetensors.numpy import save

        card = _Card(format=1, n_classes=self.n_classes, share=self.share, settings=self.settings)
        return {"model.safetensors": save(self.weights), "model.json": card.model_dump_json(indent=1).encode()}


def mixed(vectors: NDArray[np.float32], learned: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Both side by side, weighted so that the cosine of two items is (1 - share) of the one's cosine and share of the other's."""
    return np.concatenate([np.sqrt(1 - share) * vectors, np.sqrt(share) * learned], axis=-1).astype(np.float32)


def load(blobs: Blobs, prefix: str) -> FusionModel:
    """The fusion stored under a prefix; names, shapes and sizes are checked, nothing is executed.

    Raises:
        MissingError: There is none.
        SettingError: What is there is not a fusion of this format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as tensors

    try:
        raw, card_raw = (read_bounded(blobs, f"{prefix}/{name}") for name in ("model.safetensors", "model.json"))
        card = _Card.model_validate_json(card_raw)
        model = FusionModel(card.n_classes, card.share, card.settings, tensors(raw))
        _ = model.network
    except FileNotFoundError as error:
        raise MissingError(f"loading the fusion {prefix}: nothing is stored there; materialize fusion_model") from error
    except (ValidationError, SafetensorError, RuntimeError, ValueError) as error:
        raise SettingError(
            f"loading the fusion {prefix}: it is damaged or of another format ({error}); materialize fusion_model"
        ) from error
    return model
