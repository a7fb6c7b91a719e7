"""What whoever runs a library, or asks it, may turn."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypedDict, Unpack, get_args

from avrec_dag.recommend.settings import CALIBRATION, DIVERSITY, EXPLORATION, PER_CREATOR, PERSONAL, QUALITY, RELEVANCE

Method = Literal["mmr", "msd", "dpp", "ssd", "swap"]
"""Maximal marginal relevance (Carbonell and Goldstein 1998), max-sum dispersion by greedy choice (Borodin et al. 2017), greedy
determinantal point process (Chen et al. 2018), sliding spectrum decomposition (Huang et al. 2021), and max-sum dispersion by local
search (Borodin et al. 2017)."""
METHODS: tuple[Method, ...] = get_args(Method)
MOST_PER_CREATOR = 1000


def method_of(name: str) -> Method:
    """The method of this name; ValueError for another."""
    for method in METHODS:
        if name == method:
            return method
    raise ValueError(f"method must be one of {', '.join(METHODS)}, found {name!r}")


class Changes(TypedDict, total=False):
    """Some of the knobs; None leaves one as it is."""

    relevance: float | None
    quality: float | None
    diversity: float | None
    personal: float | None
    calibration: float | None
    per_creator: int | None
    method: str | None
    exploration: float | None


@dataclass(frozen=True)
class Knobs:
    """What counts how much in a list.

    An item is worth (1 - diversity) * ((1 - quality) * relevance * its fit + quality * its quality) + diversity * what it adds to the list.

    Attributes:
        relevance: What the person's taste counts, in [0, 1]; at 0 nothing about the person does.
        quality: Of taste against quality, in [0, 1]: 0 ignores quality, 1 looks at no taste.
        diversity: Of both against variety of content, in [0, 1]: 0 orders by score, 1 spreads regardless of it.
        personal: How far the variety of somebody's own history moves their diversity, in [0, 1]; 0: the same for all (see `personal`).
        calibration: Of the list so far against the person's own mix of classes, in [0, 1] (see `calibrating`). With `swap`, how far the
            chances of classes are moved to that mix before the search: what was chosen for variety afterwards would be lost to it.
        per_creator: At most so many items of one creator on a list, unless nothing else is left; at least 1.
        method: How content is spread.
        exploration: Of the places of a list, what items that hardly anybody has met may hold at most, in [0, 1]; 0 shows none for being new
            (see `exploring`).

    Raises:
        ValueError: One is outside its range, or relevance, quality and diversity are all 0, so that nothing is left to order by.
    """

    relevance: float = RELEVANCE
    quality: float = QUALITY
    diversity: float = DIVERSITY
    personal: float = PERSONAL
    calibration: float = CALIBRATION
    per_creator: int = PER_CREATOR
    method: Method = "mmr"
    exploration: float = EXPLORATION

    def __post_init__(self) -> None:
        for name in ("relevance", "quality", "diversity", "personal", "calibration", "exploration"):
            if not 0.0 <= getattr(self, name) <= 1.0:  # also refuses NaN
                raise ValueError(f"{name} must lie in [0, 1], found {getattr(self, name)}")
        if not 1 <= self.per_creator <= MOST_PER_CREATOR:
            raise ValueError(f"per_creator must lie in [1, {MOST_PER_CREATOR}], found {self.per_creator}")
        method_of(self.method)
        if self.relevance == self.quality == self.diversity == 0:
            raise ValueError("relevance, quality and diversity are all 0, so nothing is left to order by; at least one must lie in (0, 1]")

    def turned(self, **changes: Unpack[Changes]) -> "Knobs":
        """The same with some of them changed; ValueError as above."""
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given)

    @property
    def quality_share(self) -> float:
        """Of quality in the score of an item, in [0, 1]."""
        taste = (1 - self.quality) * self.relevance
        return self.quality / (taste + self.quality) if taste + self.quality > 0 else 1.0

    @property
    def variety_share(self) -> float:
        """Of variety against the score of an item, in [0, 1]: `diversity` where taste counts in full, more where it counts less."""
        scored = (1 - self.diversity) * ((1 - self.quality) * self.relevance + self.quality)
        return self.diversity / (scored + self.diversity) if self.diversity > 0 else 0.0

    def canonical(self) -> str:
        """All of them in one text, the same for equal knobs; enters the version of every list."""
        values = asdict(self)
        return ",".join(f"{one.name}={values[one.name]:g}" if one.name != "method" else f"method={self.method}" for one in fields(self))
