"""What an answer says of one item."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from avrec_dag.moments import Moment


@dataclass(frozen=True)
class Recommendation:
    """One item of an answer.

    Attributes:
        media_id: The item.
        score: Larger is better: for lists in (0, 1), for similar items a cosine, for search a cosine plus a boost for exact words.
        reason: One line for people.
        causes: The items of the person's history behind it, strongest first.
    """

    media_id: str
    score: float
    reason: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Why:
    """A reason in parts, for programs, which may say it in other words.

    Attributes:
        part: The part of the score that adds most: behaviour, content, popularity, quality, follow, language,
            referrer, interests, or none where nothing speaks for the item.
        because: What put it on the list: its score, variety, the mix of classes that the person likes, or that it is new and was its turn.
        label: A class that it shares with the first cause.
        missing: The class that the list lacked, where the mix put it there.
        words: What it shares with the causes in title, tags and description, rarest first, where likeness of content speaks for it.
        beyond_cap: It is one more of its creator than usual, as little else was left.
        also: What else speaks for it, in sentences: whom they follow, and what their context says.
        shares: Part -> what it adds (negative: takes off) of all that parts add and take off; magnitudes sum to 1.
    """

    part: str = "none"
    because: str = "score"
    label: str | None = None
    missing: str | None = None
    words: tuple[str, ...] = ()
    beyond_cap: bool = False
    also: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice(Recommendation):
    """One item of a person's list.

    Attributes:
        why: The reason in parts.
    """

    why: Why = field(default_factory=Why)


@dataclass(frozen=True)
class Found(Recommendation):
    """One item of an answer that points into it.

    Attributes:
        moment: Where in the item to look; None where nothing is known of its moments.
    """

    moment: Moment | None = None
