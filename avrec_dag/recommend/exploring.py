"""New items get a capped share of a list, by Thompson sampling on how well they are received.

Thompson, On the likelihood that one unknown probability exceeds another, Biometrika 1933; Chapelle and Li, An empirical evaluation of
Thompson sampling, NIPS 2011: of every item one draw from what is believed of it, the highest are shown. An item that pleased whom it was
shown to is drawn high, one that nobody has met is drawn anywhere, one that was passed over is drawn low: what is shown is learned about.

What is believed follows from the last fit from nothing, not from the minute: delayed feedback costs Thompson sampling little (the same
paper, section 5), and nobody's list changes because somebody else did something.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avrec_dag.recommend.blend import Scores
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.interactions import cells_of
from avrec_dag.recommend.models.weighing import COLD_AT, Array
from avrec_dag.recommend.pool import quantile
from avrec_dag.recommend.reranking.listing import Listed, Shelf

PRIOR_PEOPLE = 4.0
"""What is expected of an item counts as much as so many people who met it."""
SUITS = 0.25
"""An item suits a person that is among this share of what they have not met, popularity left out."""
PASSED_AT, MOST_PASSED = 0.05, 5
"""An item shown to somebody who did nothing displeased them by so much each time, so many times at most."""
_NEVER, _ALWAYS = 0.05, 0.95


@dataclass(frozen=True, eq=False)
class Tried:
    """How items were received until the model was last fitted from nothing.

    Attributes:
        pleased: (items,) float32: sum over people of what speaks for liking, in [0, 1] each (`History.weight`).
        displeased: (items,) float32: of what speaks against it, and of impressions passed over.
        stamp: Of that fit: the draws of a person change with it.
    """

    pleased: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    displeased: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    stamp: str = ""

    @classmethod
    def of(cls, interactions: pa.Table, items: Sequence[str], stamp: str = "") -> "Tried":
        """From media_ids, weights, shown_ids and shown_n of `interactions`, in an order of items; others are left out."""
        met, shown = cells_of(interactions["media_ids"], items), cells_of(interactions["shown_ids"], items)
        weights, times = met.values(interactions["weights"]), np.minimum(shown.values(interactions["shown_n"]), MOST_PASSED)
        n = len(items)
        pleased = np.bincount(met.columns, np.maximum(weights, 0.0), minlength=n)
        passed = np.bincount(shown.columns, PASSED_AT * times, minlength=n)
        displeased = np.bincount(met.columns, np.maximum(-weights, 0.0), minlength=n) + passed
        return cls(pleased.astype(np.float32), displeased.astype(np.float32), stamp)

    def save(self) -> bytes:
        """As safetensors; the stamp is kept elsewhere."""
        from safetensors.numpy import save

        return save({"pleased": self.pleased, "displeased": self.displeased})

    @classmethod
    def load(cls, content: bytes | None, stamp: str) -> "Tried":
        """The inverse of `save`; nothing was tried where a model was stored without it."""
        from safetensors.numpy import load

        arrays = load(content) if content else {}
        return cls(arrays["pleased"], arrays["displeased"], stamp) if arrays else cls(stamp=stamp)


@dataclass(frozen=True, eq=False)
class Explorer:
    """What is believed of new items, in the order of the catalogue.

    Attributes:
        new: (items,) bool: at most `COLD_AT` people liked it or any copy of it, and it is the one shown of its copies.
        hopes: (items,) float64: first parameter of the Beta distribution over how well it is received.
        fears: (items,) float64: the second.
        stamp: Seeds the draws, with the person.
    """

    new: NDArray[np.bool_]
    hopes: NDArray[np.float64]
    fears: NDArray[np.float64]
    stamp: str

    @classmethod
    def of(cls, catalogue: Catalogue, groups: NDArray[np.int64], support: NDArray[np.int64], tried: Mapping[str, tuple[float, float]],
           stamp: str) -> "Explorer":  # fmt: skip
        """From what is known of the items.

        Args:
            catalogue: Them. What is expected of an item is the mean quality of its class; of one without a class, that of all items.
            groups: (items,) the group of copies of each: copies share what is known.
            support: (items,) how many people liked each.
            tried: Item -> how far it pleased and displeased; an item that is not there was never tried.
            stamp: See above.
        """
        items, n = catalogue.index.items, int(groups.max(initial=-1)) + 1
        seen = np.array([tried.get(one, (0.0, 0.0)) for one in items], np.float64).reshape(-1, 2)
        pleased, displeased = (np.bincount(groups, column, minlength=n)[groups] for column in seen.T)
        most = np.zeros(n)
        np.maximum.at(most, groups, support)
        expected = np.clip(_expected(catalogue), _NEVER, _ALWAYS)
        new = (most[groups] <= COLD_AT) & (catalogue.shown == np.arange(len(items)))
        return cls(new, PRIOR_PEOPLE * expected + pleased, PRIOR_PEOPLE * (1.0 - expected) + displeased, stamp)

    def drawn(self, user_id: str, scores: Scores) -> NDArray[np.int64]:
        """Where new items that suit a person stand in the scores, the highest draw first; the same for the same person, scores and stamp.

        Args:
            user_id: Whose the draws are.
            scores: That person's; -inf where an item must not be shown.
        """
        final, pool = scores.final[0], scores.pool
        open_to, new = np.isfinite(final), self.new if pool is None else self.new[pool.columns]
        if not (open_to & new).any():
            return np.zeros(0, np.int64)
        # What is new is not popular: that must not count against it.
        suits = final - scores.parts["popularity"][0] if "popularity" in scores.parts else final
        least = quantile(suits[open_to], 1.0 - SUITS, None if pool is None else pool.stands_for[open_to])
        able = np.flatnonzero(open_to & new & (suits >= least))
        columns = able if pool is None else pool.columns[able]
        seed = hashlib.sha256(f"{self.stamp}|{user_id}".encode()).digest()[:8]
        draws = np.random.default_rng(int.from_bytes(seed)).beta(self.hopes[columns], self.fears[columns])
        return able[np.argsort(-draws, kind="stable")]


def _expected(catalogue: Catalogue) -> NDArray[np.float64]:
    names = [next(iter(catalogue.labels.get(one, ())), None) for one in catalogue.index.items]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    kind = np.array([number[name] for name in names], np.int64)
    mean = np.bincount(kind, catalogue.quality) / np.maximum(np.bincount(kind), 1)
    everything = float(catalogue.quality.mean()) if len(kind) else 0.0
    return np.where([name is None for name in names], everything, mean[kind])


def explored(
    listed: Sequence[Listed], drawn: NDArray[np.int64], scores: Array, shelf: Shelf, *, k: int, share: float, per_creator: int
) -> list[Listed]:
    """A list with the first of the drawn items in place of its last ones, each where its score puts it.

    Args:
        listed: The list without them.
        drawn: Columns, the first to be shown first; those that stand there anyway, copies of such, and those beyond the cap of their
            creator are passed over.
        scores: (items,) by which it is ordered.
        shelf: The items.
        k: Places asked for.
        share: Of them, what new items may hold at most: rounded down.
        per_creator: At most so many items of one creator.
    """
    most = min(places(k, share), len(listed))
    groups = {int(shelf.groups[one.position]) for one in listed}
    makers = [int(shelf.creators[one.position]) for one in listed]
    chosen: list[int] = []
    for column in drawn.tolist():
        if len(chosen) == most:
            break
        group, maker = int(shelf.groups[column]), int(shelf.creators[column])
        if group not in groups and (maker < 0 or makers.count(maker) < per_creator):
            chosen.append(column)
            groups.add(group)
            makers.append(maker)
    kept = list(listed[: len(listed) - len(chosen)])
    for column in sorted(chosen, key=lambda one: (-scores[one], one)):
        at = next((place for place, one in enumerate(kept) if scores[one.position] < scores[column]), len(kept))
        kept.insert(at, Listed(column, "new"))
    return kept


def places(k: int, share: float) -> int:
    """How many of k places new items may hold."""
    return int(k * share + 1e-9)
