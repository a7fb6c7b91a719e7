"""What people say items are, durably: corrections with who and when, and which items to ask about next.

A correction beats whatever a sidecar says; of two corrections of one item the newest holds, and the log keeps both. The log lives in the
database of the feedback log, so that the command line and the service write to one place.
"""

from avrec_dag.labelling.events import NOBODY, Correction, LabelEvent, newest
from avrec_dag.labelling.log import Added, LabelLog

__all__ = ["NOBODY", "Added", "Correction", "LabelEvent", "LabelLog", "newest"]
