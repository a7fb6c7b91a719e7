"""One HTML file that shows a library: what is in it, how good it is, who would want it, and how well all that is known."""

from avrec_dag.report.write import write

__all__ = ["write"]
