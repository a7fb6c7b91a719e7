"""What people did, and what they said items are."""

import dagster as dg

from avrec_dag.feedback import FeedbackLog, Rules
from avrec_dag.feedback.reading import read_rules
from avrec_dag.labelling import LabelLog
from avrec_dag.moderation.reviews import ReviewLog


class Feedback(dg.ConfigurableResource):
    """The feedback log, and the logs of labels and reviews beside it.

    Attributes:
        url: SQLAlchemy URL.
        weights: What each kind of event says: a preset, or a JSON or TOML file.
    """

    url: str
    weights: str = "default"

    @property
    def rules(self) -> Rules:
        """What each kind of event says."""
        return read_rules(self.weights)

    @property
    def log(self) -> FeedbackLog:
        """The log, connected on first use."""
        return FeedbackLog(self.url)

    @property
    def labels(self) -> LabelLog:
        """What people said items are, in the same database."""
        return LabelLog(self.url)

    @property
    def reviews(self) -> ReviewLog:
        """What people decided about items that moderation held, in the same database."""
        return ReviewLog(self.url)
