import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from avrec_dag.definitions import GROUPS
from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from tests.made_dagster_dev import ROOT, ask, free_port, recorded_in, running
from tests.made_runs import DAYS, Library, made_runs


@pytest.mark.slow
def test_worker_processes_leave_what_one_process_leaves(tmp_path):
    inline = made_runs(tmp_path / "inline", per_kind=1)
    local = Library(shutil.copytree(inline.root, tmp_path / "local"), engine="local")
    runs = [library.run("ingest_and_embed", DAYS[0]) for library in (inline, local)]
    assert [run.errors for run in runs] == [[], []]
    for name in runs[0].materialized:
        assert local.ledger.counts(name) == inline.ledger.counts(name)
        assert local.ledger.data_version(name) == inline.ledger.data_version(name), name
    for library in (inline, local):
        library.close()


@pytest.fixture
def dev(tmp_path) -> Iterator[tuple[Library, int, Path]]:
    """`dagster dev` as `make ui` starts it, on a library of its own."""
    library, port, home = made_runs(tmp_path / "library", per_kind=1), free_port(), recorded_in(tmp_path / "home")
    s = library.settings
    where = {"AVREC_MEDIA": s.media, "AVREC_STORE": s.store, "AVREC_FEEDBACK": s.feedback, "DAGSTER_HOME": str(home)}
    with running(port, tmp_path / "log", cwd=ROOT, env={**os.environ, **where}) as process:
        yield library, port, tmp_path / "log"
    library.close()
    assert process.returncode != -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_uploads_become_recommendations_with_nobody_touching_anything(dev):
    library, port, log = dev
    ledger = Ledger(library.settings.store)
    until = time.monotonic() + 600
    while ledger.counts("recommendation_health").ok == 0:
        assert time.monotonic() < until, log.read_text(errors="replace")[-4000:]
        time.sleep(3)
    assert ledger.counts("content_classes").ok == 2
    seen = ask(port, "{ assetNodes { assetKey { path } groupName description owners { ... on TeamAssetOwner { team } } } }")["data"][
        "assetNodes"
    ]
    assert {node["assetKey"]["path"][0] for node in seen} == set(TABLES)
    assert {node["groupName"] for node in seen} == set(GROUPS)
    runs = ask(port, "{ runsOrError { ... on Runs { results { jobName status } } } }")["data"]["runsOrError"]["results"]
    assert {"ingest_and_embed", "train_classifier", "classify", "recommend"} <= {run["jobName"] for run in runs}
    assert {run["status"] for run in runs} <= {"SUCCESS", "STARTED"}
