"""Files of events: every good line is read, every bad one named."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avrec_dag.errors import SettingError
from avrec_dag.feedback import Event
from avrec_dag.feedback.files import LONGEST_LINE, read_events

AT = "2026-01-05T12:00:00+00:00"
GOOD = {"user_id": "ann", "media_id": "a.mp4", "kind": "like", "happened_at": AT}


def told(file: Path) -> tuple[list[int], dict[int, str]]:
    """Lines with an event, and what is said of the others."""
    read = list(read_events(file))
    return [line for line, one in read if isinstance(one, Event)], {line: one for line, one in read if isinstance(one, str)}


def test_json_lines_are_read_one_by_one(tmp_path):
    lines = [
        GOOD, {**GOOD, "kind": "watch", "value": 2}, {**GOOD, "kind": "adore"}, {"user_id": "ann", "kind": "follow", "creator": "工作室"},
        {**GOOD, "happened_at": "2099-01-01T00:00:00Z"}, {**GOOD, "happened_at": "yesterday"},
        {**GOOD, "kind": "watch", "value": float("nan")},
        {**GOOD, "user_id": "\u0000"}, 7, {**GOOD, "kind": "view"},
    ]  # fmt: skip
    file = tmp_path / "events.jsonl"
    file.write_text("\ufeff" + "\r\n".join(json.dumps(line) for line in lines) + "\n\n{\n", encoding="utf-8")
    good, bad = told(file)
    assert good == [1, 4, 10]
    assert sorted(bad) == [2, 3, 5, 6, 7, 8, 9, 12]
    assert "value from 0 to 1" in bad[2]
    assert bad[3].startswith("kind")
    assert "clock" in bad[5]
    assert "object" in bad[9]


def test_a_csv_leaves_cells_empty_that_do_not_apply(tmp_path):
    file = tmp_path / "events.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["user_id", "media_id", "kind", "happened_at", "value", "text"])
        rows.writerow(["ann", "a.mp4", "watch", AT, "0.5", ""])
        rows.writerow(["ann", "a.mp4", "comment", AT, "", 'two\nlines, "quoted"'])
        rows.writerow(["ann", "a.mp4"])
        rows.writerow(["ann", "a.mp4", "watch", AT, "half", ""])
    good, bad = told(file)
    assert good == [2, 4]
    assert sorted(bad) == [5, 6]
    assert "columns" in bad[5]
    assert "value" in bad[6]


def test_a_line_without_end_is_refused_and_the_next_one_read(tmp_path):
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + "x" * (3 * LONGEST_LINE) + "\n" + json.dumps(GOOD))
    good, bad = told(file)
    assert (good, sorted(bad)) == ([1, 3], [2])


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b"who,what\n1,2\n"), ("a.csv", b""), ("a.jsonl", b'{"user_id": "\xff\xfe"}'), ("none.jsonl", None)]
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingError, match=name):
        list(read_events(tmp_path / name))


def test_an_empty_file_holds_nothing(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n \n")
    assert told(tmp_path / "a.jsonl") == ([], {})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200), suffix=st.sampled_from([".jsonl", ".csv"]))
def test_whatever_a_file_holds_every_line_is_an_event_or_a_sentence(tmp_path, text, suffix):
    file = tmp_path / f"a{suffix}"
    head = "user_id,media_id,kind\n" if suffix == ".csv" else ""
    file.write_bytes((head + text).encode("utf-8", "surrogatepass"))
    try:
        for line, one in read_events(file):
            assert line >= 1
            assert isinstance(one, Event) or one
    except SettingError as error:
        assert "UTF-8" in str(error)


def test_an_event_without_a_time_happened_now(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"user_id": "ann", "media_id": "a", "kind": "play"}')
    ((_, event),) = read_events(tmp_path / "a.jsonl")
    assert abs((datetime.now(UTC) - event.happened_at).total_seconds()) < 60
