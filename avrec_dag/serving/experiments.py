"""Lists of an experiment: which arm a person is in, what they are shown, and what is logged of it behind the answer."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from avrec_dag.experiments.arms import Arm, Experiment, unit
from avrec_dag.experiments.impressions import Impression, ImpressionLog
from avrec_dag.experiments.randomising import Policy, drawn, pooled
from avrec_dag.experiments.writing import Writer
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.reranking.knobs import Changes, Knobs
from avrec_dag.serving.live import Live
from avrec_dag.serving.view import View, told

if TYPE_CHECKING:
    from avrec_dag.recommend.answers import Recommendation


@dataclass(frozen=True)
class Answer:
    """What a request for a list gets.

    Attributes:
        items: The list.
        notes: See `Live.recommend`.
        headers: What is told of the experiment, where the list belongs to one.
        cursor: Where the list goes on; None where it ends.
    """

    items: list[dict[str, Any]]
    notes: tuple[str, ...]
    headers: Mapping[str, str]
    cursor: str | None


def new_id() -> str:
    """Of an impression; whether and how its list is drawn follows from it."""
    return uuid.uuid4().hex


class Trial:
    """Answers requests for lists, as part of an experiment where there is one.

    Args:
        live: What lists are made from.
        experiment: The arms; None where none runs.

    Raises:
        SettingError: The knobs of an arm do not go with those of the deployment.
    """

    def __init__(self, live: Live, experiment: Experiment | None) -> None:
        self.live = live
        self.experiment = experiment.check(live.knobs) if experiment else None
        self.writer = Writer(ImpressionLog(live.log.url))

    def recommend(
        self, user_id: str, k: int, changes: Changes, context: Context, *, exclude: Sequence[str] = (), cursor: str | None = None
    ) -> Answer:
        """A list of the person's arm; as the request has it where it turns a knob itself, which belongs to no arm and is not logged.

        Args:
            user_id: Whose.
            k: How many at most.
            changes: Knobs that the request turns.
            context: What it says of the person.
            exclude: Items not to show.
            cursor: Where the last part of the list ended; None: from the beginning.

        Raises:
            ValueError: The knobs of the request do not go together, or the cursor is none (`BadCursorError`).
        """
        knobs, view = self.live.knobs.turned(**changes), self.live.view(user_id, context, exclude=exclude, cursor=cursor)
        arm = self.experiment.assigned(user_id) if self.experiment else None
        if self.experiment is None or arm is None or any(value is not None for value in changes.values()):
            found = view.listed(k, knobs)
            return Answer(told(view.loaded, found), view.notes, {}, self.live.goes_on(view, found, k))
        made = _Made(view, self.experiment, arm, k, self.live.knobs)
        self.writer.put(made.impressions)
        headers = {"Avrec-Experiment": f"{self.experiment.name}; arm={arm.name}", "Avrec-Impression": made.impression_id}
        return Answer(told(view.loaded, made.shown), view.notes, headers, self.live.goes_on(view, made.shown, k))

    def close(self) -> None:
        """Write what waits."""
        self.writer.close()


class _Made:
    """One list of an arm, and what is known of how it came about."""

    def __init__(self, view: View, experiment: Experiment, arm: Arm, k: int, usual: Knobs) -> None:
        self.view, self.experiment, self.arm, self.k, self.usual = view, experiment, arm, k, usual
        self.impression_id, self.served_at = new_id(), datetime.now(UTC)
        self.own = view.listed(k, arm.turned(usual))
        salt = experiment.salt or experiment.name
        self.pool: tuple[str, ...] | None = None
        self.shown: Sequence[Recommendation] = self.own
        if arm.epsilon and unit(f"{salt}|draw", self.impression_id) < arm.epsilon:
            self.shown = self._drawn(int(unit(f"{salt}|order", self.impression_id) * 2**53))

    def _drawn(self, seed: int) -> "Sequence[Recommendation]":
        longer = self._longer()
        known = {one.media_id: one for one in (*longer, *self.own)}
        self.pool = pooled(_ids(self.own), _ids(longer), self._size)
        return [known[one] for one in drawn(self.pool, len(self.own), seed=seed)]

    @property
    def _size(self) -> int:
        return max(self.arm.pool, self.k)

    def _longer(self) -> "Sequence[Recommendation]":
        return self.view.listed(self._size, self.arm.turned(self.usual))

    def impressions(self, unhurried: bool) -> list[Impression]:
        """What to log: the list, and where there is time what nobody sees: the pool it was not drawn from, and the lists of shadows.

        In a hurry a list that was drawn loses its pool, too: were those kept alone, what is logged would say that lists are drawn more
        often than they are.
        """
        if self.arm.epsilon and self.pool is None and unhurried:
            self.pool = pooled(_ids(self.own), _ids(self._longer()), self._size)
        policy = Policy(_ids(self.own), (self.pool or ()) if unhurried else (), self.arm.epsilon)
        made = [self._impression(self.impression_id, self.arm, self.shown, policy)]
        for arm in self.experiment.shadows if unhurried else ():
            found = self.view.listed(self.k, arm.turned(self.usual))
            own_id = hashlib.sha256(f"{self.impression_id}|{arm.name}".encode()).hexdigest()[:32]
            made.append(self._impression(own_id, arm, found, Policy(_ids(found)), shadow_of=self.impression_id))
        return made

    def _impression(
        self, impression_id: str, arm: Arm, found: "Sequence[Recommendation]", policy: Policy, *, shadow_of: str = ""
    ) -> Impression:
        return Impression(
            impression_id,
            self.view.user_id,
            self.experiment.name,
            arm.name,
            self.served_at,
            _ids(found),
            tuple(one.score for one in found),
            policy,
            {**self.view.versions, "knobs": arm.turned(self.usual).canonical()},
            self.view.context.model_dump(exclude_defaults=True, mode="json"),
            shadow_of,
            continued=bool(self.view.exclude) or len(self.view.shown) > 0,
        )


def _ids(found: "Sequence[Recommendation]") -> tuple[str, ...]:
    return tuple(one.media_id for one in found)
