# ruff: noqa: TID253
"""How an update is fitted: the heads of the networks alone. Imported inside functions, where torch is wanted."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avrec_dag.understanding.fitting import Fitting, one_thread, rise_and_fall, weights_of
from avrec_dag.understanding.fusion import BLOCK, JOINT_SLOTS
from avrec_dag.understanding.network import ANCHOR_SCALE, Ensemble, TokenNetwork, drop_modalities
from avrec_dag.understanding.settings import Weights

COPIES = 8
"""So often the transformer looks at each example, each time but the first with other modalities hidden."""
STEPS, RATE = 100, 0.5
"""Steps of an update, and its highest learning rate as a share of a full training's."""
_HEAD = ("direct", "bias", "trust", "leave.weight")
_CHUNK = 1024


class HeadFitting(Fitting):
    """One training run of the heads: all that reads classes from tokens and from what the transformer makes of them, which stays as it is.

    Frozen, the transformer need not be run at every step, only `COPIES` times before the first: a step costs a fifth of a full
    one, so that an update affords as many steps as a full training. What the transformer knows is not forgotten, while the heads
    are fitted to all exemplars from their beginning: heads that went through several updates fitted their exemplars too well and left no
    room for news (as warm starts do; Ash and Adams 2020). `start_from` must be given.
    """

    def run(self, learn: NDArray[np.int64], watch: NDArray[np.int64] | None = None) -> tuple[Weights, int]:  # noqa: ARG002 - as Fitting's
        """Learn from `learn` for `STEPS` steps.

        Returns:
            The weights, and the number of epochs over the copies, counted from 1.
        """
        s = self.settings
        with one_thread(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            luck = torch.Generator().manual_seed(self.seed)
            network, balance = self._begun().eval(), self._balance(learn)
            heads = _begun_anew(network)
            rows = torch.from_numpy(learn).to(self.device).repeat(COPIES)
            kept, pooled = self._looked(network, torch.from_numpy(learn).to(self.device), luck)
            optimizer = torch.optim.AdamW(heads, RATE * s.learning_rate, weight_decay=s.weight_decay)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall(STEPS))
            epochs = -(-STEPS * s.batch // len(rows))
            order = torch.cat([torch.randperm(len(rows), generator=luck) for _ in range(epochs)]).to(self.device)
            for batch in order[: STEPS * s.batch].split(s.batch):
                logits = _read(network, self.tokens[rows[batch]] * kept[batch].unsqueeze(-1), [one[batch] for one in pooled], s.dropout)
                losses = [self._loss(one, self.targets[rows[batch]], balance) for one in logits]
                optimizer.zero_grad()
                torch.stack(losses).sum().backward()
                optimizer.step()
                schedule.step()
            return weights_of(network), epochs

    def _looked(self, network: Ensemble, learn: Tensor, luck: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """Which slots each copy keeps, bool (copies * n, slots), and what each member makes of it, float32 (copies * n, width)."""
        kept: list[Tensor] = []
        states: list[list[Tensor]] = [[] for _ in network.members]
        with torch.no_grad():
            for copy in range(COPIES):
                for part in learn.split(_CHUNK):
                    tokens = self.tokens[part]
                    seen = drop_modalities(tokens, self.settings.modality_dropout, luck) if copy else tokens
                    kept.append(seen.abs().sum(dim=-1) > 0)
                    for state, member in zip(states, network.members, strict=True):
                        assert isinstance(member, TokenNetwork)
                        state.append(member.pooled(seen))
        return torch.cat(kept), [torch.cat(state) for state in states]


def _begun_anew(network: Ensemble) -> list[nn.Parameter]:
    """The parameters of the heads, where a network begins: zero, but for the trust in names."""
    heads = [(name, value) for name, value in network.named_parameters() if name.split(".", 2)[-1] in _HEAD]
    with torch.no_grad():
        for name, value in heads:
            value.fill_(ANCHOR_SCALE if name.endswith("trust") else 0.0)
    return [value for _, value in heads]


def _read(network: Ensemble, tokens: Tensor, pooled: list[Tensor], dropout: float) -> list[Tensor]:
    """Each member's logits (n, n_classes) as `TokenNetwork.forward` adds them up, from what the transformers made of the tokens before.

    What is the same for every member is worked out once, the numbers left out among it: that is most of a step's time.
    """
    seen = nn.functional.dropout(tokens.flatten(1) * BLOCK**0.5, dropout)
    named = tokens[:, JOINT_SLOTS] @ network.members[0].get_buffer("anchors").T
    logits = []
    for member, state in zip(network.members, pooled, strict=True):
        assert isinstance(member, TokenNetwork)
        evidence = seen @ member.direct.flatten(0, 1) + member.bias + torch.einsum("njc,j->nc", named, member.trust)
        logits.append(evidence + member.leave(nn.functional.dropout(state, dropout)))
    return logits
