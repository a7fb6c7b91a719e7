"""What each kind of event says about liking, and what no person can do: rules that a deployment chooses, apart from the events."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from avrec_dag.feedback.events import KINDS, Event

EXPLICIT = frozenset({"like", "dislike", "rating", "not_interested", "report"})
"""The person said so themselves: the newest such opinion of an item overrules what was merely done."""
NEUTRAL = 0.5
"""The sentiment of a comment that has not been read yet, in [0, 1]."""


@dataclass(frozen=True)
class Weight:
    """What one kind of event says about liking: `base + slope * value`, cut to [-1, 1].

    Attributes:
        base: The weight at value 0, or of an event without a value.
        slope: What one unit of `value` adds (of a comment: of its sentiment, 0 complaint to 1 praise).
        least: An event of a smaller value says nothing (weight 0).
    """

    base: float = 0.0
    slope: float = 0.0
    least: float = 0.0

    def of(self, value: float) -> float:
        """The weight in [-1, 1] at one value."""
        return min(1.0, max(-1.0, self.base + self.slope * value)) if value >= self.least else 0.0


@dataclass(frozen=True)
class Limits:
    """More than a person can do. What comes after in the same span is counted and weighs nothing; impressions have `most_impressions`.

    Attributes:
        per_item_day: Events of one person on one item in a UTC day.
        per_minute: Events of one person in a minute of the clock.
        per_hour: Events of one person in an hour of the clock.
    """

    per_item_day: int = 20
    per_minute: int = 60
    per_hour: int = 600


def _weights(**given: Weight) -> dict[str, Weight]:
    return {kind: given.get(kind, Weight()) for kind in KINDS}


@dataclass(frozen=True)
class Rules:
    """How events become opinions.

    Attributes:
        name: Of the preset they come from.
        source: Where its numbers are from.
        weights: Kind -> what it says.
        half_life_days: An opinion counts half for every so many days that it lies before what the person liked last; a later one in full.
        most_impressions: So many impressions of one item without any action count; further ones weigh nothing.
        limits: See `Limits`.
    """

    name: str = "default"
    source: str = "this project: signs and order as people mean them; not fitted to data"
    weights: Mapping[str, Weight] = field(
        default_factory=lambda: _weights(
            impression=Weight(-0.05),  # shown and passed over; five of them: -0.25
            play=Weight(0.1),  # opened: curiosity, hardly liking
            watch=Weight(-0.5, 1.5),  # left at once: -0.5, as a skip; a third: 0; to the end: 1
            like=Weight(1.0),
            dislike=Weight(-1.0),
            rating=Weight(-1.5, 0.5),  # 1 star: -1, 3 stars: 0, 5 stars: 1
            comment=Weight(-0.6, 1.6),  # complaint: -0.6; neither: 0.2, engaged at least; praise: 1
            share=Weight(0.9),
            save=Weight(0.8),
            follow=Weight(0.6),  # of the item it was pressed at; the creator is kept beside
            skip=Weight(-0.5),
            not_interested=Weight(-0.8),
            report=Weight(-1.0),
        )
    )
    half_life_days: float = 30.0
    most_impressions: int = 5
    limits: Limits = field(default_factory=Limits)

    def weight(self, event: Event, sentiment: float | None = None) -> float:
        """What the event says about liking, in [-1, 1].

        Args:
            event: What was done.
            sentiment: Of a comment, 0 (complaint) to 1 (praise); None while nobody has read it.
        """
        value = NEUTRAL if event.kind == "comment" and sentiment is None else sentiment if event.kind == "comment" else event.value
        return self.weights[event.kind].of(value or 0.0)

    @property
    def identity(self) -> str:
        """`name@digest`: equal for equal rules; it enters the version of everything that follows from them."""
        facts = {name: value for name, value in asdict(self).items() if name not in ("name", "source")}
        return f"{self.name}@{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]}"

    def check(self) -> "Rules":
        """Itself.

        Raises:
            ValueError: A weight is no number or so large that it must be a slip, or a limit leaves nothing.
        """
        for kind, weight in self.weights.items():
            if not all(math.isfinite(one) and abs(one) <= 10 for one in (weight.base, weight.slope, weight.least)):
                raise ValueError(f"the weight of {kind} is {weight.base:g} + {weight.slope:g} x value: expected numbers from -10 to 10")
        if not 0 < self.half_life_days <= 36_500:
            raise ValueError(f"half_life_days is {self.half_life_days:g}, expected more than 0 and at most 36500")
        for name, limit in {**asdict(self.limits), "most_impressions": self.most_impressions}.items():
            if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= 1_000_000:
                raise ValueError(f"{name} is {limit!r}, expected a whole number from 1 to 1000000")
        return self


_REPLY = 13.5

PRESETS: Mapping[str, Rules] = {
    rules.name: rules
    for rules in (
        Rules(),
        Rules(
            "heavy-ranker",
            "projects/home/recap/README.md of twitter/the-algorithm-ml, the weights of 5 April 2023 divided by that of a reply (13.5) and "
            "cut to [-1, 1]: favourite 0.5, retweet 1, reply 13.5, half of a video watched 0.005, negative feedback -74, report -369. "
            "There they multiply predicted probabilities, not counts; kinds that it does not name weigh nothing",
            _weights(
                like=Weight(0.5 / _REPLY), share=Weight(1.0 / _REPLY), comment=Weight(1.0), watch=Weight(0.005 / _REPLY, least=0.5),
                dislike=Weight(-1.0), not_interested=Weight(-1.0), report=Weight(-1.0),
            ),
        ),
        Rules(
            "watch-time",
            "Covington, Adams, Sargin: Deep Neural Networks for YouTube Recommendations (RecSys 2016), 4.2: what was clicked counts by "
            "the time watched, an impression without a click is a negative. Here the share of the duration stands for the time, and the "
            "size of the negative is that of the preset default, as the paper's unit weight belongs to its loss",
            _weights(watch=Weight(0.0, 1.0), impression=Weight(-0.05)),
        ),
        Rules(
            "gorse",
            "config/config.toml of gorse-io/gorse: positive_feedback_types star and like are positives of equal weight, everything else "
            "read is only met",
            _weights(like=Weight(1.0), save=Weight(1.0)),
        ),
        Rules(
            "metarank",
            "src/test/resources/ranklens/config.yml of metarank/metarank: weights: click: 1, nothing else",
            _weights(play=Weight(1.0)),
        ),
    )
}  # fmt: skip
"""Name -> rules, each with its source."""
