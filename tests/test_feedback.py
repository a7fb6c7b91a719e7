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
from avrec_dag.feedback import KINDS, PRESETS, Event, FeedbackLog, Rules
from avrec_dag.feedback.log import _ACTS_OF_USER
from avrec_dag.feedback.reading import read_rules
from avrec_dag.feedback.stage import update_feedback
from avrec_dag.ledger import Ledger
from avrec_dag.steps import Recipe, graph
from tests.made_feedback import AT, event


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
        {"media_id": ""},
        {"creator": "studio"},
        {"kind": "follow", "media_id": ""},
        {"kind": "follow", "text": "why not"},
        {"kind": "not interested"},
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
    for rules in PRESETS.values():
        assert -1.0 <= rules.weight(sent) <= 1.0
        assert set(rules.check().weights) == set(KINDS)


def test_weights_say_what_they_should():
    weigh = Rules().weight
    weights = {kind: weigh(event(kind)) for kind in KINDS}
    assert weights["like"] == 1.0
    assert weights["dislike"] == weights["report"] == -1.0
    assert weights["not_interested"] < weights["skip"] < weights["impression"] < 0
    assert 0 < weights["play"] < weights["comment"] < weights["follow"] < weights["save"] < weights["share"]
    assert weigh(event("rating", value=3)) == 0.0
    assert weigh(event("watch", value=0.1)) < 0 < weigh(event("watch", value=0.9))
    assert weigh(event("comment"), 0.0) < 0 < weigh(event("comment")) < weigh(event("comment"), 1.0)


def test_one_persons_newest_events_come_oldest_first(log):
    log.add([event(at=AT + timedelta(hours=n)) for n in range(5)] + [event(user_id="bob")])
    newest = log.of_user("ann", since=AT, limit=2)
    assert [one.happened_at for one in newest] == [AT + timedelta(hours=3), AT + timedelta(hours=4)]


def test_what_was_merely_shown_takes_no_room_of_what_somebody_did_and_is_not_read_for_it(log):
    log.add([event("impression", at=AT + timedelta(hours=1, seconds=n)) for n in range(50)] + [event(at=AT), event("skip", at=AT)])
    assert {one.kind for one in log.of_user("ann", limit=2)} == {"impression"}
    assert {one.kind for one in log.of_user("ann", limit=2, impressions=False)} == {"like", "skip"}
    with log.reading() as connection:
        asked = str(_ACTS_OF_USER.compile(connection))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", ("ann", 2, 0)).all()
    assert "avrec_feedback_acts" in str(plan)


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


def test_an_older_log_is_read_and_what_it_calls_a_view_is_a_play(tmp_path):
    path = tmp_path / "feedback.db"
    play = event("play")
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE avrec_feedback (event_id VARCHAR(200) NOT NULL PRIMARY KEY, user_id VARCHAR(200) NOT NULL, "
            "media_id VARCHAR(1024) NOT NULL, "
            " kind VARCHAR(16) NOT NULL, value FLOAT, text TEXT, day VARCHAR(10) NOT NULL, happened_us BIGINT NOT NULL)"
        )
        row = (play.event_id, "ann", "a.mp4", "view", None, None, play.day, 1767614400000000)
        old.execute("INSERT INTO avrec_feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    log = FeedbackLog(f"sqlite:///{path}")
    assert list(log.events("2026-01-05")) == [play]
    assert log.add([event("view"), event("follow", media_id="", creator="studio")]) == 1
    assert {one.creator for one in log.of_user("ann")} == {None, "studio"}
    log.close()


def test_a_view_is_another_word_for_a_play():
    assert event("view") == event("play")


@given(user=st.text(min_size=1, max_size=30), media=st.text(min_size=1, max_size=30))
def test_any_name_is_taken_as_it_is_or_refused_with_a_sentence(user, media):
    try:
        sent = event(user_id=user, media_id=media)
    except ValidationError as error:
        assert any(ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) < 0xE000 for sign in user + media)
        assert error.errors()[0]["msg"]
    else:
        assert (sent.user_id, sent.media_id) == (user, media)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_where_it_is_from(name):
    assert read_rules(name) == PRESETS[name].check()
    assert len(PRESETS[name].source) > 20
    assert len({rules.identity for rules in PRESETS.values()}) == len(PRESETS)


def test_rules_come_from_a_file_and_start_from_a_preset(tmp_path):
    (tmp_path / "mine.toml").write_text('preset = "gorse"\nhalf_life_days = 7\n[weights]\nplay = 0.2\nwatch = {base = -1, slope = 2}\n')
    (tmp_path / "mine.json").write_text('{"limits": {"per_hour": 10}, "most_impressions": 2}')
    rules = read_rules(str(tmp_path / "mine.toml"))
    assert [rules.weight(event(kind)) for kind in ("play", "watch", "like", "share")] == [0.2, 0.0, 1.0, 0.0]
    assert rules.half_life_days == 7
    assert rules.identity != PRESETS["gorse"].identity
    assert read_rules(str(tmp_path / "mine.json")).limits.per_hour == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"weights": {"like": NaN}}', "like is nan"),
        ('{"weights": {"like": 1e9}}', "expected numbers from -10 to 10"),
        ('{"weights": {"like": true}}', "expected a number"),
        ('{"weights": {"adore": 1}}', "no kind of event 'adore'"),
        ('{"weights": {"watch": {"slop": 1}}}', "no part of the weight of watch 'slop'"),
        ('{"weights": 3}', "expected an object"),
        ('{"preset": "mine"}', "no preset 'mine'"),
        ('{"half_life_days": 0}', "half_life_days"),
        ('{"limits": {"per_hour": 0}}', "per_hour is 0"),
        ('{"limits": {"per_hour": 1.5}}', "whole number"),
        ('{"most_impressions": "five"}', "most_impressions"),
        ('{"wieghts": {}}', "no setting 'wieghts'"),
        ("[1]", "no object"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_a_sentence(tmp_path, text, said):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(SettingError, match=said):
        read_rules(str(tmp_path / "mine.json"))


@pytest.mark.parametrize("name", ["nonsense", "none.toml", "/nowhere/none.json"])
def test_rules_that_are_not_there_are_one_sentence(name):
    with pytest.raises(SettingError, match="AVREC_FEEDBACK_WEIGHTS"):
        read_rules(name)


def test_what_another_program_wrote_and_cannot_be_true_becomes_a_failed_row(tmp_path, log):
    log.add([event(), event("watch")])
    with log._engine().begin() as connection:
        row = "INSERT INTO avrec_feedback (event_id, user_id, media_id, kind, value, day, happened_us) VALUES "
        connection.exec_driver_sql(row + "('odd', 'ann', 'a.mp4', 'adore', NULL, '2026-01-05', 1767614400000000)")
        connection.exec_driver_sql(row + "('far', 'ann', 'a.mp4', 'like', NULL, '2026-01-05', 99999999999000000)")
        connection.exec_driver_sql(row + "('big', 'ann', 'a.mp4', 'watch', 9e999, '2026-01-05', 1767614400000000)")
    ledger = Ledger(str(tmp_path / "store"))
    outcome = update_feedback(ledger, log, graph(Recipe("f", "a", "e", "t", "s"))["feedback_events"], "2026-01-05")
    assert (outcome.computed, outcome.failed) == (2, 3)
    failed = ledger.rows("feedback_events", columns=["error"], status="failed").to_pylist()
    assert {row["event_id"] for row in failed} == {"odd", "far", "big"}
    assert all(row["error"] for row in failed)
