import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from tests.small_library import DAY, ODD, SOUND

COMMANDS = (
    "demo", "materialize", "status", "search", "similar", "recommend", "classify", "report", "serve", "doctor", "sweep", "erase",
    "feedback add", "label", "evaluate", "backfill", "reap", "checks",
)  # fmt: skip


def invoke(small, *arguments: str, **env: str):
    return CliRunner().invoke(app, list(arguments), env={**small.env, **env}, prog_name="avrec")


def answered(small, *arguments: str) -> list[dict]:
    result = invoke(small, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    result = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="avrec")

    assert result.exit_code == 0
    assert f"avrec {command}" in result.stdout.partition("Examples")[2]


def test_help_loads_neither_torch_nor_dagster():
    code = "import sys; from typer.testing import CliRunner; from avrec_dag.cli.app import app; CliRunner().invoke(app, ['--help'])"
    heavy = "print({name for name in ('torch', 'dagster', 'cv2', 'onnxruntime', 'great_expectations') if name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_status_counts_items_failures_stale_rows_and_checks(small):
    found = small.json("status")

    assert (found["items"], found["failed"], found["warned"]) == (14, 3, 1)  # the sound's sidecar is broken
    assert found["assets"]["raw_media"] == {"rows": 14, "stale": 0, "failed": 3}
    assert found["assets"]["frames"]["rows"] == 13  # the sound alone has none
    assert {one["stale"] for one in found["assets"].values()} == {0}
    assert found["checks"]["failed"] == 0
    assert found["checks"]["passed"] > 50


def test_materialize_told_which_uploads_failed_and_why(small):
    told = json.loads((small.folder / "built.json").read_text())

    reasons = {one["key"]: one["error"] for one in told["failures"]}
    assert set(reasons) == {f"dt={DAY}/{name}" for name in ("empty.mp4", "words.mp4", "cut.mp4")}
    assert "empty" in reasons[f"dt={DAY}/empty.mp4"]
    assert told["ok"]


@pytest.mark.parametrize("text", ["waves on the sea", "海浪"])
def test_search_ranks_items_in_both_languages(small, text):
    found = answered(small, "search", text, "-k", "5")

    assert len(found) == 5
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert all(one["media_id"].startswith(f"dt={DAY}/") for one in found)
    shown = invoke(small, "search", text, "-k", "5")
    assert "moment" in shown.stdout and ", picture" in shown.stdout
    assert all(one["moment"] is None or one["moment"]["end_s"] > one["moment"]["start_s"] >= 0 for one in found)


def test_similar_takes_a_name_with_quotes_spaces_and_chinese(small):
    found = answered(small, "similar", ODD, "-k", "3")

    assert len(found) == 3
    assert ODD not in [one["media_id"] for one in found]
    assert {"media_id", "score"} <= set(found[0])


def test_recommend_offers_nothing_met_and_gives_a_reason(small):
    met = {event.media_id for event in small.log.of_user("person 0")}
    found = answered(small, "recommend", "person 0", "-k", "10")

    assert found
    assert met.isdisjoint(one["media_id"] for one in found)
    assert all(one["reason"] for one in found)


def test_recommend_answers_a_stranger_too(small):
    assert len(answered(small, "recommend", "nobody 没有人", "-k", "4")) == 4


def test_classify_an_item_of_the_library_gives_its_stored_classes(small):
    found = answered(small, "classify", f"dt={DAY}/snow-1.mp4")

    assert found[0]["label"] == "snow"
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)


def test_classify_a_file_elsewhere_leaves_nothing_behind(small, tmp_path):
    clip = tmp_path / 'a clip\'s "name" 名字.mp4'
    shutil.copy(small.folder / "media" / f"dt={DAY}" / "rings-1.mp4", clip)
    before = sorted((small.folder / "store").rglob("*"))

    found = answered(small, "classify", str(clip))

    assert found[0]["media_id"] == str(clip)
    assert found[0]["label"] == "rings"
    assert sorted((small.folder / "store").rglob("*")) == before
    assert list(tmp_path.iterdir()) == [clip]


def test_classify_what_is_no_media_says_so_in_one_line(small, tmp_path):
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear all,\n")
    result = invoke(small, "classify", str(letter))

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "letter.mp4" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (["materialize"], {"AVREC_MEDIA": "/no/such folder"}, "/no/such folder"),
        (["search", "cat"], {"AVREC_ENCODERS": "none-of-them"}, "none-of-them"),
        (["recommend", "ada"], {"AVREC_START": "soon"}, "AVREC_START"),
        (["status"], {"AVREC_GUARD": "2"}, "AVREC_GUARD"),
        (["feedback", "add", "ada", f"dt={DAY}/bars-0.mp4", "like"], {"AVREC_FEEDBACK": "nonsense"}, "AVREC_FEEDBACK"),
        (["demo", "--no-real"], {"AVREC_MEDIA": "s3://bucket/x"}, "s3://bucket/x"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_2(small, arguments, env, named):
    result = invoke(small, *arguments, **env)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert named in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["similar", "no such item"],
        ["classify", "no such file.mp4"],
        ["erase", "no such item", "--yes"],
        ["feedback", "add", "ada", "no such item", "like"],
    ],
)
def test_what_is_not_there_is_one_sentence_and_exit_1(small, arguments):
    result = invoke(small, *arguments)

    assert result.exit_code == 1
    assert "no such" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_library_without_any_run_says_what_to_do(small, tmp_path):
    result = invoke(small, "search", "cat", AVREC_STORE=str(tmp_path / "store"))

    assert result.exit_code == 1
    assert "avrec materialize" in result.stderr


