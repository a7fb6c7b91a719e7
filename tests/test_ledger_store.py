"""What the ledger stores and gives back: one contract for a folder and for S3."""

from datetime import UTC, datetime

import numpy as np
import pytest

from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Counts, Ledger
from avrec_dag.ledger.files import TOMBSTONE_S, TableFiles, now_ns
from avrec_dag.ledger.records import records
from avrec_dag.steps import WHOLE
from avrec_dag.storage import Blobs, filesystem, write
from tests.made_graph import World

DAY, NEXT = "2026-01-01", "2026-01-02"


@pytest.fixture(params=["folder", "s3"])
def ledger(request, tmp_path):
    return Ledger(str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_store"))


def frames(key, version="1", n=4):
    return Row(key, version, {"frames": f"{key}{version}"}, {"n_frames": n, "t_s": [0.5 * i for i in range(n)], "method": "all"})


def keys(table):
    return table[table.column_names[0]].to_pylist()


def n_files(ledger, table, partition=DAY):
    return len(TableFiles(ledger.uri, table).paths(partition))


def test_rows_come_back_as_they_were_written(ledger):
    vector = np.arange(512, dtype=np.float32) / 7
    uploaded = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    ledger.append("raw_media", DAY, [Row("猫/a b.mp4", "1", {"video": "h"}, {"uploaded_at": uploaded, "tags": ["x", "猫"], "width": 320})])
    ledger.append("frame_embeddings", DAY, [Row("猫/a b.mp4", "2", {"vector": "h"}, {"vector": vector, "n_frames": 3})])
    row = ledger.row("raw_media", "猫/a b.mp4")
    assert (row["uploaded_at"], row["tags"], row["width"], row["height"]) == (uploaded, ["x", "猫"], 320, None)
    assert (row["version"], dict(row["fields"]), row["partition"]) == ("1", {"video": "h"}, DAY)
    stored = ledger.rows("frame_embeddings", DAY, ["vector"])["vector"].to_pylist()
    assert np.array_equal(np.array(stored[0], np.float32), vector)


def test_the_newest_row_of_a_key_wins_in_order_of_writing(ledger):
    for version in "123":
        ledger.append("frames", DAY, [frames("b", version), frames("a", version)])
    assert ledger.rows("frames", DAY, ["version"]).to_pylist() == [{"media_id": "a", "version": "3"}, {"media_id": "b", "version": "3"}]


def test_rows_have_the_columns_asked_for_and_all_of_them_by_default(ledger):
    ledger.append("frames", DAY, [frames("a")], "run 7")
    assert ledger.rows("frames", DAY, []).column_names == ["media_id"]
    assert ledger.rows("frames", DAY, ["run_id", "partition"]).to_pylist() == [{"media_id": "a", "run_id": "run 7", "partition": DAY}]
    assert {"media_id", "version", "fields", "partition", "n_frames", "blob"} <= set(ledger.rows("frames").column_names)


def test_an_empty_table_has_its_columns_and_no_rows(ledger):
    assert ledger.rows("frames", DAY).num_rows == 0
    assert "t_s" in ledger.rows("frames").column_names
    assert ledger.partitions("frames") == []
    assert ledger.counts("frames") == Counts(0, 0)
    assert ledger.row("frames", "a") is None


def test_a_tombstone_hides_a_row_and_a_later_row_brings_the_item_back(ledger):
    ledger.append("frames", DAY, [frames("a"), frames("b")])
    ledger.tombstone("frames", DAY, ["a"])
    assert keys(ledger.rows("frames", DAY)) == ["b"]
    ledger.compact("frames", DAY)
    assert keys(ledger.rows("frames")) == ["b"]
    ledger.append("frames", DAY, [frames("a", "2")])
    assert keys(ledger.rows("frames")) == ["a", "b"]


def test_compaction_leaves_one_file_and_changes_nothing_that_readers_see(ledger):
    for version in "123":
        ledger.append("frames", DAY, [frames("a", version), frames(version)])
    before = ledger.rows("frames", DAY), ledger.data_version("frames"), ledger.counts("frames")
    ledger.compact("frames", DAY)
    assert n_files(ledger, "frames") == 1
    assert (ledger.rows("frames", DAY), ledger.data_version("frames"), ledger.counts("frames")) == before
    ledger.compact("frames", DAY)
    assert ledger.rows("frames", DAY) == before[0]


def test_a_fresh_tombstone_survives_compaction_so_that_an_older_row_stays_hidden(ledger):
    files = TableFiles(ledger.uri, "frames")
    late, _ = records(files, [frames("a")], "")
    ledger.append("frames", DAY, [frames("b")])
    ledger.tombstone("frames", DAY, ["a"])
    ledger.compact("frames", DAY)
    files.add(DAY, late)  # a compaction elsewhere that had read the row before it was removed
    assert keys(ledger.rows("frames", DAY)) == ["b"]


def test_an_old_tombstone_leaves_with_the_next_compaction(ledger):
    files = TableFiles(ledger.uri, "frames")
    stone, _ = records(files, [Row("a", "")], "", gone=True)
    age = stone.schema.get_field_index("written_ns")
    files.add(DAY, stone.set_column(age, "written_ns", [[now_ns() - (TOMBSTONE_S + 60) * 10**9]]))
    ledger.append("frames", DAY, [frames("b")])
    ledger.compact("frames", DAY)
    assert keys(files.read(DAY, ["media_id"])) == ["b"]


def test_an_item_that_moved_to_another_day_lives_there_whichever_was_written_first(ledger):
    ledger.append("frames", DAY, [frames("a")])
    ledger.append("frames", NEXT, [frames("a", "2")])
    ledger.tombstone("frames", DAY, ["a"])
    assert ledger.rows("frames", None, ["version", "partition"]).to_pylist() == [{"media_id": "a", "version": "2", "partition": NEXT}]


def test_of_one_key_alive_in_two_days_the_newest_row_is_read(ledger):
    ledger.append("frames", NEXT, [frames("a", "1")])
    ledger.append("frames", DAY, [frames("a", "2"), frames("b")])
    assert ledger.rows("frames", None, ["version"])["version"].to_pylist() == ["2", "1"]


def test_failed_rows_are_counted_and_never_served(ledger):
    ledger.append("frames", DAY, [frames("a"), Row("b", "1", {"frames": "x"}, error="no picture")])
    ledger.append("frames", DAY, [Row("a", "2", error="no picture")])
    assert ledger.counts("frames", DAY) == Counts(0, 2)
    assert ledger.rows("frames", DAY).num_rows == 0
    assert ledger.row("frames", "a") is None
    failed = ledger.rows("frames", DAY, ["error", "fields"], status="failed").to_pylist()
    assert failed[1] == {"media_id": "b", "error": "no picture", "fields": []}
    assert ledger.rows("frames", DAY, ["status"], status=None)["status"].to_pylist() == ["failed", "failed"]


def test_the_data_version_changes_with_content_and_with_nothing_else(ledger):
    ledger.append("frames", DAY, [frames("a"), frames("b")])
    first = ledger.data_version("frames", DAY)
    ledger.append("frames", DAY, [frames("b")])
    assert ledger.data_version("frames", DAY) == first
    ledger.append("frames", DAY, [frames("b", "2")])
    second = ledger.data_version("frames", DAY)
    ledger.tombstone("frames", DAY, ["b"])
    assert len({first, second, ledger.data_version("frames", DAY)}) == 3


def test_partitions_are_listed_in_order(ledger):
    for day in (NEXT, DAY):
        ledger.append("frames", day, [frames(day)])
    ledger.append("labels", WHOLE, [Row("a", "1")])
    assert ledger.partitions("frames") == [DAY, NEXT]
    assert ledger.partitions("labels") == [WHOLE]
    assert keys(ledger.rows("frames", NEXT)) == [NEXT]


@pytest.mark.parametrize("partition", ["../../etc", "2026-1-1", "", "2026-01-01/x", "*"])
def test_a_partition_that_is_no_day_never_becomes_a_path(tmp_path, partition):
    with pytest.raises(SettingError, match="YYYY-MM-DD"):
        Ledger(str(tmp_path)).append("frames", partition, [frames("a")])
    assert list(tmp_path.iterdir()) == []


def test_explicit_versions_are_planned_like_any_others(ledger):
    ledger.append("interactions", WHOLE, [Row("u1", "1"), Row("u2", "1"), Row("u3", "1", error="x")])
    plan = ledger.wanted("interactions", WHOLE, {"u1": "1", "u2": "2", "u3": "1", "u4": "1"})
    assert plan.todo == [Item("u2", "2", WHOLE), Item("u3", "1", WHOLE, attempts=1), Item("u4", "1", WHOLE)]
    assert (plan.gone, plan.stale) == ([], 1)
    assert ledger.wanted("interactions", WHOLE, {}).gone == ["u1", "u2", "u3"]


def test_a_column_that_the_table_does_not_have_is_refused(ledger):
    with pytest.raises(ValueError, match="no column n_frame;"):
        ledger.append("frames", DAY, [Row("a", "1", {}, {"n_frame": 3})])


def test_values_that_cannot_be_stored_cost_their_own_row_alone(ledger):
    bad_text, bad_number = Row("a", "1", {}, {"method": "\ud800"}), Row("b", "1", {}, {"n_frames": 2**40})
    assert ledger.append("frames", DAY, [bad_text, frames("c"), bad_number, Row("d", "1", error="name \ud800")]) == 2
    assert keys(ledger.rows("frames", DAY)) == ["c"]
    errors = ledger.rows("frames", DAY, ["error"], status="failed")["error"].to_pylist()
    assert [error.startswith("cannot be stored") for error in errors] == [True, True, False]


def test_the_whole_graph_runs_and_then_has_nothing_to_do(ledger):
    world = World(ledger.uri)
    for key in ("a", "b", "c"):
        world.upload(key)
    assert set(world.run().values()) == {(3, 0)}
    assert set(world.run().values()) == {(0, 0)}


def test_a_sweep_finds_what_no_row_names_and_deletes_it_only_when_told(ledger):
    blobs = Blobs(ledger.uri)
    kept = blobs.put("frames", "a", "2", "sheet.jpg", b"new")
    named = blobs.put("content_classifier", "content_classifier", "old", "model.json", b"{}")
    stale = [blobs.put("frames", "a", "1", name, b"old") for name in ("sheet.jpg", "frames.zip")]
    orphan = blobs.put("frames", "never stored", "1", "sheet.jpg", b"?")
    ledger.append("frames", DAY, [frames("a", "1")])
    ledger.append("frames", DAY, [frames("a", "2")])
    classifier = {"blob": blobs.prefix("content_classifier", "content_classifier", "old")}
    ledger.append("content_classifier", WHOLE, [Row("content_classifier", "new", {}, classifier)])
    assert ledger.sweep(dry_run=False).prefixes == 0  # nothing is a day old
    found = ledger.sweep(older_than_s=-60)
    assert (found.prefixes, found.files, found.size_bytes) == (2, 3, 7)
    assert all(map(blobs.exists, [kept, named, orphan, *stale]))
    assert ledger.sweep(dry_run=False, older_than_s=-60) == found
    assert [blobs.exists(path) for path in (kept, named, orphan, *stale)] == [True, True, False, False, False]
    assert ledger.sweep(older_than_s=-60).prefixes == 0


def test_a_sweep_removes_files_that_a_killed_writer_left_half_written(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.append("frames", DAY, [frames("a")])
    partial = tmp_path / "tables" / "frames" / DAY / "1-a.parquet.0.tmp"
    partial.write_bytes(b"PAR1")
    assert keys(ledger.rows("frames")) == ["a"]
    assert ledger.sweep(dry_run=False, older_than_s=-60).files == 1
    assert not partial.exists()


def test_a_damaged_file_is_an_error_and_not_an_empty_table(ledger):
    ledger.append("frames", DAY, [frames("a")])
    fs, _ = filesystem(ledger.uri)
    write(fs, f"{TableFiles(ledger.uri, 'frames').base}/{DAY}/9-x.parquet", b"not parquet")
    with pytest.raises((OSError, ValueError, AvrecError)):
        ledger.rows("frames", DAY)
