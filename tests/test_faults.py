"""What `bench/faults.py` compares: rows and blobs that are lost, stored twice or other ones are found, each by itself."""

import dataclasses

import pytest

from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs
from bench.fault_rows import Difference, compare, read

DAY, KEYS = "2026-01-01", ("a", "b", "c")


def made(uri, keys=KEYS, *, seconds=1.0, run="one") -> str:
    """A day with a row and a blob for each key."""
    for key in keys:
        path = Blobs(uri).put("frames", key, "v", "x.jpg", f"bytes of {key}".encode())
        Ledger(uri).append("frames", DAY, [Row(key, "v", {"frames": "1"}, {"blob": path, "shot_starts_s": [0.0, seconds]})], run)
    Ledger(uri).compact("frames", DAY)
    return uri


@pytest.fixture
def expected(tmp_path):
    return read(made(str(tmp_path / "calm")), ["frames"])


def difference(expected, uri) -> Difference:
    return dataclasses.replace(compare(expected, read(uri, ["frames"])), examples=[])


def test_another_run_at_another_time_is_the_same(expected, tmp_path):
    assert compare(expected, read(made(str(tmp_path / "x"), KEYS[::-1], run="two"), ["frames"])) == Difference()


def test_a_row_that_is_missing_or_gone_is_lost(expected, tmp_path):
    uri = made(str(tmp_path / "x"), KEYS[:2])
    assert difference(expected, uri) == Difference(lost=1)
    Ledger(uri).tombstone("frames", DAY, ["a"])
    Ledger(uri).compact("frames", DAY)
    assert difference(expected, uri) == Difference(lost=2)


def test_a_row_stored_twice_counts_although_readers_see_it_once(expected, tmp_path):
    uri = made(str(tmp_path / "x"))
    path = Blobs(uri).prefix("frames", "a", "v") + "/x.jpg"
    Ledger(uri).append("frames", DAY, [Row("a", "v", {"frames": "1"}, {"blob": path, "shot_starts_s": [0.0, 1.0]})])
    assert Ledger(uri).rows("frames").num_rows == len(KEYS)
    assert difference(expected, uri) == Difference(duplicated=1)


def test_other_values_other_bytes_and_strangers_differ(expected, tmp_path):
    assert difference(expected, made(str(tmp_path / "values"), seconds=2.0)) == Difference(differing=3)
    uri = made(str(tmp_path / "bytes"))
    Blobs(uri).put("frames", "b", "v", "x.jpg", b"half of")
    assert difference(expected, uri) == Difference(differing=1)
    assert difference(expected, made(str(tmp_path / "more"), (*KEYS, "stranger"))) == Difference(differing=1)
    told = compare(expected, read(uri, ["frames"])).examples
    assert told == ["frames: 0 lost, 0 twice, other: b in blobs (ok: None)"]


def test_a_failed_row_differs(expected, tmp_path):
    uri = made(str(tmp_path / "x"))
    Ledger(uri).append("frames", DAY, [Row("c", "v", error="killed")])
    Ledger(uri).compact("frames", DAY)
    assert difference(expected, uri) == Difference(differing=1)


def test_a_measure_with_a_row_twice_is_none(expected, tmp_path):
    twice = {"frames": [*expected["frames"], expected["frames"][0]]}
    with pytest.raises(ValueError, match="rows twice"):
        compare(twice, expected)
