"""Uploads that come, change and leave, seen by the real sensor: each has exactly one effect, whatever happens in between."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from avrec_dag import s3, watching
from avrec_dag.arrivals import Known, Seen
from avrec_dag.ledger import Ledger
from avrec_dag.media.layout import layout
from avrec_dag.media.uploads import MediaSource
from avrec_dag.watching import Look, Watch
from tests.made_daemon import Daemon
from tests.made_daemon import watching as daemon_watching

OLD, OLDER = "2026-03-02", "2026-02-01"
TODAY = datetime.now(UTC).date()
START = date(2026, 1, 1)


class Uploads:
    """A library of uploads in a folder or on S3, changed as people change it. No file is media: failed rows are rows, and quick."""

    def __init__(self, uri: str) -> None:
        self.uri, self.root = uri, None if uri.startswith("s3://") else Path(uri)
        if self.root:
            self.root.mkdir(parents=True, exist_ok=True)
        self._ns = time.time_ns()

    def put(self, key: str, text: str = "1") -> None:
        if self.root is None:
            s3.put(f"{self.uri[5:]}/{key}", text.encode())
            return
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self._ns += 1_000  # two writes within one step of the clock are two versions all the same
        os.utime(path, ns=(self._ns, self._ns))

    def remove(self, key: str) -> None:
        if self.root is None:
            s3.delete(f"{self.uri[5:]}/{key}")
        else:
            (self.root / key).unlink()

    def held(self) -> set[str]:
        return {upload.key for upload in MediaSource(self.uri).list()}


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def uploads(request, tmp_path) -> Uploads:
    return Uploads(str(tmp_path / "media") if request.param == "folder" else f"{request.getfixturevalue('s3_store')}/媒体")


@pytest.fixture
def daemon(uploads, tmp_path) -> Iterator[Daemon]:
    uploads.put(f"dt={OLD}/first.mp4")
    uploads.put(f"dt={OLDER}/first.mp4")
    with daemon_watching(uploads.uri, str(tmp_path / "store"), time.time()) as made:
        yield made


A, B, LATE = f"dt={OLD}/a.mp4", f"dt={OLD}/b.mp4", f"dt={OLDER}/late.mp4"


def burst(daemon: Daemon, uploads: Uploads) -> None:
    for number in range(20):
        uploads.put(f"dt={OLD}/{number}.mp4")


def slow_burst(daemon: Daemon, uploads: Uploads) -> None:
    for number in range(6):  # as long as it lasts, something is younger than the rest that a day is given
        uploads.put(f"dt={OLD}/{number}.mp4")
        daemon.now_s = time.time()
        daemon.tick(passes_s=0.1)


def overwrite(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(A)
    daemon.settle()
    uploads.put(A, "2")


def a_b_a(daemon: Daemon, uploads: Uploads) -> None:
    for text in ("1", "2", "1"):
        uploads.put(A, text)
        daemon.settle()


def a_b_a_unseen(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(A)
    daemon.settle()
    uploads.put(A, "2")
    uploads.put(A)


def rename(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(A)
    daemon.settle()
    uploads.remove(A)
    uploads.put(B)


def delete(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(A)
    daemon.settle()
    uploads.remove(A)


def delete_a_day(daemon: Daemon, uploads: Uploads) -> None:
    uploads.remove(f"dt={OLDER}/first.mp4")


def come_and_go_unseen(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(A)
    uploads.remove(A)


def late(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(LATE)


def sidecar_first(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(f"{A}.json", '{"title": "1"}')
    daemon.settle()
    uploads.put(A)


def sidecar_later(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put(A)
    daemon.settle()
    uploads.put(f"{A}.json", '{"title": "1"}')


def line_above(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put("metadata.jsonl", json.dumps({"file": f"dt={OLD}/first.mp4", "title": "1"}))


def stray_sidecar(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put("metadata.jsonl", json.dumps({"file": "nowhere.mp4", "title": "1"}))
    uploads.put(f"dt={OLD}/nobody.json", "{}")


def undated(daemon: Daemon, uploads: Uploads) -> None:
    uploads.put("inbox/a.mp4")
    uploads.put("b.mp4")


Story = Callable[[Daemon, Uploads], None]
STORIES: list[tuple[Story, int, int, int]] = [  # what happens; runs; rows worked out; rows removed
    (burst, 1, 20, 0), (slow_burst, 1, 6, 0), (overwrite, 2, 2, 0), (a_b_a, 3, 3, 0), (rename, 2, 2, 1), (delete, 2, 1, 1),
    (delete_a_day, 1, 0, 1), (come_and_go_unseen, 0, 0, 0), (late, 1, 1, 0), (sidecar_first, 1, 1, 0), (sidecar_later, 2, 2, 0),
    (line_above, 1, 1, 0), (stray_sidecar, 0, 0, 0), (undated, 1, 2, 0),
]  # fmt: skip


@pytest.mark.parametrize(("story", "runs", "computed", "removed"), STORIES, ids=[story.__name__ for story, *_ in STORIES])
def test_what_happens_to_uploads_has_exactly_one_effect(daemon, uploads, story, runs, computed, removed):
    story(daemon, uploads)
    daemon.settle()
    assert (len(daemon.ran), sum(one[1] for one in daemon.ran), sum(one[2] for one in daemon.ran)) == (runs, computed, removed)
    assert {key for key in uploads.held() if key.endswith(".mp4")} == daemon.stored().keys()
    assert daemon.settle() == 0


def test_the_same_bytes_again_are_nothing_new_on_s3_and_a_look_into_a_folder(daemon, uploads):
    uploads.put(A)
    daemon.settle()
    uploads.put(A)
    assert daemon.settle() == (1 if uploads.root else 0)  # a folder has no ETag but the time of writing


def test_uploads_of_the_same_second_as_the_last_look_are_found(daemon, uploads):
    uploads.put(A)
    daemon.settle()
    uploads.put(B)
    if uploads.root:
        seen = (uploads.root / A).stat().st_mtime_ns
        os.utime(uploads.root / B, ns=(seen, seen))
    assert daemon.settle() == 1
    assert {A, B} <= daemon.stored().keys()


@pytest.mark.parametrize("dies_after", [-1, 0, 1, 2])
def test_a_daemon_killed_at_any_step_asks_for_everything_once(daemon, uploads, dies_after):
    uploads.put(A)
    uploads.put(LATE)
    daemon.tick(dies_after=dies_after)
    daemon.settle()
    assert Counter(one[0] for one in daemon.ran) == {OLD: 1, OLDER: 1}
    assert {A, LATE} <= daemon.stored().keys()


def test_a_lost_cursor_costs_no_run_where_every_change_was_worked_on(daemon, uploads):
    uploads.put(A)
    daemon.settle()
    daemon.forget()
    assert daemon.settle() == 0
    uploads.put(A, "2")
    daemon.forget()
    assert daemon.settle() == 1


def test_what_a_run_has_done_before_is_done_again_when_it_comes_again_after_the_cursor_was_lost(daemon, uploads):
    for text in ("1", "2"):
        uploads.put(A, text)
        daemon.settle()
    daemon.forget()
    uploads.put(A, "1")
    assert daemon.settle() == 1


class Library(RuleBasedStateMachine):
    """Any order of uploads, changes, removals, ticks and deaths ends with one row for each upload and no run for nothing."""

    NAMES = (A, B, LATE, f"dt={OLD}/sub/c.mp4", "inbox/d.mp4", f"dt={TODAY}/e.mp4", f"dt={TODAY + timedelta(days=3)}/f.mp4")

    @initialize()
    def begin(self) -> None:
        self.base = Path(str(self.folder)) / str(time.time_ns())
        self.uploads = Uploads(str(self.base / "media"))
        self.context = daemon_watching(self.uploads.uri, str(self.base / "store"), time.time())
        self.daemon = self.context.__enter__()
        self.texts = 0

    folder: Path

    @rule(key=st.sampled_from(NAMES))
    def put(self, key: str) -> None:
        self.texts += 1
        self.uploads.put(key, str(self.texts))

    @rule(key=st.sampled_from(NAMES), where=st.sampled_from(["json", "beside"]))
    def tell(self, key: str, where: str) -> None:
        self.texts += 1
        self.uploads.put(f"{key}.json" if where == "json" else f"{key[:-4]}.json", json.dumps({"title": str(self.texts)}))

    @precondition(lambda self: self.uploads.held())
    @rule(data=st.data())
    def remove(self, data) -> None:
        self.uploads.remove(data.draw(st.sampled_from(sorted(self.uploads.held()))))

    @rule(dies_after=st.none() | st.integers(-1, 2), passes_s=st.sampled_from([1.0, 15.0, 400.0]))
    def tick(self, dies_after: int | None, passes_s: float) -> None:
        self.daemon.tick(dies_after=dies_after, passes_s=passes_s)

    @rule()
    def rest(self) -> None:
        self.daemon.settle()
        assert self.daemon.stored().keys() == {key for key in self.uploads.held() if key.endswith(".mp4")}
        assert not self.daemon.waiting()
        worked_out = sum(one[1] for one in self.daemon.ran)
        assert worked_out <= self.texts
        assert self.daemon.settle() == 0

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        if hasattr(self, "daemon"):
            rows = Ledger(self.daemon.settings.store).rows("raw_media", None, [], status=None)["media_id"].to_pylist()
            assert len(rows) == len(set(rows))

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.rest()
            self.context.__exit__(None, None, None)


@pytest.mark.slow
def test_any_order_of_events_ends_well(tmp_path):
    Library.folder = tmp_path
    case = settings(max_examples=30, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
    Library.TestCase.settings = case
    Library.TestCase().runTest()


def looked(source: MediaSource, known: Known, at_s: float, tmp_path: Path, hinted: tuple[str, ...] = (), **more) -> Look:
    watch = Watch(source, Ledger(str(tmp_path / "store")), START, 600.0, lambda _: {})
    return watch.look(known, hinted, TODAY, at_s, **more)


def test_a_round_of_all_days_goes_on_where_the_last_look_ran_out_of_time(tmp_path, monkeypatch):
    uploads = Uploads(str(tmp_path / "media"))
    for number in range(12):
        uploads.put(f"dt=2026-02-{number + 1:02d}/a.mp4")
    monkeypatch.setattr(MediaSource, "metered", True)
    source = MediaSource(uploads.uri)
    monkeypatch.setattr(watching, "BUDGET_S", -1.0)
    assert looked(source, Known.read(None, 0), 1e9, tmp_path).listed == 0
    monkeypatch.setattr(watching, "BUDGET_S", 60.0)
    look = looked(source, Known.read(None, 0), 1e9, tmp_path)
    assert (look.listed, look.known.relisted) == (12, None)
    rested = looked(source, look.known, 1e9 + 15, tmp_path).known
    assert looked(source, rested, 1e9 + 30, tmp_path).listed == 0  # none of them recent, none of them due
    assert looked(source, rested, 1e9 + 30, tmp_path, ("dt=2026-02-07/b.mp4",)).listed == 1
    assert looked(source, rested, 1e9 + 700, tmp_path).listed == 12
    uploads.put("metadata.csv", "file,title\n")
    assert looked(source, rested, 1e9 + 30, tmp_path).listed == 12


def test_uploads_whose_keys_tell_no_day_are_listed_once_in_a_while_and_their_cost_is_told(tmp_path, monkeypatch):
    uploads = Uploads(str(tmp_path / "media"))
    for number in range(8):
        uploads.put(f"user{number}/a.mp4")
    monkeypatch.setattr(watching, "_CHEAP_S", 0.0)
    source = MediaSource(uploads.uri)
    look = looked(source, Known.read(None, 0), 1e9, tmp_path)
    assert look.cost.startswith("8 files lie in no folder dt=YYYY-MM-DD: listing them takes 0.")
    assert "1 requests, once in 600 s" in look.cost
    uploads.put("user7/b.mp4")
    assert looked(source, look.known, 1e9 + 15, tmp_path).known.undated == look.known.undated
    assert looked(source, look.known, 1e9 + 61, tmp_path, ("user7/b.mp4",)).known.undated != look.known.undated
    assert looked(source, look.known, 1e9 + 601, tmp_path).known.undated != look.known.undated


def test_a_layout_holds_every_upload_in_one_of_its_parts(uploads):
    keys = [f"raw/dt={OLD}/a.mp4", f"raw/dt={OLDER}/x/b.mp4", f"dt={OLD}/c.mp4", "loose.mp4", "raw/loose.json", "dt=2026-13-01/d.mp4"]
    keys += [f"u{n}/deep/e.mp4" for n in range(6)]
    for key in keys:
        uploads.put(key)
    source = MediaSource(uploads.uri)
    shape = layout(source)
    assert shape.days == {OLDER: (f"raw/dt={OLDER}/",), OLD: (f"dt={OLD}/", f"raw/dt={OLD}/")}
    folders = [*shape.others, *(folder for day in shape.days.values() for folder in day)]
    parts = [upload.key for upload in (*shape.loose, *source.list(folders))]
    assert sorted(parts) == sorted(keys)


def test_seen_is_nothing_where_only_sidecars_are_left(tmp_path):
    uploads = Uploads(str(tmp_path / "media"))
    uploads.put(f"dt={OLD}/a.mp4.json", "{}")
    look = looked(MediaSource(uploads.uri), Known.read(None, 0), 1e9, tmp_path)
    assert (look.known.days, look.known.waiting, look.due) == ({}, {}, {})
    assert Seen() == Seen("", 0, 0.0)
