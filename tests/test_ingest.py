import json
import os
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from avrec_dag import synthetic
from avrec_dag.engine import engine
from avrec_dag.incremental import advance
from avrec_dag.ledger import Ledger
from avrec_dag.media.ingest import ProbeUploads, days_of, plan_uploads
from avrec_dag.media.spoken import is_media
from avrec_dag.media.uploads import MediaSource
from avrec_dag.schema import TABLES
from avrec_dag.steps import Recipe, graph

STEP = graph(Recipe("f", "a", "e", "t", "s"))["raw_media"]
DAY, START = date(2026, 5, 4), date(2026, 1, 1)


class Library:
    """A folder of uploads and its raw_media, brought up to date on demand."""

    def __init__(self, root):
        self.folder = root / "媒体"
        self.folder.mkdir()
        self.source = MediaSource(str(self.folder))
        self.ledger = Ledger(str(root / "store"))

    def clip(self, name, seed=1):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        return synthetic.clip(self.folder / name, kind="dots", seed=seed, duration_s=0.4, size=(96, 64))

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def plan(self, step=STEP, today=DAY):
        return plan_uploads(self.ledger, self.source, step, DAY.isoformat(), today, START)

    def ingest(self):
        with_engine = engine("inline")
        try:
            return advance(self.ledger, with_engine, STEP, DAY.isoformat(), ProbeUploads(str(self.folder)), plan=self.plan())
        finally:
            with_engine.close()

    def row(self, key):
        return self.ledger.row("raw_media", key)

    def fields(self, key):
        rows = self.ledger.rows("raw_media", columns=["fields"]).to_pylist()
        return dict(next(row["fields"] for row in rows if row["media_id"] == key))


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path)


def test_a_folder_of_good_and_bad_files_gives_a_row_for_each_and_reasons_for_the_bad(library):
    names = ["a b.mp4", 'it\'s "odd".mp4', "x..y.mp4", "猫/视频.mp4"]
    for name in names:
        library.clip(name)
    (library.folder / "zero.mp4").write_bytes(b"")
    library.write("text.mp4", "not a film")
    library.write("a b.json", "{broken")
    outcome = library.ingest()
    assert (outcome.computed, outcome.failed) == (4, 2)
    good = library.ledger.rows("raw_media", columns=["warnings", "title"]).to_pylist()
    assert {row["media_id"] for row in good} == set(names)
    bad = library.ledger.rows("raw_media", columns=["error"], status="failed").to_pylist()
    assert {row["media_id"]: row["error"].partition(": ")[2][:12] for row in bad} == {
        "zero.mp4": "the file is ",
        "text.mp4": "is text, not",
    }
    assert next(row["warnings"] for row in good if row["media_id"] == "a b.mp4")[0].startswith("a b.json: is not JSON at line 1")


def test_nothing_is_probed_again_when_nothing_changed(library):
    library.clip("a.mp4")
    (library.folder / "zero.mp4").write_bytes(b"")
    library.write("a.json", '{"title": "A"}')
    library.write("metadata.jsonl", '{"file": "a.mp4", "tags": ["x"]}\n')
    library.ingest()
    assert library.plan().todo == [] and library.plan().gone == []


def test_a_new_title_changes_the_metadata_and_nothing_else(library):
    library.clip("a.mp4")
    library.clip("b.mp4", seed=2)
    library.write("a.json", json.dumps(synthetic.sidecar("dots", 1)))
    library.ingest()
    before = library.fields("a.mp4")
    assert set(before) == {"video", "audio", "metadata", "labels"}
    assert set(library.fields("b.mp4")) == {"video", "audio"}
    library.write("a.json", json.dumps({**synthetic.sidecar("dots", 1), "title": "a new title"}))
    assert [item.key for item in library.plan().todo] == ["a.mp4"]
    library.ingest()
    after = library.fields("a.mp4")
    assert {name for name in before if before[name] != after[name]} == {"metadata"}
    assert library.row("a.mp4")["title"] == "a new title"


def test_new_labels_change_the_labels_alone(library):
    library.clip("a.mp4")
    library.write("a.json", '{"title": "A", "labels": ["x"]}')
    library.ingest()
    before = library.fields("a.mp4")
    library.write("a.json", '{"title": "A", "labels": ["y"]}')
    library.ingest()
    after = library.fields("a.mp4")
    assert {name for name in before if before[name] != after[name]} == {"labels"}


