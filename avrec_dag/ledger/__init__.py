"""Per-item incremental state: append-only Parquet rows, of which the newest of each key counts.

Newest is by the clock of the machine that wrote: machines that write one table need clocks that agree (NTP does).
"""

from avrec_dag.ledger.kept import Kept
from avrec_dag.ledger.ledger import Counts, Ledger
from avrec_dag.ledger.planning import Plan
from avrec_dag.ledger.subjects import Subject
from avrec_dag.ledger.sweeping import Swept

__all__ = ["Counts", "Kept", "Ledger", "Plan", "Subject", "Swept"]
