"""One model out of several: their standard scores, each weighted by how well the item and the person are known."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import SettingError
from avrec_dag.recommend.models import weighing
from avrec_dag.recommend.models.base import Files, Interactions, Model
from avrec_dag.recommend.models.weighing import COLD_AT, Array, Examples, Weights

_FILE = "blend.json"
_CELLS = 4_000_000
"""So many cells of people times items are scored at once while weights are learned."""


@dataclass(frozen=True)
class BlendSettings:
    """How the weights are learned.

    Attributes:
        l2: Penalty on the weights (`weighing.learn`).
        people: Of so many people at most the held-out item is ranked.
        top: So many candidates are taken from each component, and as many in all at random.
        cold_share: Held-out cold items (`weighing.COLD_AT`) together count at least so much, where the items have content: there are few of
            them, and what is new is what only content can carry. 0 counts every held-out item alike.
    """

    l2: float = 4.0
    people: int = 4000
    top: int = 100
    cold_share: float = 0.3


@dataclass(frozen=True)
class Parts:
    """What each component adds to the scores of some people.

    Attributes:
        values: Component -> (people, items) float32; they add up to the score.
        factors: Component -> (people, items) float32: by what its raw score is multiplied (a constant per person is taken off besides).
    """

    values: Mapping[str, Array]
    factors: Mapping[str, Array]


class Blend:
    """A weighted sum of models.

    Args:
        components: What is blended, unfitted or fitted, with different names.
        settings: See `BlendSettings`.
    """

    name: ClassVar[str] = "blend"
    source: ClassVar[str] = "feature-weighted linear stacking (Sill et al. 2009) by conditional logit (McFadden 1974)"

    def __init__(self, components: Sequence[Model], settings: BlendSettings | None = None) -> None:
        self.components = tuple(components)
        self.settings = settings or BlendSettings()
        self.items: tuple[str, ...] = ()
        self.support = np.zeros(0, np.int64)
        self.weights = Weights.even(len(self.components))
        self._placed: tuple[tuple[str, ...], NDArray[np.int64]] = ((), np.zeros(0, np.int64))

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Hold a liked item of some people out, fit the components on the rest, learn the weights on it, then let them learn on to all."""
        early, people, targets = last_out(data, self.settings.people, seed=seed)
        for component in self.components:
            component.fit(early, seed=seed)
        self.known(early)
        self.weigh(early.of(people), targets, seed=seed)
        for component in self.components:
            component.fit_partial(data, seed=seed)
        self.known(data)

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """The components learn on; the weights stay."""
        for component in self.components:
            component.fit_partial(data, seed=seed)
        self.known(data)

    def known(self, data: Interactions) -> None:
        """Say what the components were fitted on, where others fitted them."""
        self.items, self.support = data.items, data.support()

    def weigh(self, histories: Interactions, targets: NDArray[np.int64], *, seed: int = 0) -> None:
        """Learn the weights on held-out items that no component has seen.

        Args:
            histories: What was known of each person before.
            targets: (people,) column of the item each met next.
            seed: Of the sample of people and of candidates.
        """
        rng = np.random.default_rng([seed, 7])
        n = len(histories.items)
        chosen = np.flatnonzero(~np.isin(np.arange(len(targets)) * n + targets, histories.rows * n + histories.columns))
        chosen = np.sort(rng.choice(chosen, min(len(chosen), self.settings.people), replace=False))
        if not len(chosen) or n < 2:
            self.weights = Weights.even(len(self.components))
            return
        batches = [self._examples(histories.of(some), targets[some], rng) for some in _batches(chosen, n)]
        pooled = {name: np.concatenate([getattr(one, name) for one in batches]) for name in Examples.__annotations__}
        pooled["importance"] = self._importance(targets[chosen], histories.vectors is not None)
        self.weights = weighing.learn(Examples(**pooled), l2=self.settings.l2)

    def _importance(self, targets: NDArray[np.int64], content: bool) -> NDArray[np.float64]:
        cold = self.support[targets] <= COLD_AT
        even = np.full(len(targets), 1.0 / len(targets))
        share = self.settings.cold_share
        if not content or not 0 < cold.mean() < share:
            return even
        return np.where(cold, share / cold.sum(), (1 - share) / (~cold).sum())

    def _examples(self, histories: Interactions, targets: NDArray[np.int64], rng: np.random.Generator) -> Examples:
        shut = histories.met.toarray() > 0
        z = [np.where(shut, -np.inf, weighing.standardise(one, ~shut)[0]) for one in self._raw(histories)]
        columns, open_to = weighing.drawn(z, targets, top=self.settings.top, at_random=self.settings.top, rng=rng)
        stacked = np.stack([np.take_along_axis(one, columns, axis=1) for one in z], axis=2)
        return Examples(
            z=np.where(open_to[:, :, None], stacked, 0).astype(np.float32),
            items=weighing.item_features(self._support(histories.items))[columns],
            users=weighing.user_features(np.diff(histories.indptr)),
            open_to=open_to,
            target=np.zeros(len(targets), np.int64),
            importance=np.ones(len(targets)),
            offset=weighing.stood_for(open_to, (~shut).sum(axis=1), self.settings.top),
        )

    def _raw(self, histories: Interactions) -> Iterator[Array]:
        """(people, items) of each component; one that does not know an item gives it what it gives on average."""
        known, place = histories, self._place(histories.items)
        if place is not None:
            known = _within(histories, place, self.items)
        for component in self.components:
            if place is None or getattr(component, "any_items", False):
                yield component.score(histories)
                continue
            raw = component.score(known)
            mean = raw.mean(axis=1, keepdims=True) if raw.size else np.zeros((len(raw), 1), np.float32)
            yield np.concatenate([raw, mean], axis=1)[:, place].astype(np.float32)

    def _place(self, items: tuple[str, ...]) -> NDArray[np.int64] | None:
        """(items,) where each stands in the order of the components, -1 where it is new to them; None where the order is the same."""
        if items is self.items or items == self.items:
            return None
        if self._placed[0] is not items:
            column = {name: place for place, name in enumerate(self.items)}
            self._placed = (items, np.array([column.get(name, -1) for name in items], np.int64))
        return self._placed[1]

    def _support(self, items: tuple[str, ...]) -> NDArray[np.int64]:
        place = self._place(items)
        return self.support if place is None else np.append(self.support, 0)[place]

    def parts(self, histories: Interactions) -> Parts:
        """What each component adds to the score of each item.

        The items of the histories may be others than those fitted on, in any order: what is new to the components has no support, so that
        content carries it, and what is not among them is not scored.
        """
        open_to = histories.met.toarray() == 0
        values, factors = {}, {}
        weights = self.weights.of(np.diff(histories.indptr), self._support(histories.items))
        for component, raw, weight in zip(self.components, self._raw(histories), weights, strict=True):
            z, scale = weighing.standardise(raw, open_to)
            values[component.name] = weight * z
            factors[component.name] = weight * scale[:, None]
        return Parts(values, factors)

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> Array:
        """See `Model.score`. Standard scores are over all items that the person has not met, so that all are scored whatever is asked."""
        total = np.zeros((len(histories.users), len(histories.items)), np.float32)
        for value in self.parts(histories).values.values():
            total += value
        return total if candidates is None else total[:, candidates]

    def save(self) -> Files:
        """blend.json and the files of each component under its name and a dot."""
        facts = {"format": 1, "components": [one.name for one in self.components], "items": list(self.items),
                 "support": self.support.tolist(), "theta": self.weights.theta.tolist(), "settings": asdict(self.settings)}  # fmt: skip
        own = {_FILE: json.dumps(facts, ensure_ascii=False).encode()}
        return own | {f"{one.name}.{name}": content for one in self.components for name, content in one.save().items()}

    @classmethod
    def load(cls, files: Files, classes: Mapping[str, type[Model]]) -> Self:
        """The inverse of `save`.

        Args:
            files: What `save` gave.
            classes: The models by name.
        """
        facts = json.loads(files[_FILE])
        unknown = [name for name in facts["components"] if name not in classes]
        if unknown:
            raise SettingError(f"the stored blend is made of {', '.join(unknown)}, which this version does not know: train it anew")
        components = []
        for name in facts["components"]:
            own = {key.removeprefix(f"{name}."): content for key, content in files.items() if key.startswith(f"{name}.")}
            components.append(classes[name].load(own))
        found = cls(components, BlendSettings(**facts["settings"]))
        found.items, found.support = tuple(facts["items"]), np.array(facts["support"], np.int64)
        found.weights = Weights(np.array(facts["theta"], np.float64))
        return found


