"""Which moment of an item an answer means: the shots, what was said and what stood on the screen, with their times."""

from avrec_dag.moments.stored import FILE, Moment, Moments, Named
from avrec_dag.moments.told import COLUMNS, KINDS, Kind, Told, term_hash, told, views

__all__ = ["COLUMNS", "FILE", "KINDS", "Kind", "Moment", "Moments", "Named", "Told", "term_hash", "told", "views"]
