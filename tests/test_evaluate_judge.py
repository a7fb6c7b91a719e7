"""Metrics beside RecTools, in an environment of its own that the bench makes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "judge_metrics.py"


@pytest.mark.slow
def test_every_metric_equals_that_of_rectools():
    done = subprocess.run([sys.executable, BENCH, "--json"], capture_output=True, text=True, timeout=290)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["worst"] <= 1e-6
    assert {name.partition("@")[0] for name in told["metrics"]} >= {
        "hit",
        "ndcg",
        "recall",
        "precision",
        "map",
        "mrr",
        "coverage",
        "novelty",
    }
