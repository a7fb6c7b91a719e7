"""Per-item incremental state: append-only Parquet rows, of which the newest of each key counts."""

from avrec_dag.ledger.ledger import Counts, Ledger, Plan

__all__ = ["Counts", "Ledger", "Plan"]
