import json
import sqlite3
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.errors import SettingError
from avrec_dag.experiments.impressions import Impression, ImpressionLog
from avrec_dag.experiments.randomising import Policy
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.feedback.copying import copy, source
from avrec_dag.labelling import Correction, LabelLog
from avrec_dag.moderation.reviews import Review, ReviewLog

AT = datetime(2026, 1, 5, tzinfo=UTC)


def event(n: int, **more) -> Event:
    return Event(
        **{
            "user_id": f"user {n % 7} 好",
            "media_id": "a.mp4",
            "kind": "watch",
            "value": n % 1000 / 1000,
            "happened_at": AT + timedelta(minutes=n),
            **more,
        }
    )


@pytest.fixture(params=["file", "server"])
def target(request, tmp_path) -> str:
    if request.param == "file":
        return f"sqlite:///{tmp_path}/new.db"
    server = request.getfixturevalue("postgres")
    return server.url(server.new_database())


@pytest.fixture
def old(tmp_path) -> str:
    url = f"sqlite:///{tmp_path}/old.db"
    for log, add in (
        (FeedbackLog(url), [event(n) for n in range(603)]),
        (LabelLog(url), [Correction(media_id="a.mp4", labels=("cat",), by="ann")]),
        (ImpressionLog(url), [Impression("1" * 32, "ann", "t", "a", AT, ("猫.mp4",), (0.5,), Policy(("猫.mp4",)))]),
    ):
        log.add(add)
        log.close()
    reviews = ReviewLog(url)
    reviews.add(Review("a.mp4", "allow", "ann", AT))
    reviews.close()
    return url


def counts(old: str, target: str) -> dict[str, tuple]:
    there, here = source(old, target), FeedbackLog(target)
    copied = copy(there, here)
    there.close()
    here.close()
    return {name: astuple(one)[:5] for name, one in copied.items()}


def test_every_row_arrives_and_a_second_time_only_what_came_since(old, target):
    one = (1, 1, 0, 0, 0)
    assert counts(old, target) == {"events": (603, 603, 0, 0, 0), "label_events": one, "reviews": one, "impressions": one}
    before, after = FeedbackLog(old), FeedbackLog(target)
    assert before.counts() == after.counts()
    assert [list(before.events(day)) for day in before.days()] == [list(after.events(day)) for day in after.days()]
    assert LabelLog(old).newest() == LabelLog(target).newest()
    assert ReviewLog(old).history() == ReviewLog(target).history()
    before.add([event(5000)])
    assert counts(old, target)["events"] == (604, 1, 603, 0, 0)


def test_what_differs_is_left_and_what_cannot_be_kept_is_named(old, target, tmp_path):
    FeedbackLog(target).add([event(0, user_id="else", event_id=event(0).event_id)])
    with sqlite3.connect(tmp_path / "old.db") as other:
        row = "INSERT INTO avrec_feedback (event_id, user_id, media_id, kind, text, day, happened_us) VALUES "
        other.execute(row + "('odd', 'x', 'a.mp4', 'comment', ?, '2026-01-05', 1)", ("a\x00b",))
        other.execute(row + "('even', 'x', 'a.mp4', 'comment', 'fine', '2026-01-05', 1)")
    there, here = source(old, target), FeedbackLog(target)
    found = copy(there, here)["events"]
    keeps_nul = target.startswith("sqlite")
    assert (found.read, found.differing, found.refused, found.added) == (605, 1, 0 if keeps_nul else 1, 604 - (0 if keeps_nul else 1))
    assert found.read == found.added + found.there + found.differing + found.refused
    assert {key for key, _ in found.named} == {event(0).event_id, *(() if keeps_nul else ("odd",))}
    assert next(here.events("2026-01-05")).event_id == "even"
    assert [one.user_id for one in here.of_user("else")] == ["else"]


def test_a_log_that_is_not_there_or_the_same_is_a_sentence(old, tmp_path):
    with pytest.raises(SettingError, match="there is no feedback log"):
        source(f"sqlite:///{tmp_path}/none.db", old)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(SettingError, match="both logs are the same"):
        source(old, old)


def test_the_command_prints_counts_and_fails_where_something_differs(old, tmp_path):
    where = {"AVREC_FEEDBACK": f"sqlite:///{tmp_path}/new.db", "AVREC_STORE": str(tmp_path / "store")}
    copied = CliRunner().invoke(app, ["feedback", "copy", old, "--json"], env=where, prog_name="avrec")
    assert copied.exit_code == 0, copied.output
    assert json.loads(copied.stdout)["events"] == {"read": 603, "added": 603, "there": 0, "differing": 0, "refused": 0}
    FeedbackLog(old).add([event(1, event_id="one"), event(2, event_id="two")])
    FeedbackLog(where["AVREC_FEEDBACK"]).add([event(3, event_id="one")])
    again = CliRunner().invoke(app, ["feedback", "copy", old], env=where, prog_name="avrec")
    assert again.exit_code == 1
    assert "events one: is there already with another content, which was left" in again.stderr
    assert [line.split() for line in again.stdout.splitlines()][1] == ["events", "605", "1", "603", "1", "0"]
