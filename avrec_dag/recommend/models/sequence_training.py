# ruff: noqa: TID253
"""How the network that reads sequences is trained. Imported inside functions, where torch is wanted."""

import time
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from avrec_dag.recommend.models.sequence_losses import FullSoftmax, sampled_softmax
from avrec_dag.recommend.models.sequence_network import SequenceNetwork, states_at_ends
from avrec_dag.recommend.models.sequence_settings import SequenceSettings
from avrec_dag.recommend.models.sequence_windows import Watched, Windows, batches
from avrec_dag.understanding.fitting import one_thread

_ROWS = 128
"""Held-out items that are ranked at once."""
_K = 10
_STEPS_PER_EPOCH = 300
"""Batches are so large that an epoch has about so many."""
_LEAST_STEPS = 60
"""An epoch of fewer steps goes over everything again. Over the first epoch the learning rate rises."""
_TOKENS = 512
"""Places per batch to which the learning rate of the settings belongs."""
Parameters = tuple[Tensor, ...] | list[Tensor]


class Training:
    """One run of training.

    Args:
        network: On its device; trained in place.
        settings: Rates and limits.
        support: (items,) int64, people who liked each: how far own vectors have faded in, and which negatives are drawn.
        vectors: (items, content) float32 content vectors; None where there are none.
        seed: Decides order, dropout and negatives.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        settings: SequenceSettings,
        support: NDArray[np.int64],
        vectors: NDArray[np.float32] | None,
        seed: int,
    ) -> None:
        self.network, self.settings, self.seed = network, settings, seed
        self.device = network.place.device
        content = np.zeros((len(support), 0), np.float32) if vectors is None else vectors
        own_only = (content == 0).all(axis=1)
        fade = np.where(own_only, support > 0, support / (support + settings.half_support)).astype(np.float32)
        network.items.fade = torch.from_numpy(fade).to(self.device)
        network.items.vectors = torch.from_numpy(content).to(self.device)
        self.rng = np.random.default_rng([seed, 1])
        self.full = len(support) <= settings.full_softmax_items
        even = np.full(len(support), 1 / max(len(support), 1))
        self.chance = 0.5 * even + 0.5 * (support + 1.0) / (support + 1.0).sum()
        self.cumulative = np.cumsum(self.chance)
        self.rate, self.warm_up, self.steps = 0.0, 1, 0
        self.optimizers = self._optimizers()

    def run(self, learn: Windows, epochs: int, watch: Watched | None = None, max_seconds: float = float("inf")) -> int:
        """Train for so many epochs, or until what is watched is no longer told better, or until the time is over.

        Args:
            learn: What is learned.
            epochs: At most so many.
            watch: Held-out items; the weights of the epoch that told them best (NDCG@10) are kept.
            max_seconds: No epoch begins after so long.

        Returns:
            The number of epochs whose weights the network now has.
        """
        with one_thread(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            return self._run(learn, epochs, watch, max_seconds) if len(learn.lengths) else 0

    def finished(self) -> NDArray[np.float32]:
        """(items, width): every item's vector, after which the network needs the content no more."""
        items = self.network.items
        with torch.inference_mode():
            table = self.network.eval().items().cpu().numpy()
        items.vectors = torch.zeros(len(table), 0, device=self.device)
        return table

    def _run(self, learn: Windows, epochs: int, watch: Watched | None, max_seconds: float) -> int:
        s, begun = self.settings, time.monotonic()
        tokens = int(np.clip(learn.targets // _STEPS_PER_EPOCH, 64, 4096))
        self.rate = s.learning_rate * max(1.0, tokens / _TOKENS) ** 0.5
        self.warm_up = max(_LEAST_STEPS, learn.targets // tokens)
        average = self._average()
        mean = cast("SequenceNetwork", average.module)
        best, best_epoch, best_weights = -1.0, 0, mean.state_dict()
        for epoch in range(1, min(epochs, self._worth(learn, tokens)) + 1):
            self._epoch(learn, tokens, average)
            told = told_well(mean, watch) if watch is not None and len(watch.targets) else float(epoch)
            if told > best:
                best, best_epoch, best_weights = told, epoch, {key: value.clone() for key, value in mean.state_dict().items()}
            if time.monotonic() - begun > max_seconds or epoch - best_epoch >= s.patience:
                break
        self.network.load_state_dict(best_weights)
        return best_epoch

    def _worth(self, learn: Windows, tokens: int) -> int:
        """So many epochs at most: where one goes over everything several times, everything has been seen as often after fewer of them."""
        over = sum(1 for _ in batches(learn.lengths, tokens, np.random.default_rng(0)))
        return max(self.settings.warm_epochs, -(-self.settings.epochs * over // _LEAST_STEPS))

    def _epoch(self, learn: Windows, tokens: int, average: AveragedModel) -> None:
        """Everything once, or as often as it takes to make enough steps."""
        self.network.train()
        done = 0
        while done < _LEAST_STEPS:
            for some in batches(learn.lengths, tokens, self.rng):
                self._step(*learn.filled(some))
                average.update_parameters(self.network)
                done += 1

    def _average(self) -> AveragedModel:
        """The running mean of the weights, which tells better than where the last step led (Polyak and Juditsky 1992)."""

        def follow(mean: Parameters, now: Parameters, steps: Tensor | int) -> None:
            share = min(self.settings.averaging, (1 + int(steps)) / (10 + int(steps)))
            torch._foreach_lerp_(list(mean), list(now), 1 - share)

        average = AveragedModel(self.network, multi_avg_fn=follow)
        cast("SequenceNetwork", average.module).items.vectors = self.network.items.vectors  # large and never trained: one copy is enough
        return average.eval()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam; where items are drawn, the vectors of those not drawn cost nothing."""
        own = self.network.items.own
        if self.full:
            return [torch.optim.Adam(self.network.parameters(), fused=True)]
        rest = [one for one in self.network.parameters() if one is not own]
        return [torch.optim.Adam(rest, fused=True), torch.optim.SparseAdam([own])]

    def _step(self, columns: NDArray[np.int64], counts: NDArray[np.float32]) -> None:
        loss = self._full(columns, counts) if self.full else self._sampled(columns, counts)
        self.steps += 1
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate * min(1.0, self.steps / self.warm_up)
            optimizer.zero_grad()
        (loss / float(counts.sum())).backward()
        for optimizer in self.optimizers:
            optimizer.step()

    def _full(self, columns: NDArray[np.int64], counts: NDArray[np.float32]) -> Tensor:
        table = self.network.items(share_out=self.settings.content_alone)
        states, targets, weights = self._read(table, torch.from_numpy(columns).to(self.device), counts)
        return FullSoftmax.apply(states, table, targets, weights, self.settings.smoothing)

    def _sampled(self, columns: NDArray[np.int64], counts: NDArray[np.float32]) -> Tensor:
        m = self.settings.negatives
        drawn = np.searchsorted(self.cumulative, self.rng.random(m) * self.cumulative[-1]).clip(max=len(self.chance) - 1)
        rows, places = np.unique(np.concatenate([columns.ravel(), drawn]), return_inverse=True)
        at = torch.from_numpy(places).to(self.device)
        table = self.network.items(torch.from_numpy(rows).to(self.device), share_out=self.settings.content_alone)
        others = at[-m:]
        states, targets, weights = self._read(table, at[:-m].view(columns.shape), counts)
        log_expected = torch.from_numpy(np.log(m * self.chance[drawn])).float().to(self.device)
        same = targets[:, None] == others
        return sampled_softmax(states, table[targets], table[others], log_expected, same, weights)

    def _read(self, table: Tensor, places: Tensor, counts: NDArray[np.float32]) -> tuple[Tensor, Tensor, Tensor]:
        """States before each target, the targets (rows of `table`), and how much each counts."""
        told = torch.from_numpy(counts[:, 1:]).to(self.device)
        some = told > 0
        return self.network(functional.embedding(places[:, :-1], table))[some], places[:, 1:][some], told[some]


@torch.inference_mode()
def told_well(network: SequenceNetwork, watch: Watched) -> float:
    """NDCG@10 of held-out items among all that their people had not met, ties counted half."""
    network.eval()
    table = network.items()
    total = 0.0
    for start in range(0, len(watch.targets), _ROWS):
        users, targets = watch.users[start : start + _ROWS], watch.targets[start : start + _ROWS]
        histories = watch.histories.of(users)
        logits = (states_at_ends(network, table, histories) @ table.T).cpu().numpy()
        own = np.take_along_axis(logits, targets[:, None], axis=1)
        logits[histories.rows, histories.columns] = -np.inf
        above, level = (logits > own).sum(axis=1), (logits == own).sum(axis=1)
        rank = 1 + above + np.maximum(level - 1, 0) / 2
        total += float(np.where(rank <= _K, 1 / np.log2(1 + rank), 0).sum())
    return total / len(watch.targets)
