# ruff: noqa: TID253
"""What the network that reads sequences learns from: softmax over all items, or over some drawn at random. Imported inside functions."""

from typing import Any

import torch
from torch import Tensor

_ROWS = 64
"""Targets whose logits over all items are in memory at once: few enough to stay in the processor's cache."""


class FullSoftmax(torch.autograd.Function):
    """Cross-entropy over all items.

    Loss and gradients are computed together, a few rows at a time, so that (targets, items) is never held: four times as fast on a CPU
    as autograd's, which spends its time on fetching memory.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, targets: Tensor, counts: Tensor, smoothing: float) -> Tensor:
        """The sum of `counts` times the cross-entropy.

        Args:
            ctx: Where the gradients wait.
            states: (n, width).
            table: (items, width).
            targets: int64 (n,), rows of `table`.
            counts: (n,).
            smoothing: In [0, 1), how much of what is to be told is spread over all items evenly (Szegedy et al. 2016).
        """
        to_states, to_table = torch.empty_like(states), torch.zeros_like(table)
        buffer = torch.empty(min(_ROWS, len(states)), len(table), device=table.device)
        count, own, even = counts[:, None], table[targets], table.mean(dim=0)
        told = (states * own).sum(dim=1, keepdim=True)
        counted = states * count
        loss = -(count * ((1 - smoothing) * told + smoothing * (states @ even)[:, None])).sum()
        for start in range(0, len(states), _ROWS):
            part = slice(start, start + _ROWS)
            shares = buffer[: len(states[part])]
            torch.mm(states[part], table.T, out=shares)
            torch.softmax(shares, 1, out=shares)
            loss += (count[part] * (told[part] - shares.gather(1, targets[part, None]).clamp_min(1e-30).log())).sum()
            torch.mm(shares, table, out=to_states[part])
            to_table.addmm_(shares.T, counted[part])
        to_states.sub_((1 - smoothing) * own + smoothing * even).mul_(count)
        to_table.index_add_(0, targets, counted, alpha=smoothing - 1)
        to_table.sub_(smoothing / len(table) * counted.sum(dim=0))
        ctx.save_for_backward(to_states, to_table)
        return loss

    @staticmethod
    def backward(ctx: Any, *up: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Scale what `forward` computed."""
        to_states, to_table = ctx.saved_tensors
        return to_states * up[0], to_table * up[0], None, None, None


def sampled_softmax(states: Tensor, own: Tensor, drawn: Tensor, log_expected: Tensor, same: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy over the target and items drawn at random, corrected for how often each is drawn.

    A drawn item's logit is lowered by the logarithm of how often it is expected among those drawn, so that the sum over the drawn ones is
    in expectation the sum over all items (Bengio and Senécal, "Adaptive Importance Sampling to Accelerate Training of a Neural
    Probabilistic Language Model", 2008; Yi et al., "Sampling-Bias-Corrected Neural Modeling", RecSys 2019). The target, which is always
    there, is not corrected, and its own hits are left out.

    Args:
        states: (n, width).
        own: (n, width), the vectors of the targets.
        drawn: (m, width), the vectors of the drawn items.
        log_expected: (m,), log of the expected number of times that each is drawn.
        same: (n, m) bool, whether a drawn item is the target.
        counts: (n,), how much each target counts.

    Returns:
        The sum of `counts` times -log p(target).
    """
    target = (states * own).sum(dim=1)
    others = (states @ drawn.T - log_expected).masked_fill(same, float("-inf"))
    total = torch.logaddexp(torch.logsumexp(others, dim=1), target)
    return (counts * (total - target)).sum()
