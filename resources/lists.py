"""What counts how much in the lists of recommendations."""

import dagster as dg

from avrec_dag.recommend.reranking.knobs import Knobs, method_of
from avrec_dag.recommend.settings import CALIBRATION, DIVERSITY, EXPLORATION, PER_CREATOR, PERSONAL, QUALITY, RELEVANCE


class Lists(dg.ConfigurableResource):
    """The knobs of one deployment, as `reranking.knobs.Knobs`.

    Attributes:
        relevance: What taste counts.
        quality: Of taste against quality.
        diversity: Of both against variety.
        personal: How far the variety of somebody's own history moves it.
        calibration: How much a list keeps to the person's mix of classes.
        per_creator: At most so many items of one creator.
        method: How content is spread.
        exploration: Of the places of a list, what new items may hold.
    """

    relevance: float = RELEVANCE
    quality: float = QUALITY
    diversity: float = DIVERSITY
    personal: float = PERSONAL
    calibration: float = CALIBRATION
    per_creator: int = PER_CREATOR
    method: str = "mmr"
    exploration: float = EXPLORATION

    @property
    def knobs(self) -> Knobs:
        """The same, checked."""
        return Knobs(
            self.relevance,
            self.quality,
            self.diversity,
            self.personal,
            self.calibration,
            self.per_creator,
            method_of(self.method),
            self.exploration,
        )
