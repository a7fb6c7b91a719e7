"""How the content classifier is built and trained."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Weights = dict[str, NDArray[np.float32]]
"""Parameter name -> float32 values."""


class Settings(BaseModel):
    """Sizes and rates of one classifier. The bounds also hold when a stored model is read back.

    Attributes:
        width: Numbers per token inside the network.
        dropout: Share of them left out while training.
        modality_dropout: Chance that a modality an item has is hidden in one step, so that a missing one does no harm later.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        label_smoothing: Share of the target spread over all classes, against mistaken labels.
        batch: Examples per step.
        epochs: At most, with a part to watch.
        patience: Epochs without a better loss on that part before stopping.
        epochs_unwatched: Exactly, without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(128, ge=8, le=4096)
    dropout: float = Field(0.3, ge=0, lt=1)
    modality_dropout: float = Field(0.25, ge=0, lt=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    batch: int = Field(64, ge=1)
    epochs: int = Field(120, ge=1)
    patience: int = Field(12, ge=1)
    epochs_unwatched: int = Field(60, ge=1)
