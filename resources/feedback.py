"""What people did, and what they said items are."""

import dagster as dg

from avrec_dag.feedback import FeedbackLog
from avrec_dag.labelling import LabelLog


class Feedback(dg.ConfigurableResource):
    """The feedback log, and the label log beside it.

    Attributes:
        url: SQLAlchemy URL.
    """

    url: str

    @property
    def log(self) -> FeedbackLog:
        """The log, connected on first use."""
        return FeedbackLog(self.url)

    @property
    def labels(self) -> LabelLog:
        """What people said items are, in the same database."""
        return LabelLog(self.url)
