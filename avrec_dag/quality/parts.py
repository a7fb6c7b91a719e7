"""One score from the parts of an item's quality: the weights, the sum, and in words what moved it."""

from collections.abc import Mapping
from dataclasses import dataclass

HALF_PEOPLE, HALF_WRITERS = 10, 5
"""After so many people (who wrote something) what they did (wrote) has half of the weight it can get."""
PEOPLE_SHARE = 0.7
"""What people weigh at most; a technical defect always counts for the rest."""
WRITERS_SHARE = 0.3
"""What comments weigh at most of what people weigh: a like is meant, a comment is read by a machine."""
LOOKS_SHARE = 0.4
"""What looks weigh at most of what the content weighs by itself."""
TECHNICAL, AESTHETIC, BEHAVIOUR, SENTIMENT = PARTS = ("technical", "aesthetic", "behaviour", "sentiment")
_SAME = 0.02


@dataclass(frozen=True)
class Known:
    """The parts of one item, each in [0, 1], None where there is none, and what they rest on.

    Attributes:
        technical: What can be measured.
        aesthetic: How it looks, as people have taken such looks; 0.5 is the average of its class.
        behaviour: What people did: a Bayesian average.
        sentiment: What people wrote: a Bayesian average; 0.5 is neutral.
        n_people: How many people did something.
        n_writers: How many of them wrote something.
        looks_trust: How far the model behind `aesthetic` has proven itself, in [0, 1].
        expected: What `behaviour` would be had nobody reacted: the prior of the item's class.
        usual: How people usually write in this library: the prior of `sentiment`.
        class_name: That class; empty where it has none.
    """

    technical: float
    aesthetic: float | None = None
    behaviour: float | None = None
    sentiment: float | None = None
    n_people: int = 0
    n_writers: int = 0
    looks_trust: float = 0.0
    expected: float = 0.5
    usual: float = 0.5
    class_name: str = ""

    @property
    def values(self) -> dict[str, float]:
        """The parts that are there, by name."""
        every = (self.technical, self.aesthetic, self.behaviour, self.sentiment)
        return {name: value for name, value in zip(PARTS, every, strict=True) if value is not None}


def weights(known: Known) -> Mapping[str, float]:
    """Weight of each part that is there; they add up to 1 and do not depend on the parts' values, so that each part only ever helps.

    With n people, n_w writers and a trust r in looks: people get w = 0.7 n / (n + 10), of which comments get
    s = 0.3 n_w / (n_w + 5); of the rest, looks get l = min(r, 0.4).
    """
    people = PEOPLE_SHARE * known.n_people / (known.n_people + HALF_PEOPLE) if known.behaviour is not None else 0.0
    said = WRITERS_SHARE * known.n_writers / (known.n_writers + HALF_WRITERS) if known.sentiment is not None else 0.0
    looks = min(known.looks_trust, LOOKS_SHARE) if known.aesthetic is not None else 0.0
    every = {
        TECHNICAL: (1 - people) * (1 - looks),
        AESTHETIC: (1 - people) * looks,
        BEHAVIOUR: people * (1 - said),
        SENTIMENT: people * said,
    }
    return {name: every[name] for name in known.values}


def score(known: Known) -> float:
    """The parts by their weights, in [0, 1]."""
    values = known.values
    return min(1.0, max(0.0, sum(weight * values[name] for name, weight in weights(known).items())))


def reason(known: Known) -> str:
    """What it measures, then what moved the score away from that, the strongest first."""
    values, told = known.values, [f"measures {known.technical:.2f}"]
    moves = {name: weight * (values[name] - known.technical) for name, weight in weights(known).items() if name != TECHNICAL}
    words = {AESTHETIC: _looks, BEHAVIOUR: _behaviour, SENTIMENT: _sentiment}
    told += [f"{words[name](known)}, {moves[name]:+.2f}" for name in sorted(moves, key=lambda name: -abs(moves[name]))]
    return "; ".join(told if known.n_people else [*told, "nobody has reacted yet"])


def _looks(known: Known) -> str:
    found = known.aesthetic or 0.0
    how = "as people mostly find such items" if abs(found - 0.5) < _SAME else "better than most" if found > 0.5 else "worse than most"
    return f"looks {how} ({found:.2f} against 0.50)"


def _behaviour(known: Known) -> str:
    found = known.behaviour or 0.0
    taken = "about as well as" if abs(found - known.expected) < _SAME else "better than" if found > known.expected else "worse than"
    most = f"most of {known.class_name}" if known.class_name else "most items"
    return f"{_counted(known.n_people)} took it {taken} {most} ({found:.2f} against {known.expected:.2f})"


def _sentiment(known: Known) -> str:
    found = known.sentiment or 0.0
    how = (
        "as kindly as usual"
        if abs(found - known.usual) < _SAME
        else "more kindly than usual"
        if found > known.usual
        else "less kindly than usual"
    )
    return f"{_counted(known.n_writers)} wrote {how} ({found:.2f} against {known.usual:.2f})"


def _counted(n: int) -> str:
    return "1 person" if n == 1 else f"{n} people"