def last_out(data: Interactions, people: int, *, seed: int = 0) -> tuple[Interactions, NDArray[np.int64], NDArray[np.int64]]:
    """Take the newest liked item of some people away, and what they did from then on.

    Args:
        data: Everything.
        people: Of so many at most.
        seed: Who.

    Returns:
        The rest, the (m,) rows of these people, and the (m,) column taken from each.
    """
    rng = np.random.default_rng([seed, 11])
    likes = np.flatnonzero(data.weights > 0)
    rows = data.rows
    counts = np.bincount(rows[likes], minlength=len(data.users))
    last = np.full(len(data.users), -1, np.int64)
    last[rows[likes]] = likes  # of several the last one stays
    able = np.flatnonzero(counts >= 2)
    chosen = np.sort(rng.choice(able, min(len(able), people), replace=False))
    cut = np.full(len(data.users), len(data), np.int64)
    cut[chosen] = last[chosen]
    return data.only(np.arange(len(data)) < cut[rows]), chosen, data.columns[last[chosen]].astype(np.int64)


def _batches(people: NDArray[np.int64], items: int) -> Iterator[NDArray[np.int64]]:
    size = max(1, min(256, _CELLS // max(items, 1)))
    for start in range(0, len(people), size):
        yield people[start : start + size]


def _within(histories: Interactions, place: NDArray[np.int64], items: tuple[str, ...]) -> Interactions:
    """The same histories over the items of the components, without what these do not know."""
    kept = histories.only(place[histories.columns] >= 0)
    return replace(kept, items=items, columns=place[kept.columns].astype(np.int32), vectors=None)
