import json
import os
import time
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from typer.testing import CliRunner

from assets import housekeeping
from avrec_dag import definitions
from avrec_dag.cli.app import app
from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.feedback.stage import update_feedback
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.ledger import files as ledger_files
from avrec_dag.ledger.files import TOMBSTONE_S, TableFiles
from avrec_dag.lifecycle import Expired, Lifecycle, expire
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs
from avrec_dag.vanishing import refuse_mass_vanishing, vanished

STEP = graph(Recipe("f", "a", "e", "t", "s"))["feedback_events"]
TODAY = date(2026, 3, 1)


@pytest.fixture(params=["folder", "s3"])
def ledger(request, tmp_path):
    return Ledger(str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_store"))


@pytest.fixture
def log(tmp_path, ledger):
    """One like a day for forty days, in the log and in its table."""
    log = FeedbackLog(f"sqlite:///{tmp_path}/feedback.db")
    days = [TODAY - timedelta(days=age) for age in range(0, 40, 4)]
    log.add(
        Event(user_id="ada", media_id="a.mp4", kind="like", happened_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
        for day in days
    )
    for day in log.days():
        update_feedback(ledger, log, STEP, day)
    return log


def judged(ledger: Ledger) -> None:
    for age, adopted in ((300, False), (200, True), (100, True), (50, False), (40, False)):
        at = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(days=age)
        ledger.append("classifier_decision", WHOLE, [Row(f"d{age}", "1", {}, {"decided_at": at, "adopted": adopted})])


def test_events_and_histories_leave_when_they_are_older_than_they_are_kept(ledger, log):
    judged(ledger)
    kept = Lifecycle.read("feedback_events=10, classifier_decision=30")
    expected = [Expired("classifier_decision", 30, 3), Expired("feedback log", 10, 7), Expired("feedback_events", 10, 7)]
    assert expire(ledger, log, kept, TODAY, dry_run=True) == expected
    assert (len(log.days()), ledger.counts("feedback_events").ok, ledger.counts("classifier_decision").ok) == (10, 10, 5)
    assert expire(ledger, log, kept, TODAY, dry_run=False) == expected
    assert log.days() == ["2026-02-21", "2026-02-25", "2026-03-01"] == ledger.partitions("feedback_events")
    # The newest, and the one by which what serves was adopted.
    assert ledger.rows("classifier_decision", WHOLE, [])["decision_id"].to_pylist() == ["d100", "d40"]
    assert expire(ledger, log, kept, TODAY, dry_run=False) == []
    assert expire(ledger, log, kept, TODAY + timedelta(days=4), dry_run=True) == [
        Expired("feedback log", 10, 1), Expired("feedback_events", 10, 1),
    ]  # fmt: skip


def test_what_is_not_named_is_kept_for_ever(ledger, log):
    judged(ledger)
    assert expire(ledger, log, Lifecycle.read(""), date(2126, 1, 1), dry_run=False) == []


@pytest.mark.parametrize(
    "text", ["feedback_events", "feedback_events=0", "feedback_events=-3", "x=3", "feedback_events=1.5", "feedback_events=²"]
)
def test_a_lifecycle_that_cannot_be_read_is_refused(text):
    with pytest.raises(SettingError, match="AVREC_RETENTION has"):
        Lifecycle.read(text)


def test_a_table_that_follows_others_has_no_lifecycle_of_its_own():
    with pytest.raises(SettingError, match="frames, which is kept as long as what it is computed from"):
        Lifecycle.read("frames=30")
    assert Lifecycle.read(Lifecycle.read("feedback_events=3,classifier_decision=4").canonical()).days == {
        "feedback_events": 3, "classifier_decision": 4,
    }  # fmt: skip


def test_bare_keys_leave_once_no_writer_can_need_them(ledger, monkeypatch):
    for key in "ab":
        ledger.append("frames", "2026-01-01", [Row(key, "1")])
    ledger.tombstone("frames", "2026-01-01", ["a"])
    ledger.compact("frames", "2026-01-01")
    assert (ledger.purge(dry_run=True), ledger.purge(dry_run=False)) == (0, 0)
    later = time.time_ns() + (TOMBSTONE_S + 60) * 10**9
    monkeypatch.setattr(ledger_files, "_last_ns", ledger_files._last_ns)  # taken back with the clock
    monkeypatch.setattr(ledger_files.time, "time_ns", lambda: later)
    assert (ledger.purge(dry_run=True), ledger.purge(dry_run=False), ledger.purge(dry_run=True)) == (1, 1, 0)
    files = TableFiles(ledger.uri, "frames")
    assert files.read(None, [files.key])[files.key].to_pylist() == ["b"]


def test_the_nightly_job_deletes_what_is_a_day_old_and_what_expired(tmp_path, log, ledger, monkeypatch):
    blobs = Blobs(ledger.uri)
    lost = blobs.put("frames", "lost.mp4", "1", "sheet.jpg", b"1")
    if (path := blobs.local(lost)) is None:
        pytest.skip("the age of an object on S3 cannot be moved")
    young = blobs.put("frames", "young.mp4", "1", "sheet.jpg", b"1")
    os.utime(path, (time.time() - 90_000,) * 2)
    from dataclasses import replace

    from assets import graph as settings
    from resources.feedback import Feedback
    from resources.store import Store

    monkeypatch.setattr(settings, "SETTINGS", replace(settings.SETTINGS, retention=Lifecycle.read("feedback_events=1")))
    done = housekeeping.housekeeping.execute_in_process(resources={"store": Store(uri=ledger.uri), "feedback": Feedback(url=log.url)})
    assert done.success
    assert (blobs.exists(lost), blobs.exists(young), log.days(), ledger.partitions("feedback_events")) == (False, True, [], [])


def test_the_house_is_kept_every_night_without_being_asked():
    assert housekeeping.nightly_housekeeping.default_status is dg.DefaultScheduleStatus.RUNNING
    assert definitions.defs.resolve_job_def("housekeeping")


def small_days(folder, ledger: Ledger, n_days: int) -> MediaSource:
    """Two uploads a day, ingested."""
    for number in range(n_days):
        day = f"2026-01-{number + 1:02}"
        for name in "ab":
            path = folder / f"dt={day}" / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"1")
            ledger.append("raw_media", day, [Row(f"dt={day}/{name}.mp4", "1")])
    return MediaSource(str(folder))


def gone(*keys: str) -> Plan:
    return Plan(todo=[], gone=list(keys), stale=0)


def test_a_library_of_small_days_is_not_emptied_by_a_listing_that_went_wrong(tmp_path):
    ledger, media = Ledger(str(tmp_path / "store")), tmp_path / "media"
    source, day = small_days(media, ledger, 6), "2026-01-01"
    both = [f"dt={day}/{name}.mp4" for name in "ab"]
    for key in both:
        (media / key).unlink()
    refuse_mass_vanishing(ledger, source, day, gone(*both), 0.5)  # two of twelve: somebody deleted a day
    assert vanished(ledger, source) == dict.fromkeys(both, day)
    for number in range(2, 5):
        for name in "ab":
            (media / f"dt=2026-01-{number:02}" / f"{name}.mp4").unlink()
    with pytest.raises(AvrecError, match=r"8 of 12 items of the library are not listed any more, more than the 50%.*AVREC_GUARD=1"):
        refuse_mass_vanishing(ledger, source, day, gone(*both), 0.5)
    refuse_mass_vanishing(ledger, source, day, gone(*both), 1.0)
    refuse_mass_vanishing(ledger, source, day, gone(), 0.5)
    refuse_mass_vanishing(ledger, source, day, Plan(todo=[Item("x", "1", day)], gone=both[:1], stale=0), 0.5)  # one of its day's two


def test_sweep_shows_what_would_expire_and_removes_it_only_when_told(tmp_path, monkeypatch):
    ledger, log = Ledger(str(tmp_path / "store")), FeedbackLog(f"sqlite:///{tmp_path}/feedback.db")
    old = datetime.now(UTC) - timedelta(days=9)
    log.add([Event(user_id="ada", media_id="a.mp4", kind="like", happened_at=old)])
    update_feedback(ledger, log, STEP, log.days()[0])
    env = {"AVREC_STORE": ledger.uri, "AVREC_FEEDBACK": log.url, "AVREC_RETENTION": "feedback_events=3"}
    for arguments, left in (([], 1), (["--delete"], 0)):
        done = CliRunner().invoke(app, ["sweep", *arguments, "--json"], env=env)
        told = json.loads(done.stdout)
        assert told["expired"] == [{"place": place, "kept_days": 3, "rows": 1} for place in ("feedback log", "feedback_events")]
        assert (len(log.days()), ledger.counts("feedback_events").ok) == (left, left)
