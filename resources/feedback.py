"""What people did."""

import dagster as dg

from avrec_dag.feedback import FeedbackLog


class Feedback(dg.ConfigurableResource):
    """The feedback log.

    Attributes:
        url: SQLAlchemy URL.
    """

    url: str

    @property
    def log(self) -> FeedbackLog:
        """The log, connected on first use."""
        return FeedbackLog(self.url)
