"""One model out of several: their standard scores, each weighted by how well the item and the person are known."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import SettingError
from avrec_dag.recommend.models import weighing
from avrec_dag.recommend.models.base import Files, Interactions, Model
from avrec_dag.recommend.models.weighing import COLD_AT, Array, Examples, Parts, Weights
from avrec_dag.recommend.pool import Pool, opened

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
            them, and what is new is what only content can carry. 0 counts every held-out item alike. On made people (`bench/cold_items.py`,
            seeds 100 to 105) less leaves cold items worse than content alone does, and 0.3 known ones worse than behaviour alone.
    """

    l2: float = 4.0
    people: int = 4000
    top: int = 100
    cold_share: float = 0.2


class Blend:
    """A weighted sum of models, which `compose` names; without any, every score is 0.

    Args:
        settings: See `BlendSettings`.
    """

    name: ClassVar[str] = "blend"
    source: ClassVar[str] = "feature-weighted linear stacking (Sill et al. 2009) by conditional logit (McFadden 1974)"

    def __init__(self, settings: BlendSettings | None = None) -> None:
        self.settings = settings or BlendSettings()
        self.components: tuple[Model, ...] = ()
        self.items: tuple[str, ...] = ()
        self.support = np.zeros(0, np.int64)
        self.weights = Weights.even(0)
        self._placed: tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64] | None] = ((), (), None)
        self._featured: tuple[tuple[str, ...] | None, NDArray[np.int64], Array] = (None, self.support, np.zeros((0, 3), np.float32))

    def compose(self, components: Mapping[str, Model]) -> None:
        """Take these models, fitted or not, in place of any before; what was learned about how to weigh the same ones stays."""
        if [one.name for one in self.components] != [one.name for one in components.values()]:
            self.weights = Weights.even(len(components))
        self.components = tuple(components.values())

    def tune(self, train: Interactions, valid: Interactions, *, seed: int = 0) -> None:
        """Learn the weights of components that were fitted on `train`.

        Args:
            train: What is known of each person.
            valid: What each met next; of several events one is drawn.
            seed: Of the draw, and as for `weigh`.
        """
        self.known(train)
        people = np.flatnonzero(np.diff(valid.indptr))
        drawn = np.random.default_rng([seed, 13]).integers(valid.indptr[people], valid.indptr[people + 1])
        self.weigh(train.of(people), valid.columns[drawn].astype(np.int64), seed=seed)

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Hold a liked item of some people out, fit the components on the rest, learn the weights on it, then let them learn on to all."""
        early, people, targets = weighing.last_out(data, self.settings.people, seed=seed)
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
        z = [np.where(shut, -np.inf, weighing.standardise(one, ~shut)[0]) for one in self.raw(histories)]
        columns, open_to = weighing.drawn(z, targets, top=self.settings.top, at_random=self.settings.top, rng=rng)
        stacked = np.stack([np.take_along_axis(one, columns, axis=1) for one in z], axis=2)
        return Examples(
            z=np.where(open_to[:, :, None], stacked, 0).astype(np.float32),
            items=self._features_of(histories.items)[columns],
            users=weighing.user_features(np.diff(histories.indptr)),
            open_to=open_to,
            target=np.zeros(len(targets), np.int64),
            importance=np.ones(len(targets)),
            offset=weighing.stood_for(open_to, (~shut).sum(axis=1), self.settings.top),
        )

    def raw(self, histories: Interactions) -> Iterator[Array]:
        """(people, items) of each component; one that does not know an item gives it what it gives on average."""
        for component in self.components:
            yield self.raw_of(component, histories)

    def raw_of(self, component: Model, histories: Interactions) -> Array:
        """The same of one component."""
        known, place = self.as_known(component, histories)
        raw = component.score(known)
        if place is not None:
            mean = raw.mean(axis=1, keepdims=True) if raw.size else np.zeros((len(raw), 1), np.float32)
            raw = np.concatenate([raw, mean], axis=1)[:, place].astype(np.float32)
        return raw

    def _raw(self, component: Model, histories: Interactions, pool: Pool | None) -> Array:
        if pool is None:
            return self.raw_of(component, histories)
        if component.name in pool.raw:
            return pool.raw[component.name][:, pool.columns]
        known, place = self.as_known(component, histories)
        return component.score(known, pool.columns) if place is None else self.raw_of(component, histories)[:, pool.columns]

    def as_known(self, component: Model, histories: Interactions) -> tuple[Interactions, NDArray[np.int64] | None]:
        """The histories over the items that a component knows, and (items,) the place of each there, -1 where there is none.

        None in place of the places where the component takes the histories as they are.
        """
        place = self._place(histories.items)
        if place is None or getattr(component, "any_items", False):
            return histories, None
        kept = histories.only(place[histories.columns] >= 0)
        return replace(kept, items=self.items, columns=place[kept.columns].astype(np.int32), vectors=None), place

    def _place(self, items: tuple[str, ...]) -> NDArray[np.int64] | None:
        """(items,) where each stands in the order of the components, -1 where it is new to them; None where the order is the same."""
        asked, known, place = self._placed
        if asked is not items or known is not self.items:
            place = None
            if items is not self.items and items != self.items:
                column = {name: place for place, name in enumerate(self.items)}
                place = np.array([column.get(name, -1) for name in items], np.int64)
            self._placed = (items, self.items, place)
        return place

    def support_of(self, items: tuple[str, ...]) -> NDArray[np.int64]:
        """(items,) how many people liked each when the blend was fitted; 0 for what is new."""
        place = self._place(items)
        return self.support if place is None else np.append(self.support, 0)[place]

    def _features_of(self, items: tuple[str, ...]) -> Array:
        """As `weighing.item_features`; worked out once for one order of items, as every list asks."""
        asked, support, found = self._featured
        if asked is not items or support is not self.support:
            found = weighing.item_features(self.support_of(items))
            self._featured = (items, self.support, found)
        return found

    def parts(self, histories: Interactions, pool: Pool | None = None) -> Parts:
        """What each component adds to the score of each item.

        The items of the histories may be others than those fitted on, in any order: what is new to the components has no support, so that
        content carries it, and what is not among them is not scored.

        Args:
            histories: Of some people.
            pool: Score these alone, for one person; what its `raw` holds is not worked out again.
        """
        open_to = opened(histories, pool)
        values, factors = {}, {}
        features = self._features_of(histories.items)
        weights = self.weights.of(np.diff(histories.indptr), features if pool is None else features.take(pool.columns, axis=0))
        for component, weight in zip(self.components, weights, strict=True):
            z, scale = weighing.standardise(self._raw(component, histories, pool), open_to, None if pool is None else pool.stands_for)
            values[component.name] = weight * z
            factors[component.name] = weight * scale[:, None]
        return Parts(values, factors, open_to)

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
    def load(cls, files: Files) -> Self:
        """The inverse of `save`.

        Raises:
            SettingError: It is made of models that are not known here.
        """
        from avrec_dag.recommend.models import registry

        facts = json.loads(files[_FILE])
        unknown = [name for name in facts["components"] if name not in registry.MODELS]
        if unknown:
            raise SettingError(f"the stored blend is made of {', '.join(unknown)}, which this version does not know: train it anew")
        found = cls(BlendSettings(**facts["settings"]))
        for name in facts["components"]:
            own = {key.removeprefix(f"{name}."): content for key, content in files.items() if key.startswith(f"{name}.")}
            found.components += (registry.MODELS[name].load(own),)
        found.items, found.support = tuple(facts["items"]), np.array(facts["support"], np.int64)
        found.weights = Weights(np.array(facts["theta"], np.float64))
        return found


def _batches(people: NDArray[np.int64], items: int) -> Iterator[NDArray[np.int64]]:
    size = max(1, min(256, _CELLS // max(items, 1)))
    for start in range(0, len(people), size):
        yield people[start : start + size]
