"""Several processes write, delete, compact and read one table at once, in a folder and on S3, and nothing is lost."""

import multiprocessing
import os

import pytest

from avrec_dag.items import Row
from avrec_dag.ledger import Ledger

DAY = "2026-01-01"
WRITERS, ROUNDS = 4, 12


def work(uri, environment, writer, failures):
    """Each round: two rows come, one of the round before goes; every row of this writer must be as it left it."""
    os.environ.update(environment)
    ledger = Ledger(uri)
    ledger.append("frames", DAY, [Row(f"kept {writer}", "0", {}, {"n_frames": 0})])
    for i in range(ROUNDS):
        ledger.append("frames", DAY, [Row(f"{writer} {i}", "1", {}, {"n_frames": i}), Row(f"{writer} {i} twin", "1", {}, {"n_frames": i})])
        if i:
            ledger.tombstone("frames", DAY, [f"{writer} {i - 1} twin"])
        ledger.append("frames", DAY, [Row(f"kept {writer}", str(i), {}, {"n_frames": i})])
        if i % 3 == writer % 3:
            ledger.compact("frames", DAY)
        seen = {row["media_id"]: row["n_frames"] for row in ledger.rows("frames", DAY, ["n_frames"]).to_pylist()}
        mine = {key: n for key, n in seen.items() if key.startswith((f"{writer} ", f"kept {writer}"))}
        if mine != expected(writer, i):
            failures.put(f"writer {writer}, round {i}: {mine}")


def expected(writer, i):
    return {f"{writer} {j}": j for j in range(i + 1)} | {f"{writer} {i} twin": i, f"kept {writer}": i}


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_four_processes_that_write_delete_and_compact_lose_nothing(where, request, tmp_path):
    environment = request.getfixturevalue("s3_server").environment if where == "s3" else {}
    uri = request.getfixturevalue("s3_store") if where == "s3" else str(tmp_path / "store")
    context = multiprocessing.get_context("spawn")
    failures = context.SimpleQueue()
    writers = [context.Process(target=work, args=(uri, environment, writer, failures)) for writer in range(WRITERS)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(timeout=120)
    assert [process.exitcode for process in writers] == [0] * WRITERS
    assert failures.empty(), failures.get()
    ledger = Ledger(uri)
    for _ in range(2):
        found = {row["media_id"]: row["n_frames"] for row in ledger.rows("frames", DAY, ["n_frames"]).to_pylist()}
        assert found == {key: n for writer in range(WRITERS) for key, n in expected(writer, ROUNDS - 1).items()}
        ledger.compact("frames", DAY)