def test_feedback_is_kept_once_however_often_a_file_is_sent(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    line = {"user_id": "ada", "media_id": ODD, "happened_at": "2026-02-03T10:00:00Z"}
    events = [{**line, "kind": "like"}, {**line, "kind": "watch", "value": 0.9}, {**line, "kind": "comment", "text": "好"}]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps(event, ensure_ascii=False) for event in events), encoding="utf-8")

    assert answered(mine, "feedback", "import", str(file)) == {"added": 3, "known": 0, "bad": 0}
    assert answered(mine, "feedback", "import", str(file)) == {"added": 0, "known": 3, "bad": 0}
    listed = answered(mine, "feedback", "list", "ada")
    assert {one["kind"]: one["weight"] for one in listed} == {"like": 1.0, "watch": 0.85, "comment": 0.2}
    assert {"day": "2026-02-03", "events": 3} in answered(mine, "feedback", "list")


def test_good_lines_of_a_file_are_kept_and_bad_ones_named_by_number(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    good = json.dumps({"user_id": "bert", "media_id": ODD, "kind": "save"})
    file = tmp_path / "events.jsonl"
    lines = [good, '{"user_id": "ada"}', "", "{broken", '["like"]', json.dumps({"user_id": "a", "media_id": "nowhere", "kind": "like"})]
    file.write_text("\n".join(lines))
    result = invoke(mine, "feedback", "import", str(file))

    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stderr.strip().splitlines()] == ["line 2", "line 4", "line 5", "line 6"]
    assert "1 added" in result.stdout
    assert [event.kind for event in mine.log.of_user("bert")] == ["save"]


def test_a_like_counts_in_the_next_list_before_any_run(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    before = [one["media_id"] for one in answered(mine, "recommend", "newcomer")]

    assert invoke(mine, "feedback", "add", "newcomer", before[0], "like").exit_code == 0

    after = [one["media_id"] for one in answered(mine, "recommend", "newcomer")]
    assert before[0] not in after
    assert after != before[1:]


def test_sweep_counts_first_and_deletes_only_when_told(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    orphan = Path(mine.env["AVREC_STORE"]) / "blobs" / "frames" / ("0" * 32) / ("1" * 32) / "frames.zip"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"left by a lost process")

    assert invoke(mine, "sweep", "--older-than-h", "0").exit_code == 0
    assert orphan.exists()
    assert answered(mine, "sweep", "--delete", "--older-than-h", "0")["deleted"] is True
    assert not orphan.exists()
    assert answered(mine, "similar", ODD, "-k", "1")  # what rows name is still there


MODELS = ("classifier_candidate", "content_classifier", "recommender", "item_index")


def test_erase_takes_an_item_out_of_every_table(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    told = json.loads(invoke(mine, "erase", SOUND, "--later", "--yes", "--json").stdout)

    assert {one["place"] for one in told["places"] if one["after"]} <= {f"model of {name}" for name in MODELS}
    assert all("next fit" in one["stays"] for one in told["places"] if one["after"])
    for table in ("raw_media", "audio_spectrograms", "fused_features", "content_classes"):
        assert mine.ledger.row(table, SOUND) is None


def test_erase_asks_before_it_acts(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    result = CliRunner().invoke(app, ["erase", "--user", "person 1"], env=mine.env, input="n\n")

    assert result.exit_code == 1
    assert mine.log.of_user("person 1")


def test_erase_of_a_person_empties_the_log_of_them(small, tmp_path):
    mine = small.copy(tmp_path / "library")

    there = answered(mine, "erase", "--user", "person 1", "--dry-run")
    assert mine.log.of_user("person 1")
    told = answered(mine, "erase", "--user", "person 1", "--later", "--yes")

    assert not mine.log.of_user("person 1")
    assert (told["left"], [one["before"] for one in told["places"]]) == (0, [one["before"] for one in there["places"]])
    assert {one["place"] for one in told["places"]} >= {"feedback log", "table interactions", "table recommendations", "records of runs"}
    again = answered(mine, "erase", "--user", "person 1", "--dry-run")
    assert (again["places"], again["left"]) == ([], 0)


def test_doctor_tells_every_part_and_whether_it_is_there(small):
    found = answered(small, "doctor")

    assert all(one["ok"] for one in found)
    assert any("weights" in one["name"] for one in found)


def test_a_run_without_changes_computes_nothing_and_an_edited_title_only_what_reads_it(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    idle = mine.json("materialize")
    # The one clip without labels: of twelve labelled ones, one would be more than the 5 % that train the classifier anew.
    Path(mine.env["AVREC_MEDIA"], f"{ODD}.json").write_text(json.dumps({"title": "A steam engine"}))

    stale = mine.json("status")["assets"]
    told = mine.json("materialize")

    assert (idle["items"], idle["computed"], idle["runs"]) == (0, 0, 0)
    assert stale["raw_media"]["stale"] == 1
    assert {name: told["assets"][name]["computed"] for name in ("raw_media", "text_embeddings", "fused_features", "content_classes")} == {
        "raw_media": 1, "text_embeddings": 1, "fused_features": 1, "content_classes": 1,
    }  # fmt: skip
    assert {told["assets"][name]["computed"] for name in ("frames", "audio_spectrograms", "frame_embeddings", "content_classifier")} == {0}


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    shutil.rmtree(mine.env["AVREC_STORE"])
    command = [str(Path(sys.executable).with_name("avrec")), "materialize"]
    running = subprocess.Popen(command, env={**os.environ, **mine.env}, cwd=mine.folder, stderr=subprocess.PIPE, text=True)
    frames = Path(mine.env["AVREC_STORE"]) / "tables" / "frames"
    for _ in range(600):
        if frames.exists() or running.poll() is not None:
            break
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=120)

    assert running.returncode == 130
    assert "goes on from there" in stderr
    told = mine.json("materialize")
    assert told["ok"]
    assert mine.json("status")["items"] == 14
