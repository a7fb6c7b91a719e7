"""What an answer says of one item."""

from dataclasses import dataclass

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
class Found(Recommendation):
    """One item of an answer that points into it.

    Attributes:
        moment: Where in the item to look; None where nothing is known of its moments.
    """

    moment: Moment | None = None
