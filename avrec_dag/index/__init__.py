"""Nearest items over the fused and the joint vectors of every item, by faiss.

Up to `nearest.MOST_EXACT` items every inner product is computed; above, faiss looks through the nearest lists of an inverted file and
what it finds is scored anew from the vectors themselves. The vectors of a stored index are mapped into memory from its files. What
joined, changed or left the library since it was built is told by `LiveIndex`, so that nothing waits for the next one.
"""

from avrec_dag.index.live import LiveIndex
from avrec_dag.index.nearest import MOST_EXACT
from avrec_dag.index.stored import KEY, TABLE, ItemIndex

Index = ItemIndex | LiveIndex
"""Either: both are asked alike."""

__all__ = ["KEY", "MOST_EXACT", "TABLE", "Index", "ItemIndex", "LiveIndex"]
