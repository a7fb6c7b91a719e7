"""What people did, durably: typed events, what each says about liking, and the log that keeps them.

The log is the one place where behaviour enters. The service and the command line write to it at any time, from several processes
at once; `feedback_events` reads it day by day. The default is SQLite in WAL mode with `synchronous=FULL`: an event that `add`
acknowledged has reached the disk.
"""

from avrec_dag.feedback.events import KINDS, WEIGHTS, Event, Kind, Weight
from avrec_dag.feedback.log import FeedbackLog

__all__ = ["KINDS", "WEIGHTS", "Event", "FeedbackLog", "Kind", "Weight"]
