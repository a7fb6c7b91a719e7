# ruff: noqa: TID253
"""The network that reads a history as a sequence. Imported inside functions, where torch is wanted."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avrec_dag.recommend.models.base import Interactions

_ROWS = 256
"""Histories of like length read at once."""
_INITIAL_STD = 0.02
"""Of embeddings and matrices before training, as in BERT and in every follower of SASRec."""


@dataclass(frozen=True)
class Shape:
    """What decides the shapes of the weights.

    Attributes:
        items: How many items have a vector.
        content: Length of a content vector; 0 where nothing is known of content.
        width: Length of an item's vector inside of the network.
        layers: Blocks, one upon the other.
        heads: Of attention in each block; divides `width`.
        window: So many of the newest events are read.
        kernel: So many events back the filter of a block looks.
    """

    items: int
    content: int
    width: int
    layers: int
    heads: int
    window: int
    kernel: int


class ItemVectors(nn.Module):
    """The vector of an item: what its content says, plus a vector of its own that fades in with the people who liked it.

    An item without any support has no vector of its own yet, and is what its content says. Where there is no content the own vector counts
    from the first event on (its fade is 1), for there is nothing to fade from.

    Attributes:
        own: (items, width), one vector per item.
        project: (content, width), from content vectors to item vectors.
        fade: (items,), how much each own vector counts, in [0, 1].
        vectors: (items, content), unit content vectors or rows of zeros; not part of the stored weights.
    """

    fade: Tensor
    vectors: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(shape.items, shape.width) * _INITIAL_STD)
        # A unit vector through it comes out about as long as an own vector.
        self.project = nn.Parameter(torch.randn(shape.content, shape.width) * _INITIAL_STD)
        self.register_buffer("fade", torch.zeros(shape.items), persistent=False)
        self.register_buffer("vectors", torch.zeros(shape.items, shape.content), persistent=False)

    def forward(self, rows: Tensor | None = None, share_out: float = 0.0) -> Tensor:
        """The vectors of items.

        Args:
            rows: int64 (n,), each item once; None: all. Gradients towards `own` are sparse where it is given.
            share_out: In [0, 1), so many of the items that have content show nothing else this time, so that content learns to stand alone
                (as in DropoutNet: Volkovs, Yu and Poutanen, NIPS 2017).

        Returns:
            (n, width).
        """
        fade, vectors = self.fade, self.vectors
        if rows is None:
            own = self.own
        else:
            own, fade, vectors = functional.embedding(rows, self.own, sparse=True), fade[rows], vectors[rows]
        if not len(self.project):
            return own * fade[:, None]
        if self.training and share_out:
            fade = fade * ((torch.rand_like(fade) >= share_out) | (vectors == 0).all(dim=1))
        return own * fade[:, None] + vectors @ self.project


class Block(nn.Module):
    """Causal self-attention beside a causal filter, then a pointwise layer.

    Attention is that of SASRec (Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018). The filter beside it is after
    BSARec (Shin et al., "An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention", AAAI 2024): a low-pass
    part of the sequence, and the rest of it weighted per channel. There it is a Fourier filter over the padded sequence, of which the
    last place alone is read; here it is a short kernel per channel that looks back only, so that every place of a sequence teaches.
    """

    def __init__(self, shape: Shape, dropout: float, filter_share: float) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.dropout, self.filter_share = shape.heads, dropout, filter_share
        self.enter = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)
        self.kernel = nn.Parameter(torch.full((width, shape.kernel), 1.0 / shape.kernel))
        self.rest = nn.Parameter(torch.randn(width))
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width)
        self.after_attention, self.after_filter, self.after = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, states: Tensor) -> Tensor:
        """(n, length, width) -> the same shape; a place knows itself and those before it."""
        attended = self.after_attention(states + self._dropped(self._attention(states)))
        filtered = self.after_filter(states + self._dropped(self._filter(states)))
        mixed = (1 - self.filter_share) * attended + self.filter_share * filtered
        return self.after(mixed + self._dropped(self.outer(functional.gelu(self.inner(mixed)))))

    def _dropped(self, states: Tensor) -> Tensor:
        return functional.dropout(states, self.dropout, self.training)

    def _attention(self, states: Tensor) -> Tensor:
        n, length, width = states.shape
        split = self.enter(states).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(split[0], split[1], split[2], dropout_p=dropout, is_causal=True)
        return self.leave(mixed.transpose(1, 2).reshape(n, length, width))

    def _filter(self, states: Tensor) -> Tensor:
        # Not conv1d, whose backward pass takes four times as long on a CPU with one channel a group.
        padded = functional.pad(states, (0, 0, self.kernel.shape[1] - 1, 0))
        low = (padded.unfold(1, self.kernel.shape[1], 1) * self.kernel).sum(dim=-1)
        return low + (states - low) * self.rest**2


class SequenceNetwork(nn.Module):
    """A causal transformer over a person's items; the state at a place points at the vector of the item that comes next.

    Args:
        shape: Of the weights.
        dropout: In [0, 1), of item vectors, of attention and inside of each block.
        filter_share: In [0, 1], how much of a block is the filter; the rest is attention.
    """

    def __init__(self, shape: Shape, dropout: float, filter_share: float) -> None:
        super().__init__()
        self.shape, self.dropout = shape, dropout
        self.items = ItemVectors(shape)
        self.place = nn.Parameter(torch.randn(shape.window, shape.width) * _INITIAL_STD)
        self.enter = nn.LayerNorm(shape.width)
        self.blocks = nn.ModuleList(Block(shape, dropout, filter_share) for _ in range(shape.layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INITIAL_STD)
                nn.init.zeros_(module.bias)

    def forward(self, entered: Tensor) -> Tensor:
        """States of histories.

        Args:
            entered: (n, length, width) item vectors, oldest first, at most `window` of them; what stands behind a history's end is not
                seen by what stands before it.

        Returns:
            (n, length, width): at each place, what is expected next. Its inner product with an item's vector is that item's logit.
        """
        states = self.enter(entered + self.place[: entered.shape[1]])
        states = functional.dropout(states, self.dropout, self.training)
        for block in self.blocks:
            states = block(states)
        return states


def states_at_ends(network: SequenceNetwork, table: Tensor, histories: Interactions) -> Tensor:
    """The state at the end of each history.

    Args:
        network: In evaluation mode.
        table: (items, width), every item's vector.
        histories: Liked events only.

    Returns:
        (users, width); zeros where a history is empty.
    """
    lengths = np.minimum(np.diff(histories.indptr), network.shape.window)
    ends = torch.zeros(len(lengths), network.shape.width, device=table.device)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    for start in range(0, len(order), _ROWS):
        some = order[start : start + _ROWS]
        at = histories.indptr[some + 1] - lengths[some]
        place = np.minimum(at[:, None] + np.arange(lengths[some].max()), len(histories) - 1)
        states = network(table[torch.from_numpy(histories.columns[place].astype(np.int64)).to(table.device)])
        last = torch.from_numpy(lengths[some] - 1).to(table.device)
        ends[torch.from_numpy(some).to(table.device)] = states[torch.arange(len(some), device=table.device), last]
    return ends
