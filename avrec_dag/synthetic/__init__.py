"""Made clips, sounds and sidecars of eight known classes, for tests, benchmarks and the demo's filling."""

from avrec_dag.synthetic.words import sidecar
from avrec_dag.synthetic.writing import KINDS, clip

__all__ = ["KINDS", "clip", "sidecar"]
