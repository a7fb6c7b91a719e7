"""The lists that a replay asks about: those of a shadow as they were logged, or those that other knobs make of what was known then."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from avrec_dag.errors import AvrecError
from avrec_dag.experiments.impressions import ERASED, Impression, ImpressionLog
from avrec_dag.experiments.outcomes import WINDOW_H, Outcomes, gather
from avrec_dag.experiments.replaying import Logged
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.history import History
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.reranking.knobs import Knobs, method_of

MOST_LISTS = 2000
LEAST_FAITHFUL = 0.9
"""Of the places of lists that are made again as they were logged, so many must come out the same."""
_MOST_EVENTS, _MADE_AGAIN = 10_000, 100


class UnfaithfulError(AvrecError):
    """The library of now makes other lists than that of then."""


@dataclass(frozen=True)
class Period:
    """Which lists of an experiment are looked at.

    Attributes:
        experiment: Its name.
        since: From this UTC day on, YYYY-MM-DD; empty: from the first.
        until: Up to this one; empty: to the last.
        window_h: Hours for which an event counts for a list.
    """

    experiment: str
    since: str = ""
    until: str = ""
    window_h: float = WINDOW_H

    def lists(self, log: ImpressionLog, *, shadows: bool = False) -> Iterator[Impression]:
        """Them, in time order."""
        return log.impressions(self.experiment, since=self.since, until=self.until, shadows=shadows)


@dataclass(frozen=True)
class Question:
    """What can be replayed.

    Attributes:
        lists: Drawn ones, each beside the one in question.
        left_out: Why others are not among them -> how many.
        faithful: Of the places of lists that were made again as they were logged, the share that came out the same; None for a shadow.
    """

    lists: Sequence[Logged]
    left_out: Mapping[str, int]
    faithful: float | None = None


def of_shadow(arm: str, period: Period, log: ImpressionLog, events: FeedbackLog, *, most: int = MOST_LISTS, seed: int = 0) -> Question:
    """The lists of a shadow, exactly as they were made at that time.

    Args:
        arm: Its name.
        period: Which lists.
        log: What was shown.
        events: What people did.
        most: Of more lists than this, so many are drawn.
        seed: Of that.
    """
    wanted = {one.shadow_of: one.shown for one in period.lists(log, shadows=True) if one.arm == arm}
    left: Counter[str] = Counter()
    chosen = _chosen(
        (one for one in _drawn(period.lists(log), left) if _kept(one.impression_id in wanted, "without a shadow", left)), most, seed, left
    )
    found = gather(period.lists(log), events, window_h=period.window_h)
    return Question([_logged(one, wanted[one.impression_id], found) for one in chosen], left)


def of_knobs(
    knobs: Mapping[str, Any], period: Period, log: ImpressionLog, events: FeedbackLog, recommender: Recommender, *,
    any_model: bool = False, most: int = MOST_LISTS, seed: int = 0,
) -> Question:  # fmt: skip
    """The lists that other knobs make of what was known of each person at that time.

    The model, the index and all else are those of now. So only lists of the model of now are taken, which has not learned from what came
    of them; and some are made again as they were logged, to see whether the library of now makes the lists of then.

    Args:
        knobs: Changes to the knobs of each list.
        period: Which lists.
        log: What was shown.
        events: What people did.
        recommender: Makes them.
        any_model: Take lists of other models, too: the estimate may be too good, as the model has learned from what came of them.
        most: Of more lists than this, so many are drawn.
        seed: Of that.

    Raises:
        UnfaithfulError: Fewer places come out the same than `LEAST_FAITHFUL`.
        ValueError: The knobs do not go with those of a list.
    """
    left: Counter[str] = Counter()
    model = recommender.model_version
    first = (one for one in _drawn(period.lists(log), left) if _kept(not one.continued, "that went on from an earlier part", left))
    same = (one for one in first if _kept(any_model or one.versions.get("model") == model, "of another model", left))
    chosen = sorted(_chosen(same, most, seed, left), key=lambda one: one.user_id)
    then = _Then(recommender, events)
    faithful = _faithful(chosen, then, seed)
    found = gather(period.lists(log), events, window_h=period.window_h)
    made = [_logged(one, then.listed(one, read_knobs(one.versions["knobs"]).turned(**knobs)), found) for one in chosen]
    return Question(made, left, faithful)


def read_knobs(canonical: str) -> Knobs:
    """The inverse of `Knobs.canonical`."""
    told = dict(part.split("=", 1) for part in canonical.split(","))
    numbers = {name: float(value) for name, value in told.items() if name not in ("method", "per_creator")}
    return Knobs(**numbers, per_creator=int(told["per_creator"]), method=method_of(told["method"]))


class _AsOf(Recommender):
    """Knows of a person what it is told, and not what the tables have learned since."""

    def known(self, user_id: str, events: Sequence[Event] = ()) -> History:
        del user_id
        return History(rules=self.histories.rules).extended(events, self.catalogue.creators)


class _Then:
    """Lists as of the moment of an impression; best asked person by person."""

    def __init__(self, recommender: Recommender, log: FeedbackLog) -> None:
        self.recommender = _AsOf(**{one.name: getattr(recommender, one.name) for one in fields(recommender)})
        self.log, self.user, self.events = log, "", []

    def listed(self, one: Impression, knobs: Knobs) -> tuple[str, ...]:
        if self.user != one.user_id:
            place = self.recommender.catalogue.index.place
            held = self.log.of_user(one.user_id, limit=_MOST_EVENTS, impressions=False)
            self.user, self.events = one.user_id, [event for event in held if not event.media_id or event.media_id in place]
        known = [event for event in self.events if event.happened_at <= one.served_at]
        made = self.recommender.recommend(one.user_id, len(one.policy.own), events=known, context=Context(**one.context), **asdict(knobs))
        return tuple(item.media_id for item in made)


def _faithful(chosen: Sequence[Impression], then: _Then, seed: int) -> float | None:
    if not chosen:
        return None
    picked = np.random.default_rng(seed).choice(len(chosen), min(len(chosen), _MADE_AGAIN), replace=False)
    same, places = 0, 0
    for one in (chosen[row] for row in sorted(picked.tolist())):
        again = then.listed(one, read_knobs(one.versions["knobs"]))
        same += sum(a == b for a, b in zip(again, one.policy.own, strict=False))
        places += len(one.policy.own)
    if same < LEAST_FAITHFUL * places:
        raise UnfaithfulError(
            f"of the places of {len(picked)} lists made again, only {same / places:.0%} hold what was logged, {LEAST_FAITHFUL:.0%} are "
            "needed: the library has changed since and cannot tell what it would have shown; replay newer lists (--since), or run a shadow"
        )
    return same / places


def _drawn(lists: Iterable[Impression], left: Counter[str]) -> Iterator[Impression]:
    for one in lists:
        whole = ERASED not in one.shown and ERASED not in one.policy.pool
        if (
            _kept(one.policy.epsilon > 0, "of an arm without epsilon", left)
            and _kept(one.policy.known and bool(one.shown), "whose pool was not worked out", left)
            and _kept(whole, "that held an item that was erased", left)
        ):
            yield one


def _kept(good: bool, otherwise: str, left: Counter[str]) -> bool:
    left[otherwise] += not good
    return good


def _chosen(lists: Iterable[Impression], most: int, seed: int, left: Counter[str]) -> list[Impression]:
    """At most so many, all equally likely, in one pass and no more memory than that (algorithm R, Vitter 1985)."""
    rng, held = np.random.default_rng(seed), []
    for number, one in enumerate(lists):
        if number < most:
            held.append(one)
        elif (place := int(rng.integers(0, number + 1))) < most:
            held[place] = one
        left["not drawn"] += number >= most
    return held


def _logged(one: Impression, wanted: Sequence[str], found: Outcomes) -> Logged:
    start = found.starts[found.row[one.impression_id]]
    rewards = {name: values[start : start + len(one.shown)].tolist() for name, values in found.rewards.items()}
    return Logged(one.user_id, one.shown, one.policy, wanted, rewards)
