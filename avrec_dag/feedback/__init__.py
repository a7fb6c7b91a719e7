"""What people did, durably: typed events, what each says about liking, and the log that keeps them.

The log is the one place where behaviour enters. The service and the command line write to it at any time, from several processes
at once; `feedback_events` reads it day by day. The default is SQLite in WAL mode with `synchronous=FULL`: an event that `add`
acknowledged has reached the disk.
"""

from avrec_dag.feedback.events import KINDS, Event, Kind
from avrec_dag.feedback.log import FeedbackLog
from avrec_dag.feedback.weights import PRESETS, Rules, Weight

__all__ = ["KINDS", "PRESETS", "Event", "FeedbackLog", "Kind", "Rules", "Weight"]
