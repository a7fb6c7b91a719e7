# ruff: noqa: TID253
"""How the networks are fitted. Imported inside functions, where torch is wanted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil, cos, pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avrec_dag.understanding.network import Ensemble, drop_modalities
from avrec_dag.understanding.settings import Settings, Weights

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""


def class_weights(counts: NDArray[np.floating], beta: float) -> NDArray[np.float32]:
    """Weight of each class by its effective number of examples (Cui et al. 2019): (1 - beta) / (1 - beta^n), mean 1 over the examples.

    Args:
        counts: Examples of each class; a class without any has weight 0.
        beta: In [0, 1); 0 weighs every example alike.
    """
    n = np.asarray(counts, float)
    raw = np.where(n > 0, (1 - beta) / (1 - np.power(beta, n.clip(1))), 0.0)
    mean = (raw * n).sum() / max(n.sum(), 1)
    return (raw / max(mean, 1e-12)).astype(np.float32)


class Fitting:
    """One training run of one ensemble.

    Args:
        tokens: float32 (n, slots, 512).
        targets: float32 (n, n_classes) in {0, 1}; with one label each, every row has a single 1.
        settings: Sizes and rates.
        seed: Decides initial weights, order and dropout.
        multi_label: Whether an item may have several classes: a sigmoid for each, in place of one softmax over all.
        anchors: float32 (n_classes, 512), the classes' names in the joint space; None: unknown.
        start_from: Weights to go on from (`network.regrouped` brings them to these classes); None: begin anew.
    """

    def __init__(
        self,
        tokens: NDArray[np.float32],
        targets: NDArray[np.float32],
        settings: Settings,
        seed: int,
        *,
        multi_label: bool = False,
        anchors: NDArray[np.float32] | None = None,
        start_from: Weights | None = None,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokens = torch.from_numpy(np.ascontiguousarray(tokens)).to(self.device)
        self.targets = torch.from_numpy(np.asarray(targets, np.float32)).to(self.device)
        self.settings, self.seed, self.multi_label = settings, seed, multi_label
        self.anchors, self.start_from = anchors, start_from

    def run(self, learn: NDArray[np.int64], watch: NDArray[np.int64] | None = None) -> tuple[Weights, int]:
        """Learn from `learn`: until the loss on `watch` no longer falls, or without it for `epochs_unwatched` and at least `least_steps`.

        Args:
            learn: int64, positions of the examples to learn from.
            watch: int64, positions of the examples that decide when to stop; may be empty.

        Returns:
            The weights of the best epoch, and its number, counted from 1.
        """
        s, watched = self.settings, watch is not None and len(watch) > 0
        with one_thread(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            luck = torch.Generator().manual_seed(self.seed)
            network, balance = self._begun(), self._balance(learn)
            steps_each = ceil(len(learn) / s.batch)
            wanted = s.epochs if watched else max(s.epochs_unwatched, ceil(s.least_steps / steps_each))
            epochs = max(1, min(wanted, s.most_steps // steps_each))
            optimizer = torch.optim.AdamW(network.parameters(), s.learning_rate, weight_decay=s.weight_decay)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall(epochs * steps_each))
            best_loss, best_epoch, best = float("inf"), 0, {}
            for epoch in range(1, epochs + 1):
                self._epoch(network, optimizer, schedule, learn, luck, balance)
                if watch is None or not watched:
                    continue
                loss = self._watch_loss(network, watch)
                if loss < best_loss:
                    best_loss, best_epoch, best = loss, epoch, weights_of(network)
                elif epoch - best_epoch >= s.patience:
                    break
            return (best, best_epoch) if best else (weights_of(network), epochs)

    def _begun(self) -> Ensemble:
        network = Ensemble(self.targets.shape[1], self.settings)
        if self.start_from is not None:
            network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in self.start_from.items()})
        if self.anchors is not None:
            network.name_classes(self.anchors)
        return network.to(self.device)

    def _balance(self, learn: NDArray[np.int64]) -> Tensor:
        counts = self.targets[torch.from_numpy(learn)].sum(dim=0).cpu().numpy()
        return torch.from_numpy(class_weights(counts, self.settings.balance)).to(self.device)

    def _epoch(
        self,
        network: Ensemble,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        learn: NDArray[np.int64],
        luck: torch.Generator,
        balance: Tensor,
    ) -> None:
        network.train()
        order = torch.from_numpy(learn)[torch.randperm(len(learn), generator=luck)].to(self.device)
        for batch in order.split(self.settings.batch):
            seen = drop_modalities(self.tokens[batch], self.settings.modality_dropout, luck)
            losses = torch.stack([self._loss(logits, self.targets[batch], balance) for logits in network.apart(seen)])
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            schedule.step()

    def _loss(self, logits: Tensor, targets: Tensor, balance: Tensor | None) -> Tensor:
        """Softmax or, with several labels, sigmoid cross-entropy; each label counts by its class's weight."""
        smooth, n_classes = self.settings.label_smoothing if balance is not None else 0.0, targets.shape[1]
        if self.multi_label:
            weights = torch.ones_like(targets) if balance is None else targets * balance + (1 - targets)
            return nn.functional.binary_cross_entropy_with_logits(logits, targets * (1 - smooth) + smooth / 2, weights)
        per_item = -((targets * (1 - smooth) + smooth / n_classes) * logits.log_softmax(dim=1)).sum(dim=1)
        return per_item.mean() if balance is None else (per_item * (targets @ balance)).mean()

    def _watch_loss(self, network: Ensemble, watch: NDArray[np.int64]) -> float:
        network.eval()
        rows = torch.from_numpy(watch).to(self.device)
        with torch.inference_mode():
            return float(self._loss(network(self.tokens[rows]), self.targets[rows], None))


def rise_and_fall(steps: int) -> Callable[[int], float]:
    """Share of the learning rate at each step: a linear rise, then half a cosine (Loshchilov and Hutter 2017)."""
    warm = max(1, round(WARM_UP * steps))

    def share(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + cos(pi * (step - warm) / max(1, steps - warm)))

    return share


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrices this small lose more to two threads waiting for each other than they gain, above all on busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def weights_of(network: nn.Module) -> Weights:
    """The parameters by name, copied to this machine's memory."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}
