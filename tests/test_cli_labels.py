import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.labelling import LabelLog
from tests.small_library import DAY, ODD, SOUND, Small

BARS, RINGS = f"dt={DAY}/bars-0.mp4", f"dt={DAY}/rings-0.mp4"


def invoke(small: Small, *arguments: str):
    return CliRunner().invoke(app, ["label", *arguments], env=small.env, prog_name="avrec")


def answered(small: Small, *arguments: str):
    result = invoke(small, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def mine(small, tmp_path) -> Small:
    return small.copy(tmp_path / "library")


@pytest.fixture
def log(mine):
    opened = LabelLog(mine.env["AVREC_FEEDBACK"])
    yield opened
    opened.close()


def test_labels_are_set_added_to_taken_away_and_shown_with_who_and_when(mine, log):
    assert answered(mine, BARS, "test card", "Bars", "--by", "ada") == {"added": 1, "unchanged": 0}
    assert answered(mine, BARS, "test card", "bars", "--by", "ada") == {"added": 0, "unchanged": 1}
    answered(mine, BARS, "colour", "--add", "--by", "bob")
    answered(mine, BARS, "bars", "--remove", "--by", "bob")
    shown = answered(mine, BARS)
    assert shown["labels"] == ["test card", "colour"]
    assert [(one["by"], one["previous"]) for one in shown["history"]][:2] == [("ada", ["bars"]), ("bob", ["test card", "bars"])]
    answered(mine, BARS, "--remove")
    assert log.newest()[BARS].labels == ()
    assert "none of the classes" in invoke(mine, BARS).stdout


@pytest.mark.slow
def test_what_people_said_is_learnt_by_the_next_materialize_and_by_it_alone(mine):
    answered(mine, SOUND, "waves", "--by", "ada")
    answered(mine, RINGS, "--remove", "--by", "ada")
    assert mine.json("status")["assets"]["labels"]["stale"] == 12
    told = mine.json("materialize")
    assert told["assets"]["label_corrections"]["computed"] == 2
    assert told["assets"]["labels"]["computed"] == 2
    rows = {row["media_id"]: row for row in mine.ledger.rows("labels").to_pylist()}
    assert (rows[SOUND]["labels"], rows[SOUND]["origin"], rows[SOUND]["labelled_by"]) == (["waves"], "person", "ada")
    assert rows[RINGS]["labels"] == []
    assert rows[BARS]["origin"] == "sidecar"
    assert mine.json("materialize")["runs"] == 0


def test_next_lists_what_has_no_label_with_a_picture_and_not_what_was_just_answered(mine):
    found = answered(mine, "--next", "5")
    assert {one["media_id"] for one in found} == {ODD, SOUND}
    assert [one["margin"] for one in found] == sorted(one["margin"] for one in found)
    assert all(Path(one["picture"]).is_file() and one["classes"] for one in found)
    answered(mine, ODD, "rings")
    assert [one["media_id"] for one in answered(mine, "--next", "5")] == [SOUND]


def test_a_file_of_labels_is_kept_whole_or_not_at_all(mine, log, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(f'media_id,labels\n"{BARS}",test card\n' + "".join(f"unknown {n}.mp4,cat\n" for n in range(25)), encoding="utf-8")
    result = invoke(mine, "--file", str(file))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert all(f"'unknown {n}.mp4'" in result.stderr for n in range(20))
    assert "and 5 more" in result.stderr
    assert log.newest() == {}
    file.write_text(f'media_id,labels,by\n"{BARS}",test card;bars,bob\n{RINGS},,\n', encoding="utf-8")
    assert answered(mine, "--file", str(file), "--by", "ada") == {"added": 2, "unchanged": 0}
    assert {key: (one.labels, one.by) for key, one in log.newest().items()} == {BARS: (("test card", "bars"), "bob"), RINGS: ((), "ada")}


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        ([BARS, "x" * 10_000], 2, "10000 characters"),
        ([BARS, " "], 2, "blank"),
        ([BARS, *map(str, range(21))], 2, "21 labels"),
        (["no such item", "cat"], 1, "no such item"),
        (["no such item"], 1, "no such item"),
        ([BARS, "--next", "3"], 2, "--next"),
        ([BARS, "--add"], 2, "--add"),
        (["--remove"], 2, "--remove"),
        (["--file", "/no/such file.csv"], 2, "/no/such file.csv"),
        ([], 2, "terminal"),
    ],
)
def test_what_cannot_be_meant_is_told_and_keeps_nothing(small, arguments, status, why):
    result = invoke(small, *arguments)
    assert result.exit_code == status
    assert why in result.stderr.replace("\n", " ")
    assert result.stdout == ""


@contextmanager
def conversing(mine: Small, typed: str) -> Iterator[subprocess.Popen[bytes]]:
    """`avrec label` at a terminal of its own."""
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    command = [str(Path(sys.executable).with_name("avrec")), "label", "--by", "ada"]
    env = {**os.environ, **mine.env}
    running = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=mine.folder)
    try:
        yield running
    finally:
        running.kill()
        os.close(ours)
        os.close(theirs)


def test_at_a_terminal_items_are_shown_one_by_one_and_answers_kept(mine, log):
    first = answered(mine, "--next", "2")
    with conversing(mine, "1\n\n") as running:
        stdout, stderr = running.communicate(timeout=120)
    assert running.returncode == 0, stderr
    assert log.newest()[first[0]["media_id"]].labels == (first[0]["classes"][0]["label"],)
    assert first[1]["media_id"] not in log.newest()
    assert first[0]["picture"].encode() in stderr
    assert stdout == b""


def test_ctrl_c_loses_no_answer(mine, log):
    first = answered(mine, "--next", "2")
    with conversing(mine, f"{'x' * 100}\n-\n") as running:
        for _ in range(600):
            if log.newest() or running.poll() is not None:
                break
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert b"at most 80" in stderr
    assert {key: one.labels for key, one in log.newest().items()} == {first[0]["media_id"]: ()}


def test_erasing_an_item_erases_what_was_said_of_it_and_a_person_their_name(mine, log):
    answered(mine, SOUND, "waves", "--by", "person 1")
    answered(mine, ODD, "rings", "--by", "person 1")
    item = json.loads(CliRunner().invoke(app, ["erase", SOUND, "--later", "--yes", "--json"], env=mine.env).stdout)
    assert {"place": "label log", "before": 1, "after": 0, "stays": ""} in item["places"]
    person = json.loads(CliRunner().invoke(app, ["erase", "--user", "person 1", "--later", "--yes", "--json"], env=mine.env).stdout)
    assert {"place": "names in the label log", "before": 1, "after": 0, "stays": ""} in person["places"]
    assert {"place": "feedback log", "before": 6, "after": 0, "stays": ""} in person["places"]
    assert {key: (one.labels, one.by) for key, one in log.newest().items()} == {ODD: (("rings",), "erased")}
