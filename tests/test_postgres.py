import multiprocessing
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from avrec_dag.cli.keeping import _log
from avrec_dag.encoders.doctor import Finding
from avrec_dag.errors import SettingError, UnreachableError
from avrec_dag.feedback import KINDS, Event, FeedbackLog
from avrec_dag.feedback.opening import CONNECTIONS
from avrec_dag.labelling import Correction, LabelLog
from avrec_dag.moderation.reviews import Review, ReviewLog
from tests.made_feedback import AT, event
from tests.made_postgres import OWNER, Postgres


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(postgres.new_database())


@pytest.fixture(autouse=True)
def asked_again_soon(monkeypatch):
    monkeypatch.setattr("avrec_dag.feedback.database._AWAY_S", 0.2)


@pytest.fixture
def log(url: str) -> Iterator[FeedbackLog]:
    opened = FeedbackLog(url)
    yield opened
    opened.close()


def said(media_id: str, labels: tuple[str, ...], by: str) -> Correction:
    return Correction(media_id=media_id, labels=labels, by=by)


def many() -> list[Event]:
    chosen, names = random.Random(0), ["a", "B", "b", "_", "é", "好", "10", "9", "Z z", "🐈"]
    events = [event(kind, media_id="é" * 1024, user_id="u" * 200) for kind in KINDS]
    for n in range(700):
        at = AT + timedelta(hours=chosen.randrange(60), microseconds=chosen.randrange(3))
        events.append(event(chosen.choice(KINDS), user_id=chosen.choice(names), at=at, event_id=f"{chosen.choice(names)}{n}"))
    return events


def test_a_server_of_any_language_answers_in_everything_as_a_file_does(postgres, tmp_path):
    more = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
    here, there = FeedbackLog(f"sqlite:///{tmp_path}/feedback.db"), FeedbackLog(postgres.url(postgres.new_database(more)))
    events = many()
    answers = []
    for log in (here, there):
        told: list[object] = [log.add(events), log.add(events[:600]), log.add([*events[:3], *events[:3]]), log.days(), log.counts()]
        told += [
            [list(log.events(day)) for day in log.days()],
            log.of_user("é", limit=50),
            log.of_user("好", since=AT + timedelta(hours=9)),
        ]
        told += [log.erase_user("b"), log.remove_item("é" * 1024), log.counts(), log.erase_user("nobody"), log.of_user("b")]
        answers.append(told)
        log.close()
    assert answers[0] == answers[1]
    assert answers[0][:3] == [len(events), 0, 0]


def test_labels_and_reviews_live_there_too(url):
    labels, reviews = LabelLog(url), ReviewLog(url)
    name = "".join(chr(0x4E00 + n) for n in random.Random(1).sample(range(20_000), 1024))  # longer than an ordered index takes
    assert labels.add([said(name, ("cat",), "ann"), said("b.mp4", (), "bob")]).added == 2
    assert labels.add([said(name, ("cat",), "ann")]).unchanged == 1
    assert labels.add([said(name, ("dog",), "bob")]).added == 1
    assert [(one.labels, one.previous) for one in labels.history(name)] == [(("cat",), None), (("dog",), ("cat",))]
    assert (labels.anonymise("bob"), labels.remove_item(name)) == (2, 2)
    reviews.add(Review("a.mp4", "block", "ann", AT, "because 因为"))
    assert reviews.newest()["a.mp4"].because == "because 因为"
    labels.close()
    reviews.close()


