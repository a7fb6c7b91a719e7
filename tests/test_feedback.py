import multiprocessing
import pickle
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from avrec_dag.errors import SettingError
from avrec_dag.feedback import KINDS, WEIGHTS, Event, FeedbackLog

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
VALUES = {"watch": 0.5, "rating": 4}


def event(kind: str = "like", *, user_id: str = "ann", media_id: str = "a.mp4", at: datetime = AT, **more) -> Event:
    facts = {"value": VALUES[kind]} if kind in VALUES else {"text": "good 好"} if kind == "comment" else {}
    return Event(**{"user_id": user_id, "media_id": media_id, "kind": kind, "happened_at": at, **facts, **more})


@pytest.fixture
def log(tmp_path: Path):
    opened = FeedbackLog(f"sqlite:///{tmp_path}/deep/feedback.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_went_in(log, kind):
    sent = event(kind)
    assert log.add([sent]) == 1
    assert list(log.events("2026-01-05")) == [sent]


@pytest.mark.parametrize(
    "broken",
    [
        {"user_id": ""},
        {"user_id": "u" * 201},
        {"user_id": "a\nb"},
        {"media_id": "\x00"},
        {"event_id": ""},
        {"kind": "adore"},
        {"happened_at": datetime(2026, 1, 5, 12)},  # noqa: DTZ001
        {"happened_at": datetime.now(UTC) + timedelta(days=2)},
        {"happened_at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"value": 0.5},
        {"text": "likes have none"},
        {"kind": "watch"},
        {"kind": "watch", "value": 1.01},
        {"kind": "watch", "value": float("nan")},
        {"kind": "rating", "value": 0},
        {"kind": "rating", "value": 6},
        {"kind": "comment"},
        {"kind": "comment", "text": ""},
        {"kind": "comment", "text": "x" * 10_001},
        {"surprise": 1},
    ],
)
def test_an_event_that_cannot_be_true_is_refused(broken):
    with pytest.raises(ValidationError):
        Event(**{"user_id": "ann", "media_id": "a.mp4", "kind": "like", "happened_at": AT, **broken})


def test_limits_themselves_are_accepted():
    assert event(user_id="u" * 200, media_id="é" * 1024).media_id == "é" * 1024
    assert len(event("comment", text="x" * 10_000).text or "") == 10_000
    assert event(at=datetime.now(UTC) + timedelta(hours=20)).kind == "like"


def test_times_are_kept_in_utc_and_decide_the_day(log):
    late = datetime(2026, 1, 5, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    log.add([event(at=late)])
    assert log.days() == ["2026-01-06"]
    assert next(log.events("2026-01-06")).happened_at == late
    assert next(log.events("2026-01-06")).happened_at.utcoffset() == timedelta(0)


def test_the_same_content_has_the_same_id_in_any_time_zone_and_other_content_another():
    elsewhere = event(at=AT.astimezone(timezone(timedelta(hours=8))))
    assert event().event_id == elsewhere.event_id
    different = [event(user_id="bob"), event(media_id="b.mp4"), event("view"), event(at=AT + timedelta(microseconds=1)), event("watch")]
    assert len({one.event_id for one in [event(), *different]}) == 6


def test_sending_again_changes_nothing(log):
    batch = [event(at=AT + timedelta(seconds=n)) for n in range(1200)]
    assert log.add([*batch, batch[0]]) == 1200
    assert log.add(batch) == 0
    assert log.add([event(event_id=batch[0].event_id, user_id="someone else")]) == 0
    assert list(log.events("2026-01-05")) == batch


@given(kind=st.sampled_from(KINDS), share=st.floats(0, 1), stars=st.floats(1, 5))
def test_weights_lie_in_minus_one_to_one(kind, share, stars):
    sent = event(kind, **({"value": share} if kind == "watch" else {"value": stars} if kind == "rating" else {}))
    assert -1.0 <= sent.weight <= 1.0
    assert set(WEIGHTS) == set(KINDS)


def test_weights_say_what_they_should():
    weights = {kind: event(kind).weight for kind in KINDS}
    assert weights["like"] == 1.0
    assert weights["dislike"] == -1.0
    assert weights["skip"] < 0 < weights["view"] < weights["comment"] < weights["share"]
    assert event("rating", value=3).weight == 0.0
    assert event("watch", value=0.1).weight < 0 < event("watch", value=0.9).weight


def test_one_persons_newest_events_come_oldest_first(log):
    log.add([event(at=AT + timedelta(hours=n)) for n in range(5)] + [event(user_id="bob")])
    newest = log.of_user("ann", since=AT, limit=2)
    assert [one.happened_at for one in newest] == [AT + timedelta(hours=3), AT + timedelta(hours=4)]


def test_erasing_a_person_leaves_nothing_of_them_in_the_files(tmp_path, log):
    log.add([event("comment", text="my secret words"), event(user_id="bob")])
    assert log.erase_user("ann") == 1
    log.close()
    assert [one.user_id for one in log.events("2026-01-05")] == ["bob"]
    assert not any(b"my secret words" in path.read_bytes() for path in (tmp_path / "deep").iterdir())


def test_an_item_that_leaves_takes_its_events_along(log):
    log.add([event(), event(media_id="b.mp4")])
    assert log.remove_item("a.mp4") == 1
    assert [one.media_id for one in log.events("2026-01-05")] == ["b.mp4"]


def test_sqlite_is_opened_for_durability(tmp_path, log):
    log.add([event()])
    with log._engine().connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "sqlite:///:memory:", "oracle://host/db", "postgresql+nodriver://h/db", "sqlite:////proc/none/f.db"]
)
def test_an_unusable_address_is_one_sentence_that_says_what_to_do(url):
    with pytest.raises(SettingError, match="AVREC_FEEDBACK"):
        FeedbackLog(url).days()


def _write(url: str, writer: int, n: int) -> None:
    log = FeedbackLog(url)
    for number in range(n):
        log.add([event(user_id=f"writer-{writer}", at=AT + timedelta(seconds=number))])
    log.close()


def test_processes_that_write_at_once_lose_nothing_and_share_the_first_opening(tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.db"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(url, writer, 25)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    log = FeedbackLog(url)
    assert [process.exitcode for process in writers] == [0, 0, 0, 0]
    assert len(list(log.events("2026-01-05"))) == 100
    log.close()


CRASH = """
import os, sys
from datetime import UTC, datetime, timedelta
from avrec_dag.feedback import Event, FeedbackLog
log = FeedbackLog(sys.argv[1])
at = datetime(2026, 1, 5, tzinfo=UTC)
for n in range(7):
    log.add([Event(user_id="u", media_id="a.mp4", kind="view", happened_at=at + timedelta(seconds=n))])
    print(n, flush=True)
os._exit(9)
"""


def test_what_was_acknowledged_before_a_crash_is_there_after_it(tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.db"
    dead = subprocess.run([sys.executable, "-c", CRASH, url], capture_output=True, text=True, timeout=60)
    assert dead.returncode == 9, dead.stderr
    log = FeedbackLog(url)
    assert len(list(log.events("2026-01-05"))) == len(dead.stdout.split()) == 7
    log.close()


def test_a_failing_batch_is_kept_whole_or_not_at_all(log):
    def broken():
        yield from (event(at=AT + timedelta(seconds=n)) for n in range(700))
        raise OSError("the sender went away")

    with pytest.raises(OSError, match="went away"):
        log.add(broken())
    assert log.days() == []


def test_a_log_travels_to_another_process_by_its_address(log):
    log.add([event()])
    copy = pickle.loads(pickle.dumps(log))
    assert copy.days() == ["2026-01-05"]
    copy.close()


def test_the_file_is_plain_sqlite_for_anyone_to_read(tmp_path, log):
    log.add([event("rating", value=5)])
    connection = sqlite3.connect(tmp_path / "deep" / "feedback.db")
    assert connection.execute("SELECT user_id, kind, value FROM avrec_feedback").fetchall() == [("ann", "rating", 5.0)]
    connection.close()
