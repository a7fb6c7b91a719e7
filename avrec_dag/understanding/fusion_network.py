# ruff: noqa: TID253
"""The network behind the learned part of an item's fused vector, and its training. Imported inside functions, where torch is wanted."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avrec_dag.understanding.fitting import class_weights, one_thread, rise_and_fall
from avrec_dag.understanding.fusion import BLOCK, JOINT_SLOTS, LEARNED, SLOTS
from avrec_dag.understanding.network import drop_modalities
from avrec_dag.understanding.settings import FusionSettings, Weights

HARSHNESS = 10.0
"""Logits per unit of cosine with a class: the softmax temperature 0.1. On held-out stamps 0.05 cost 0.13 of mean average precision."""


class FusionNetwork(nn.Module):
    """A transformer over an item's tokens beside a linear map of each, both read into one vector of unit length.

    It learns as a classifier whose logits are cosines of the vector with one direction per class (normalised softmax; Zhai and Wu, BMVC
    2019), plus what the classes' names say, so that the directions need not learn that. Afterwards the vector alone is used: items
    of one class are near each other, and so are, less so, items of classes it never saw.

    Attributes:
        linear: (slots, 512, 128).
        enter: (slots, 512, width), into the transformer.
        slot: (slots, width), one embedding per slot, which says the modality.
        direction: (n_classes, 128).
        trust: (3,), cosines of the joint tokens with the names, by modality.
    """

    anchors: Tensor

    def __init__(self, n_classes: int, settings: FusionSettings) -> None:
        super().__init__()
        width, n_slots = settings.width, len(SLOTS)
        self.linear = nn.Parameter(torch.randn(n_slots, BLOCK, LEARNED) / (BLOCK * n_slots) ** 0.5)
        self.enter = nn.Parameter(torch.randn(n_slots, BLOCK, width) / BLOCK**0.5)
        self.slot = nn.Parameter(torch.randn(n_slots, width) * 0.02)
        self.dropout = nn.Dropout(settings.dropout)
        layer = nn.TransformerEncoderLayer(width, settings.heads, 2 * width, settings.dropout, "gelu", batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, settings.layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.gate = nn.Sequential(nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1))
        self.leave = nn.Linear(width, LEARNED, bias=False)
        nn.init.zeros_(self.leave.weight)
        self.direction = nn.Parameter(torch.randn(n_classes, LEARNED))
        self.register_buffer("anchors", torch.zeros(n_classes, BLOCK))
        self.trust = nn.Parameter(torch.full((len(JOINT_SLOTS),), 0.5))

    def embed(self, tokens: Tensor) -> Tensor:
        """Unit vectors float32 (n, 128) of tokens float32 (n, slots, 512), unit rows or zeros, at least one not zero."""
        present = tokens.abs().sum(dim=-1) > 0
        seen = self.dropout(tokens * BLOCK**0.5)
        states = self.transformer(torch.einsum("nsb,sbw->nsw", seen, self.enter) + self.slot, src_key_padding_mask=~present)
        weights = self.gate(states).squeeze(-1).masked_fill(~present, float("-inf")).softmax(dim=-1)
        pooled = torch.einsum("ns,nsw->nw", weights, states)
        return nn.functional.normalize(torch.einsum("nsb,sbe->ne", seen, self.linear) + self.leave(pooled), dim=-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits float32 (n, n_classes)."""
        cosines = self.embed(tokens) @ nn.functional.normalize(self.direction, dim=-1).T
        named = torch.einsum("njb,cb,j->nc", tokens[:, JOINT_SLOTS], self.anchors, self.trust)
        return HARSHNESS * (cosines + named)


def fit(
    tokens: NDArray[np.float32],
    targets: NDArray[np.float32],
    settings: FusionSettings,
    seed: int,
    anchors: NDArray[np.float32] | None = None,
) -> Weights:
    """Weights learned from tokens float32 (n, slots, 512) with targets float32 (n, n_classes) in {0, 1}, and the names' tokens.

    An item of several classes pulls towards each of them equally.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        luck = torch.Generator().manual_seed(seed)
        network = FusionNetwork(targets.shape[1], settings)
        if anchors is not None:
            network.anchors.copy_(torch.from_numpy(anchors))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network.to(device)
        seen, shares = torch.from_numpy(np.ascontiguousarray(tokens)), torch.from_numpy(targets / targets.sum(axis=1, keepdims=True))
        balance = torch.from_numpy(class_weights(targets.sum(axis=0), settings.balance)).to(device)
        each = ceil(len(tokens) / settings.batch)
        epochs = max(1, min(max(settings.epochs, ceil(settings.least_steps / each)), settings.most_steps // each))
        optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall(epochs * each))
        network.train()
        for _ in range(epochs):
            for batch in torch.randperm(len(seen), generator=luck).split(settings.batch):
                logits = network(drop_modalities(seen[batch].to(device), settings.modality_dropout, luck))
                wanted = shares[batch].to(device).float()
                smooth = wanted * (1 - settings.label_smoothing) + settings.label_smoothing / wanted.shape[1]
                loss = (-(smooth * logits.log_softmax(dim=1)).sum(dim=1) * (wanted @ balance)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def loaded(n_classes: int, settings: FusionSettings, weights: Mapping[str, NDArray[np.float32]]) -> FusionNetwork:
    """The network with these weights, ready to predict on the CPU.

    Raises:
        RuntimeError: A name or a shape is not the network's own.
        ValueError: A weight is not finite.
    """
    broken = [name for name, values in weights.items() if not np.isfinite(values).all()]
    if broken:
        raise ValueError(f"the weights {', '.join(broken)} hold NaN or infinity")
    network = FusionNetwork(n_classes, settings)
    network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
    return network.eval()
