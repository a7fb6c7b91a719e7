import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from avrec_dag.definitions import GROUPS
from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from tests.made_runs import DAYS, Library, made_runs

ROOT = Path(__file__).parent.parent


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port: int, query: str) -> dict:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


@pytest.fixture
def dev(tmp_path) -> Iterator[tuple[Library, int, Path]]:
    """`dagster dev` as `make ui` starts it, on a library of its own."""
    library, port, home = made_runs(tmp_path / "library", per_kind=1), free_port(), tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text().replace(".dagster", str(home / ".dagster")))
    s = library.settings
    where = {"AVREC_MEDIA": s.media, "AVREC_STORE": s.store, "AVREC_FEEDBACK": s.feedback, "DAGSTER_HOME": str(home)}
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **where}, stdout=log, stderr=log)
    yield library, port, tmp_path / "log"
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    finally:
        process.kill()
        library.close()


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
    seen = ask(port, "{ assetNodes { assetKey { path } groupName description owners { ... on TeamAssetOwner { team } } } }")["assetNodes"]
    assert {node["assetKey"]["path"][0] for node in seen} == set(TABLES)
    assert {node["groupName"] for node in seen} == set(GROUPS)
    runs = ask(port, "{ runsOrError { ... on Runs { results { jobName status } } } }")["runsOrError"]["results"]
    assert {"ingest_and_embed", "train_classifier", "classify", "recommend"} <= {run["jobName"] for run in runs}
    assert {run["status"] for run in runs} <= {"SUCCESS", "STARTED"}
