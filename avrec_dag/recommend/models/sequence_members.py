# ruff: noqa: TID253
"""The networks of a sequence model, which differ in their seed; what they say is averaged. Imported inside functions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.sequence_network import SequenceNetwork, Shape, states_at_ends
from avrec_dag.recommend.models.sequence_settings import SequenceSettings
from avrec_dag.recommend.models.sequence_training import Training
from avrec_dag.recommend.models.sequence_windows import Watched, Windows
from avrec_dag.understanding.fitting import one_thread

Array = NDArray[np.float32]


class Members:
    """Networks, each `widening` times as wide as the one before: what differs in size errs differently.

    Attributes:
        networks: On the GPU where there is one.
        tables: Each network's vector of every item, (items, width), once it is trained.
    """

    def __init__(self, networks: Sequence[SequenceNetwork], tables: Sequence[Array], settings: SequenceSettings) -> None:
        self.networks, self.tables, self.settings = list(networks), list(tables), settings

    @classmethod
    def begun(cls, shape: Shape, settings: SequenceSettings, seed: int) -> Self:
        """Networks with weights drawn at random."""
        networks = []
        with torch.random.fork_rng(devices=[]):
            for member in range(settings.members):
                torch.manual_seed(seed + _APART * member)
                networks.append(_network(shape, settings, member).to(_device()))
        return cls(networks, [], settings)

    @classmethod
    def read(cls, shape: Shape, settings: SequenceSettings, members: int, array: Callable[[str, tuple[int, ...]], Array]) -> Self:
        """Networks with stored weights, which `array` gives by name and shape; it refuses what does not fit before memory is taken."""
        networks, tables = [], []
        for member in range(members):
            with torch.device("meta"):
                blank = _network(shape, settings, member).state_dict()
            weights = {name: torch.from_numpy(array(f"{member}.{name}", tuple(value.shape)).copy()) for name, value in blank.items()}
            tables.append(array(f"{member}.table", (shape.items, blank["items.own"].shape[1])))
            networks.append(_network(shape, settings, member))
            networks[-1].load_state_dict(weights)
        return cls([network.to(_device()).eval() for network in networks], tables, settings)

    @property
    def shape(self) -> Shape:
        """Of the first network."""
        return self.networks[0].shape

    def grown(self, shape: Shape) -> "Members":
        """The same weights over more items, whose own vectors are zero."""
        wider = []
        for member, network in enumerate(self.networks):
            weights = dict(network.state_dict())
            own = weights["items.own"]
            weights["items.own"] = torch.cat([own, own.new_zeros(shape.items - len(own), own.shape[1])])
            wider.append(_network(shape, self.settings, member))
            wider[-1].load_state_dict(weights)
        return Members([network.to(_device()) for network in wider], [], self.settings)

    def train(
        self, learn: Windows, support: NDArray[np.int64], vectors: Array | None, epochs: Sequence[int], watch: Watched | None, seed: int
    ) -> tuple[int, ...]:
        """Train one after the other, each for at most as many of `epochs` as its place says; see `Training.run`.

        A member for which there is no time left is dropped, and so is one that `epochs` does not name.

        Returns:
            The epochs of each.
        """
        begun, trained = time.monotonic(), []
        for member, (network, most) in enumerate(zip(self.networks, epochs, strict=False)):
            left = self.settings.max_seconds - (time.monotonic() - begun)
            if member and left < (time.monotonic() - begun) / member:
                break
            training = Training(network, self.settings, support, vectors, seed + _APART * member)
            trained.append(training.run(learn, most, watch, left))
            self.tables.append(training.finished())
        del self.networks[len(self.tables) :]
        return tuple(trained)

    def scores(self, histories: Interactions, candidates: NDArray[np.int64] | None) -> Array:
        """(users, candidates or all items): mean logits.

        Args:
            histories: Liked events only.
            candidates: Columns.
        """
        with one_thread(), torch.inference_mode():
            total = torch.zeros(())
            for network, table in zip(self.networks, self.tables, strict=True):
                items = torch.from_numpy(table).to(network.place.device)
                ends = states_at_ends(network, items, histories)
                total = total + ends @ (items if candidates is None else items[torch.from_numpy(candidates).to(items.device)]).T
            return (total / len(self.networks)).cpu().numpy()

    def arrays(self) -> dict[str, Array]:
        """All that `read` asks for, by name."""
        made = {}
        for member, (network, table) in enumerate(zip(self.networks, self.tables, strict=True)):
            made |= {f"{member}.{name}": value.cpu().numpy() for name, value in network.state_dict().items()}
            made[f"{member}.table"] = table
        return made


_APART = 1000
"""Between the seeds of members."""


def _network(shape: Shape, settings: SequenceSettings, member: int) -> SequenceNetwork:
    own = replace(shape, width=shape.width * settings.widening**member)
    return SequenceNetwork(own, settings.dropout, settings.filter_share)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
