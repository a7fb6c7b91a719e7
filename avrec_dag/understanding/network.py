# ruff: noqa: TID253
"""The network that reads an item's tokens. Imported inside functions, where torch is wanted."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avrec_dag.understanding.fusion import BLOCK, JOINT_SLOTS, SLOTS
from avrec_dag.understanding.settings import Settings, Weights

ANCHOR_SCALE = 5.0
"""Logits per unit of cosine to a class's name, before training: about what zero-shot classification divides by 0.2."""


class TokenNetwork(nn.Module):
    """A transformer over an item's tokens, beside a linear reading of each.

    Three parts are added up. The first is linear in each token: a missing one is zero and adds nothing. The second knows what the
    classes are called: the cosine of the item's joint tokens with the classes' names, weighted by modality (zero-shot as a prior,
    as Tip-Adapter adds CLIP's; Zhang et al. 2022). The third is a transformer over the tokens at hand, each marked by an embedding
    of its slot (Vaswani et al. 2017), read by attention pooling (Ilse, Tomczak and Welling 2018); its last layer begins at zero, so
    that a handful of examples trains little more than a linear model.

    Attributes:
        direct: (slots, 512, n_classes), one linear reading per slot.
        bias: (n_classes,).
        anchors: (n_classes, 512), the names of the classes in the joint space; zeros where unknown.
        trust: (3,), logits per unit of cosine to a name, by modality.
        enter: (slots, 512, width), one entry matrix per slot into the transformer.
        slot: (slots, width), one embedding per slot.
    """

    anchors: Tensor

    def __init__(self, n_classes: int, settings: Settings) -> None:
        super().__init__()
        width, n_slots = settings.width, len(SLOTS)
        self.direct = nn.Parameter(torch.zeros(n_slots, BLOCK, n_classes))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        self.register_buffer("anchors", torch.zeros(n_classes, BLOCK))
        self.trust = nn.Parameter(torch.full((len(JOINT_SLOTS),), ANCHOR_SCALE))
        self.enter = nn.Parameter(torch.randn(n_slots, BLOCK, width) / BLOCK**0.5)
        self.slot = nn.Parameter(torch.randn(n_slots, width) * 0.02)
        self.dropout = nn.Dropout(settings.dropout)
        layer = nn.TransformerEncoderLayer(width, settings.heads, 2 * width, settings.dropout, "gelu", batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, settings.layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.gate = nn.Sequential(nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1))
        self.leave = nn.Linear(width, n_classes, bias=False)
        nn.init.zeros_(self.leave.weight)

    def pooled(self, tokens: Tensor) -> Tensor:
        """What the transformer makes of tokens float32 (n, slots, 512), unit rows or zeros, at least one not zero: (n, width)."""
        present = tokens.abs().sum(dim=-1) > 0
        # A unit token has entries of about 1/23; scaled, they meet the layers with unit variance.
        entered = torch.einsum("nsb,sbw->nsw", self.dropout(tokens * BLOCK**0.5), self.enter) + self.slot
        states = self.transformer(entered, src_key_padding_mask=~present)
        weights = self.gate(states).squeeze(-1).masked_fill(~present, float("-inf")).softmax(dim=-1)
        return torch.einsum("ns,nsw->nw", weights, states)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits float32 (n, n_classes) of tokens as `pooled` takes them."""
        seen = self.dropout(tokens * BLOCK**0.5)
        evidence = torch.einsum("nsb,sbc->nc", seen, self.direct) + self.bias
        named = torch.einsum("njb,cb,j->nc", tokens[:, JOINT_SLOTS], self.anchors, self.trust)
        return evidence + named + self.leave(self.dropout(self.pooled(tokens)))


class Ensemble(nn.Module):
    """`settings.members` networks whose logits are averaged."""

    def __init__(self, n_classes: int, settings: Settings) -> None:
        super().__init__()
        self.members = nn.ModuleList(TokenNetwork(n_classes, settings) for _ in range(settings.members))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits float32 (n, n_classes)."""
        return self.apart(tokens).mean(dim=0)

    def apart(self, tokens: Tensor) -> Tensor:
        """Each member's logits, float32 (members, n, n_classes): a member learns from its own mistakes alone."""
        return torch.stack([member(tokens) for member in self.members])

    def name_classes(self, anchors: NDArray[np.float32]) -> None:
        """Tell every member what its classes are called: anchors float32 (n_classes, 512)."""
        for member in self.members:
            member.get_buffer("anchors").copy_(torch.from_numpy(anchors))


def drop_modalities(tokens: Tensor, share: float, luck: torch.Generator) -> Tensor:
    """The tokens with each modality's slots zeroed with chance `share`, but never an item's last present one (modality dropout)."""
    from avrec_dag.understanding.fusion import MODALITIES

    owner = torch.tensor([MODALITIES.index(slot.modality) for slot in SLOTS], device=tokens.device)
    filled = tokens.abs().sum(dim=-1) > 0
    present = torch.zeros(len(tokens), len(MODALITIES), dtype=torch.bool, device=tokens.device)
    for number in range(len(MODALITIES)):
        present[:, number] = filled[:, owner == number].any(dim=1)
    drawn = torch.rand(present.shape, generator=luck).to(tokens.device) * present
    kept = drawn >= share
    lost = ~(kept & present).any(dim=1)
    kept[lost, drawn[lost].argmax(dim=1)] = True
    return tokens * kept[:, owner].unsqueeze(-1)


def loaded(n_classes: int, settings: Settings, weights: Mapping[str, NDArray[np.float32]]) -> Ensemble:
    """The networks with these weights, ready to predict on the CPU.

    Raises:
        RuntimeError: A name or a shape is not the network's own.
        ValueError: A weight is not finite.
    """
    broken = [name for name, values in weights.items() if not np.isfinite(values).all()]
    if broken:
        raise ValueError(f"the weights {', '.join(broken)} hold NaN or infinity")
    network = Ensemble(n_classes, settings)
    network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
    return network.eval()


_BY_CLASS = {"direct": 2, "bias": 0, "anchors": 0, "leave.weight": 0}
"""Parameters with an axis of classes, and which it is."""


def regrouped(weights: Weights, before: tuple[str, ...], names: tuple[str, ...]) -> Weights:
    """The weights for another list of classes: known ones keep theirs, new ones begin at zero, those that left are gone.

    Args:
        weights: Of a network over the classes `before`.
        before: Its classes, in order.
        names: The classes wanted, in order.
    """
    places = np.array([before.index(name) if name in before else -1 for name in names])
    made = {}
    for key, values in weights.items():
        axis = _BY_CLASS.get(key.split(".", 2)[-1])
        if axis is None:
            made[key] = values
            continue
        taken = np.take(values, places.clip(0), axis=axis)
        mask = (places >= 0).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        made[key] = (taken * mask).astype(np.float32)
    return made