def test_people_who_label_at_once_answer_one_another(url):
    def label(who: int) -> None:
        log = LabelLog(url)
        for n in range(5):
            log.add([said("a.mp4", (f"class-{who}-{n}",), f"person-{who}")])
        log.close()

    threads = [threading.Thread(target=label, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log = LabelLog(url)
    events = log.history("a.mp4")
    log.close()
    assert len(events) == len({one.at for one in events}) == 20
    assert [one.previous for one in events[1:]] == [one.labels for one in events[:-1]]


def _write(url: str, writer: int, n: int) -> None:
    log, shared = FeedbackLog(url), [event(at=AT + timedelta(seconds=number)) for number in range(600)]
    random.Random(writer).shuffle(shared)
    log.add(shared)  # the same for all, in another order each
    for number in range(n):
        log.add([event(user_id=f"writer-{writer}", at=AT + timedelta(seconds=number))])
    log.close()


def test_processes_that_write_at_once_lose_nothing_and_share_the_first_opening(url):
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(url, writer, 25)) for writer in range(2)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    log = FeedbackLog(url)
    assert [process.exitcode for process in writers] == [0, 0]
    assert log.counts() == {"2026-01-05": 650}
    log.close()


def test_what_was_acknowledged_outlives_the_servers_crash_and_what_was_not_is_sent_again(postgres):
    database = postgres.new_database()
    postgres.run(f"ALTER DATABASE {database} SET synchronous_commit = off")
    log, done, kept = FeedbackLog(postgres.url(database)), threading.Event(), [[], [], []]

    def write(who: int) -> None:
        while not done.is_set():
            kept[who].append(event(user_id=f"writer-{who}", at=AT + timedelta(microseconds=len(kept[who]))))
            while True:  # as a sender does: a commit whose answer was lost counts once
                try:
                    log.add(kept[who][-1:])
                    break
                except UnreachableError:
                    time.sleep(0.05)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    log.days()
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(0.3)
        postgres.stop("immediate")
        postgres.start()
    done.set()
    for thread in threads:
        thread.join(60)
    assert [log.of_user(f"writer-{who}", limit=100_000) for who in range(3)] == kept
    log.close()


def test_a_restart_between_two_calls_is_not_noticed_and_one_that_stays_away_is_a_sentence(postgres, url, log):
    log.add([event()])
    postgres.stop()
    postgres.start()
    assert log.add([event(user_id="bob")]) == 1
    postgres.stop()
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{postgres.port}, (does not answer|went away)") as found:
            log.add([event(user_id="cy")])
        assert postgres.password not in str(found.value)
    assert time.monotonic() - began < 5
    postgres.start()
    time.sleep(0.3)
    assert log.add([event(user_id="cy")]) == 1
    assert [one.user_id for one in log.events("2026-01-05")] == sorted(["ann", "bob", "cy"], key=lambda who: event(user_id=who).event_id)


def test_a_connection_lost_in_the_middle_keeps_nothing_and_says_so(postgres, log):
    log.add([event()])
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'avrec' AND state = 'idle in transaction'"
    with pytest.raises(UnreachableError, match="went away; nothing of this call was kept"), log.writing() as connection:
        connection.exec_driver_sql("DELETE FROM avrec_feedback")
        postgres.run(kill)
        connection.exec_driver_sql("DELETE FROM avrec_feedback")
    time.sleep(0.3)
    assert log.counts() == {"2026-01-05": 1}


def test_threads_of_a_process_share_few_connections(postgres, url, log):
    log.days()

    def write(who: int) -> None:
        log.add([event(user_id=f"{who}-{n}") for n in range(50)])

    seen, threads = [], [threading.Thread(target=write, args=(who,)) for who in range(40)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        name = url.rsplit("/", 1)[1]
        seen.append(postgres.run(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'avrec' AND datname = '{name}'")[0][0])
    assert max(seen) <= CONNECTIONS
    assert len(log.of_user("0-0")) == 1
    assert sum(log.counts().values()) == 2000


def test_a_call_that_finds_no_free_connection_is_a_sentence(monkeypatch, url):
    monkeypatch.setattr("avrec_dag.feedback.opening._WAIT_S", 0.1)
    monkeypatch.setattr("avrec_dag.feedback.opening.CONNECTIONS", 2)
    log = FeedbackLog(url)
    with log.reading(), log.reading(), pytest.raises(UnreachableError, match="all connections of this process are in use"):
        log.days()
    assert log.days() == []
    log.close()


def refused(url: str) -> str:
    log = FeedbackLog(url)
    with pytest.raises((SettingError, UnreachableError)) as found:
        log.add([event()])
    log.close()
    assert isinstance(found.value, SettingError), found.value
    return str(found.value)


def test_what_has_to_be_set_right_is_a_sentence_without_the_password(postgres, url):
    database = url.rsplit("/", 1)[1]
    told = [
        refused(postgres.url(database, password="se%40cret-sauce")),
        refused(postgres.url("nowhere")),
        refused(postgres.url(database, user="stranger")),
        refused(postgres.url(database, password="se@cret-sauce")),
        refused(f"postgresql://{OWNER}:se:cret-sauce@127.0.0.1:port/{database}"),
        refused(f"postgresql+nodriver://{OWNER}:secret-sauce@127.0.0.1/{database}"),
    ]
    assert f"refuses user {OWNER} with this password" in told[0]
    assert "createdb --encoding UTF8 --owner avrec nowhere" in told[1]
    assert "user stranger" in told[2]
    assert "%40" in told[3]
    assert all("AVREC_FEEDBACK" in one for one in (told[0], *told[3:]))
    assert not any("sauce" in one or postgres.password in one for one in told)


def test_a_user_who_may_only_read_and_add_needs_the_tables_made_first(postgres, url):
    database, secret = url.rsplit("/", 1)[1], "only-here"
    postgres.run(f"CREATE ROLE clerk_{database} LOGIN PASSWORD '{secret}'")
    clerk = postgres.url(database, f"clerk_{database}", secret)
    assert "permission denied for schema public" in refused(clerk)
    FeedbackLog(url).days()
    assert "does not allow user clerk" in refused(clerk)
    postgres.run(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk_{database}", database=database)
    log = FeedbackLog(clerk)
    assert log.add([event()]) == 1
    with pytest.raises(SettingError, match="permission denied"):
        log.erase_user("ann")
    log.close()


def test_a_log_of_newer_code_is_left_alone(postgres, url):
    FeedbackLog(url).days()
    before = postgres.run("UPDATE avrec_log_schema SET version = 99 RETURNING *", database=url.rsplit("/", 1)[1])
    assert before == [("log", 99)]
    assert "made by a newer avrec_dag (its tables are of version 99" in refused(url)


def test_a_standby_and_another_encoding_are_named(postgres, url):
    database = url.rsplit("/", 1)[1]
    FeedbackLog(url).days()
    postgres.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    assert "read-only" in refused(url)
    postgres.run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "whose encoding LATIN1 lacks most names" in refused(postgres.url("latin"))


def test_an_older_log_gains_what_it_lacks(postgres, url):
    database = url.rsplit("/", 1)[1]
    FeedbackLog(url).add([event()])
    postgres.run("ALTER TABLE avrec_feedback DROP COLUMN creator", "DROP TABLE avrec_log_schema", database=database)
    log = FeedbackLog(url)
    assert log.add([event("follow", media_id="", creator="studio")]) == 1
    assert log.counts() == {"2026-01-05": 2}
    log.close()


def test_without_the_extra_a_sentence_names_it(monkeypatch, postgres):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    assert "pip install 'avrec_dag[postgres]'" in refused("postgresql://ann:secret-sauce@127.0.0.1/x")


def test_nobody_listens_is_a_sentence():
    pytest.importorskip("psycopg2")
    log = FeedbackLog("postgres://ann:secret-sauce@127.0.0.1:9/x")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9, does not answer \(Connection refused\)") as found:
        log.days()
    assert "sauce" not in str(found.value)


def test_the_password_may_come_from_elsewhere(postgres, url, monkeypatch):
    monkeypatch.setitem(os.environ, "PGPASSWORD", postgres.password)
    log = FeedbackLog(url.replace(f":{postgres.password}@", "@"))
    assert log.add([event()]) == 1
    log.close()


def test_the_doctor_says_whether_the_server_lets_us_in(postgres, url):
    log = FeedbackLog(url)
    log.add([event()])
    log.close()
    found = _log(url)
    assert found == Finding("feedback log", True, f"database {url.rsplit('/', 1)[1]} at 127.0.0.1:{postgres.port}, days with events: 1")
    refusing = _log(url.replace(postgres.password, "secret-sauce"))
    assert not refusing.ok and "refuses user avrec" in refusing.detail and "correct it in AVREC_FEEDBACK" in refusing.remedy
    assert _log("sqlite:////nowhere/f.db") == Finding("feedback log", True, "in /nowhere/f.db")
    assert not _log("oracle://h/x").ok
