"""What everybody likes: the baseline to beat, and what carries a person of whom nothing is known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models import files
from avrec_dag.recommend.models.base import Files, Interactions
from avrec_dag.recommend.models.histories import checked

_DAY_S = 86400.0


@dataclass(frozen=True)
class PopularitySettings:
    """How popularity is counted.

    Attributes:
        half_life_days: A like counts half for every so many days that it lies before the newest event of all; 0: for ever the same.
    """

    half_life_days: float = 0.0


class Popularity:
    """The sum of everybody's likes, faded with time."""

    name: ClassVar[str] = "popularity"
    source: ClassVar[str] = "Ji, Sun, Zhang and Li, 'A Re-visit of the Popularity Baseline in Recommender Systems', SIGIR 2020 (DecayPop)"

    def __init__(self, settings: PopularitySettings = PopularitySettings()) -> None:
        if settings.half_life_days < 0:
            raise ModelError(f"popularity: {settings} cannot work: a half-life is at least 0")
        self.settings = settings
        self.items: tuple[str, ...] = ()
        self.counts = np.zeros(0, np.float32)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:  # noqa: ARG002 (nothing is drawn)
        """See `Model.fit`."""
        checked(data)
        self.items, self.counts = data.items, np.asarray(self._faded(data).liked.sum(axis=0), np.float32).ravel()

    def _faded(self, data: Interactions) -> Interactions:
        if not self.settings.half_life_days or not len(data):
            return data
        age_days = (data.at_s.max() - data.at_s) / _DAY_S
        return replace(data, weights=(data.weights * 0.5 ** (age_days / self.settings.half_life_days)).astype(np.float32))

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """See `Model.fit_partial`: counting anew is one pass over the events, and exact."""
        self.fit(data, seed=seed)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """See `Model.score`; the same for everybody."""
        checked(histories, self.items)
        return np.tile(self.counts if candidates is None else self.counts[candidates], (len(histories.users), 1))

    def per_class(self, classes: Sequence[Collection[str]]) -> Mapping[str, NDArray[np.float32]]:
        """What is popular within each class, for somebody who has only said what interests them.

        Args:
            classes: Those of each item, in the order of the items.

        Returns:
            Class -> (items,) float32, an item's share of all likes in the class; 0 for items outside of it.
        """
        members: dict[str, list[int]] = {}
        for column, names in enumerate(classes):
            for name in names:
                members.setdefault(name, []).append(column)
        shares = {name: np.zeros(len(self.items), np.float32) for name in sorted(members)}
        for name, share in shares.items():
            share[members[name]] = self.counts[members[name]]
            share /= max(float(share.sum()), np.finfo(np.float32).tiny)
        return shares

    def save(self) -> Files:
        """See `Model.save`."""
        return files.pack(self.name, self.settings, self.items, {"counts": self.counts})

    @classmethod
    def load(cls, stored: Files) -> Self:
        """See `Model.load`; ModelError where the files are not such a model's."""
        read = files.unpack(stored, cls.name)
        model = cls(read.settings(PopularitySettings))
        model.items, model.counts = read.items, read.array("counts", np.float32, (len(read.items),))
        return model
