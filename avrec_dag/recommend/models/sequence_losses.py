# ruff: noqa: TID253
"""What the network that reads sequences learns from: softmax over all items, or over some drawn at random. Imported inside functions."""

from typing import Any

import torch
from torch import Tensor

_ROWS = 128
"""Targets whose logits over all items are in memory at once: few enough to stay in the processor's cache."""


class FullSoftmax(torch.autograd.Function):
    """Cross-entropy over all items.

    Loss and gradients are computed together, a few rows at a time, so that (targets, items) is never held: four times as fast on a CPU
    as autograd's, which spends its time on fetching memory.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """The sum of `counts` times -log p(target): states (n, width), table (items, width), targets int64 (n,), counts (n,)."""
        to_states, to_table = torch.empty_like(states), torch.zeros_like(table)
        buffer = torch.empty(min(_ROWS, len(states)), len(table), device=table.device)
        loss = torch.zeros((), device=table.device)
        for start in range(0, len(states), _ROWS):
            part = slice(start, start + _ROWS)
            some, count, own = states[part], counts[part, None], targets[part, None]
            shares = buffer[: len(some)]
            torch.mm(some, table.T, out=shares)
            torch.softmax(shares, 1, out=shares)
            loss -= (count * shares.gather(1, own).clamp_min(1e-30).log()).sum()
            shares.mul_(count).scatter_add_(1, own, -count)
            torch.mm(shares, table, out=to_states[part])
            to_table.addmm_(shares.T, some)
        ctx.save_for_backward(to_states, to_table)
        return loss

    @staticmethod
    def backward(ctx: Any, *up: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale what `forward` computed."""
        to_states, to_table = ctx.saved_tensors
        return to_states * up[0], to_table * up[0], None, None


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