def test_one_edited_line_of_a_folder_file_concerns_one_item(library):
    for name in ("a.mp4", "b.mp4"):
        library.clip(name)
    library.write("metadata.csv", "file,title\na.mp4,A\nb.mp4,B\n")
    library.ingest()
    library.write("metadata.csv", "file,title\na.mp4,A\nb.mp4,B2\n")
    assert [item.key for item in library.plan().todo] == ["b.mp4"]
    library.ingest()
    assert (library.row("a.mp4")["title"], library.row("b.mp4")["title"]) == ("A", "B2")


def test_the_sidecar_beside_a_file_overrides_the_line_of_its_folder_key_by_key(library):
    library.clip("a.mp4")
    library.write("metadata.csv", "file,title,creator,language\na.mp4,csv,ada,en\n")
    library.write("metadata.jsonl", '{"file": "a.mp4", "title": "jsonl", "language": "zh"}\n')
    library.write("a.mp4.json", '{"title": "json"}')
    library.ingest()
    row = library.row("a.mp4")
    assert (row["title"], row["language"], row["creator"]) == ("json", "zh", "ada")


def test_a_file_at_the_top_may_speak_of_folders_below_and_the_nearest_has_the_last_word(library):
    library.clip("x/y/a.mp4")
    library.write("metadata.jsonl", '{"file": "x/y/a.mp4", "title": "top", "creator": "ada"}\n')
    library.write("x/y/metadata.csv", "file,title\n./a.mp4,near\n")
    library.ingest()
    row = library.row("x/y/a.mp4")
    assert (row["title"], row["creator"]) == ("near", "ada")


def test_a_removed_upload_leaves_and_a_replaced_one_is_probed_again(library):
    library.clip("a.mp4")
    library.clip("b.mp4")
    library.ingest()
    (library.folder / "a.mp4").unlink()
    library.clip("b.mp4", seed=9)
    os.utime(library.folder / "b.mp4", ns=(1, 1))
    before = library.fields("b.mp4")
    outcome = library.ingest()
    assert (outcome.computed, outcome.removed, outcome.rows) == (1, 1, 1)
    assert library.fields("b.mp4")["video"] != before["video"]


def test_a_touched_file_is_probed_again_but_keeps_its_fields(library):
    library.clip("a.mp4")
    library.ingest()
    before = library.fields("a.mp4")
    os.utime(library.folder / "a.mp4", ns=(1, 1))
    assert library.ingest().computed == 1
    assert library.fields("a.mp4") == before


def test_a_new_code_version_probes_everything_again(library):
    library.clip("a.mp4")
    library.ingest()
    assert [item.key for item in library.plan(replace(STEP, code="next")).todo] == ["a.mp4"]


def test_an_item_keeps_its_day_when_days_pass(library):
    library.clip("a.mp4")
    (library.folder / "zero.mp4").write_bytes(b"")
    library.ingest()
    library.clip("b.mp4")
    tomorrow = date(2026, 5, 5)
    days = days_of(library.ledger, library.source, tomorrow, START)
    assert {day: [upload.key for upload in uploads] for day, uploads in days.items()} == {
        "2026-05-04": ["a.mp4", "zero.mp4"],
        "2026-05-05": ["b.mp4"],
    }
    assert library.plan(today=tomorrow).todo == []


def test_rows_fit_their_table(library):
    library.clip("a.mp4")
    synthetic.clip(library.folder / "b.jpg", kind="dots", seed=1)
    synthetic.clip(library.folder / "c.wav", kind="dots", seed=1, duration_s=0.2)
    items = library.plan().todo
    rows = ProbeUploads(str(library.folder))(items)
    table = pa.Table.from_pylist([dict(row.values) for row in rows], schema=TABLES["raw_media"].columns)
    assert table["kind"].to_pylist() == ["video", "image", "audio"]
    assert set().union(*(row.values for row in rows)) <= set(table.column_names)


@pytest.mark.parametrize(
    ("key", "media"),
    [("a.mp4", True), ("a.JSON", False), ("x/metadata.jsonl", False), ("metadata.csv", False), ("data.csv", True), ("README", True)],
)
def test_sidecars_are_known_by_their_names(key, media):
    assert is_media(key) == media
