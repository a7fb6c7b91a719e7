"""The report of an experiment: what each arm showed, what came of it, and how that differs from the control."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.experiments.arms import Experiment
from avrec_dag.experiments.comparing import LEAST_RATIO_P, Difference, Estimate, People, Per, against, ratio_p
from avrec_dag.experiments.impressions import ImpressionLog
from avrec_dag.experiments.items import Catalogued
from avrec_dag.experiments.outcomes import REWARDS, WINDOW_H, Outcomes, gather
from avrec_dag.feedback import FeedbackLog
from avrec_dag.recommend.metrics import intra_list_distance

PER: tuple[Per, ...] = ("per_list", "per_user")
_MOST_LISTS = 2000
"""Variety and quality are those of so many lists of an arm at most, drawn by the seed."""


@dataclass(frozen=True)
class Shown:
    """What lists were like.

    Attributes:
        items: How many different ones they held.
        distance: Mean cosine distance within a list; None where nothing is known of the items.
        quality: Mean quality of what they held; the same.
    """

    items: int
    distance: float | None
    quality: float | None


@dataclass(frozen=True)
class ArmReport:
    """One arm.

    Attributes:
        name: Its name.
        share: Of the people, as configured; None where the configuration is not at hand.
        users: How many people saw it.
        lists: How many lists they were shown.
        rewards: Reward -> per_list, per_user -> mean with its interval.
        differences: The same less the control; empty for the control.
        shown: What its lists were like.
    """

    name: str
    share: float | None
    users: int
    lists: int
    rewards: Mapping[str, Mapping[Per, Estimate]]
    differences: Mapping[str, Mapping[Per, Difference]]
    shown: Shown


@dataclass(frozen=True)
class ShadowReport:
    """One shadow.

    Attributes:
        name: Its name.
        lists: How many it made.
        shared: Of its places, the share whose item stood somewhere on the list shown in its stead.
        shown: What its lists were like.
    """

    name: str
    lists: int
    shared: float
    shown: Shown


@dataclass(frozen=True)
class Report:
    """An experiment.

    Attributes:
        experiment: Its name.
        control: The arm that others are compared with.
        window_h: Hours for which an event counts for a list.
        arms: The arms that were shown, the control first.
        shadows: The others.
        ratio_p: See `comparing.ratio_p`; None without the configuration, or with one arm.
        moved: People who saw several arms, as shares or salt were changed; they are left out.
        notes: What keeps it from being believed, in sentences.
    """

    experiment: str
    control: str
    window_h: float
    arms: Sequence[ArmReport]
    shadows: Sequence[ShadowReport] = ()
    ratio_p: float | None = None
    moved: int = 0
    notes: Sequence[str] = field(default_factory=tuple)

    def told(self) -> dict[str, Any]:
        """As JSON knows it: what cannot be told is null."""
        return finite(asdict(self))


def report(
    name: str, shown: ImpressionLog, log: FeedbackLog, items: Catalogued, experiment: Experiment | None = None, *,
    since: str = "", until: str = "", window_h: float = WINDOW_H, seed: int = 0,
) -> Report:  # fmt: skip
    """Report on an experiment.

    Args:
        name: Its name.
        shown: The log of what was shown.
        log: What people did.
        items: What is known of the items.
        experiment: Its configuration, if at hand: without it, shares are not checked, and the first arm by name is the control.
        since: From this UTC day on, YYYY-MM-DD.
        until: Up to this one.
        window_h: Hours for which an event counts for a list.
        seed: Of the bootstrap.
    """
    days = {"since": since, "until": until}
    found = gather(shown.impressions(name, **days), log, window_h=window_h)
    moved, stay = _stayed(found)
    order = sorted(range(len(found.arms)), key=lambda arm: found.arms[arm])
    control = experiment.controlled_by if experiment else found.arms[order[0]] if order else ""
    order.sort(key=lambda arm: found.arms[arm] != control)
    people = {found.arms[arm]: _people(found, stay & (found.arm == arm), [seed, arm]) for arm in order}
    shares = {one.name: one.share for one in experiment.shown} if experiment else {}
    arms = [_arm(found, arm, people, control, shares.get(found.arms[arm]), stay, items, seed) for arm in order]
    p = ratio_p({one.name: one.users for one in arms}, shares)
    told = None if math.isnan(p) else p
    shadows = _shadows(found, shown, name, days, items, seed)
    return Report(name, control, window_h, arms, shadows, told, moved, _notes(arms, control, shares, told, moved))


def _stayed(found: Outcomes) -> tuple[int, NDArray[np.bool_]]:
    """How many people saw several arms, and (lists,) bool, the lists of all others."""
    pairs = np.unique(np.column_stack([found.user, found.arm]), axis=0)
    seen = np.bincount(pairs[:, 0], minlength=len(found.users))
    return int((seen > 1).sum()), seen[found.user] == 1 if len(found.user) else np.zeros(0, bool)


def _people(found: Outcomes, chosen: NDArray[np.bool_], seed: list[int]) -> People:
    users, place = np.unique(found.user[chosen], return_inverse=True)
    lists = np.bincount(place, minlength=len(users)).astype(np.float64)
    totals = {name: np.bincount(place, found.by_list(name)[chosen], minlength=len(users)).astype(np.float64) for name in REWARDS}
    return People(lists, totals, int(np.random.SeedSequence(seed).generate_state(1)[0]))


def _arm(
    found: Outcomes,
    arm: int,
    people: Mapping[str, People],
    control: str,
    share: float | None,
    stay: NDArray[np.bool_],
    items: Catalogued,
    seed: int,
) -> ArmReport:
    name = found.arms[arm]
    mine, rows = people[name], np.flatnonzero(stay & (found.arm == arm))
    rewards = {reward: {per: mine.estimate(reward, per) for per in PER} for reward in REWARDS}
    differs = name != control and control in people and len(mine.lists) and len(people[control].lists)
    less = {reward: {per: against(mine, people[control], reward, per) for per in PER} for reward in REWARDS} if differs else {}
    return ArmReport(name, share, len(mine.lists), len(rows), rewards, less, _shown(found, rows, items, seed))


def _shown(found: Outcomes, rows: NDArray[np.int64], items: Catalogued, seed: int) -> Shown:
    held = {found.items[one] for row in rows for one in found.item[found.starts[row] : found.starts[row + 1]]}
    if len(rows) > _MOST_LISTS:
        rows = np.random.default_rng(seed).choice(rows, _MOST_LISTS, replace=False)
    lists = [[found.items[one] for one in found.item[found.starts[row] : found.starts[row + 1]]] for row in rows]
    vectors = [np.array([one for one in map(items.vector, media_ids) if one is not None]) for media_ids in lists]
    distances = [intra_list_distance(one) for one in vectors if len(one) > 1]
    qualities = [one for media_ids in lists for one in map(items.quality, media_ids) if one is not None]
    return Shown(len(held), float(np.mean(distances)) if distances else None, float(np.mean(qualities)) if qualities else None)


def _shadows(found: Outcomes, shown: ImpressionLog, name: str, days: Mapping[str, str], items: Catalogued, seed: int) -> list[ShadowReport]:
    shared: dict[str, list[float]] = {}
    made = []
    for one in shown.impressions(name, shadows=True, since=days["since"], until=days["until"]):
        row = found.row.get(one.shadow_of)
        if row is not None and one.shown:
            seen = {found.items[item] for item in found.item[found.starts[row] : found.starts[row + 1]]}
            shared.setdefault(one.arm, []).append(sum(item in seen for item in one.shown) / len(one.shown))
            made.append(one)
    lists = Outcomes.of(made)
    return [
        ShadowReport(arm, len(shared[arm]), float(np.mean(shared[arm])), _shown(lists, np.flatnonzero(lists.arm == number), items, seed))
        for number, arm in enumerate(lists.arms)
    ]


def _notes(arms: Sequence[ArmReport], control: str, shares: Mapping[str, float], p: float | None, moved: int) -> tuple[str, ...]:
    notes = []
    if p is not None and p < LEAST_RATIO_P:
        counted = ", ".join(f"{one.name} {one.users}" for one in arms)
        notes.append(
            f"people are not spread over the arms as their shares say ({counted}; p = {p:.1g}): find out why before believing anything else"
        )
    if not shares:
        notes.append("the configuration of this experiment is not in AVREC_EXPERIMENT, so that shares are not checked")
    if moved:
        notes.append(f"{moved} people saw several arms, as shares or salt were changed meanwhile: they are left out")
    if arms and control not in {one.name for one in arms}:
        notes.append(f"the control {control} was shown to nobody, so that nothing is compared")
    return tuple(notes)


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value
