import json
import time

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger, Subject
from avrec_dag.ledger.files import TableFiles
from avrec_dag.ledger.subjects import BESIDE
from avrec_dag.ledger.sweeping import files_in
from avrec_dag.schema import TABLES, TEXTS
from avrec_dag.serving.app import create_app
from avrec_dag.steps import WHOLE
from avrec_dag.storage import Blobs, filesystem
from tests.small_library import DAY as SMALL_DAY
from tests.small_library import Small

DAY, NEXT = "2026-01-01", "2026-01-02"
GONE, KEPT = 'dt=2026-01-01/猫 "gone".mp4', "kept.mp4"
PERSON = "ada lovelace"


@pytest.fixture(params=["folder", "s3"])
def ledger(request, tmp_path):
    return Ledger(str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_store"))


def keys(table):
    return table[table.column_names[0]].to_pylist()


def words(uri: str, *needles: str) -> list[str]:
    """Every file of a store whose bytes, or whose rows once they are decoded, hold one of the needles as text or in JSON."""
    fs, root = filesystem(uri)
    forms = {form for one in needles for form in (one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1])}
    found = []
    for info in files_in(fs, root):
        with fs.open_input_file(info.path) as file:
            raw = file.readall()
        with fs.open_input_file(info.path) as file:
            told = str(pq.ParquetFile(file).read().to_pylist()) if info.path.endswith(".parquet") else ""
        if any(form.encode() in raw or form in told or repr(form)[1:-1] in told for form in forms):
            found.append(info.path.removeprefix(root))
    return found


def filled(ledger: Ledger) -> list[str]:
    """Two versions of everything about two items and one person; returns the blobs that are about the one to go."""
    blobs, own = Blobs(ledger.uri), []
    for version in "12":
        ledger.append("raw_media", DAY, [Row(key, version, {}, {"title": f"The end of {key}"}) for key in (GONE, KEPT)])
        for table in ("frames", "content_classes", "upload_delay"):
            ledger.append(table, WHOLE if table == "upload_delay" else DAY, [Row(key, version) for key in (GONE, KEPT)])
        own += [blobs.put("frames", GONE, version, "sheet.jpg", b"1")]
        said = [Row("e1", version, {}, {"media_id": GONE, "user_id": PERSON}), Row("e2", version, {}, {"media_id": KEPT, "user_id": "bob"})]
        ledger.append("feedback_events", NEXT, said)
        ledger.append("labels", WHOLE, [Row(key, version, {}, {"labels": ["cat"], "labelled_by": PERSON}) for key in (GONE, KEPT)])
        history = {"media_ids": ["x", GONE, KEPT], "weights": [1.0, 2.0, 3.0], "last_s": [10.0, 20.0, 30.0], "creators": ["a", "b", "c"]}
        shown = {"shown_ids": [GONE], "shown_n": [4], "shown_us": [9]}
        ledger.append("interactions", WHOLE, [Row("bob", version, {}, history), Row(PERSON, version, {}, shown)])
        reasons = ["new", f"its content is like “The end of {GONE}”, which you liked", f"like {GONE}", "for a change"]
        offer = {
            "media_ids": [GONE, KEPT, "x", "y"],
            "scores": [0.9, 0.8, 0.7, 0.6],
            "reasons": reasons,
            "yesterday_ids": ["x", "y", GONE, KEPT],
        }
        offer["whys"] = [json.dumps({"causes": [cause]}) for cause in (KEPT, GONE, "y", "x")]
        ledger.append("recommendations", WHOLE, [Row("bob", version, {}, offer), Row(PERSON, version, {}, {"media_ids": [KEPT]})])
        review = {"decision": "block", "reviewer": PERSON, "reason": f"{PERSON} decided so on 2026-01-01"}
        ledger.append("moderation_decisions", WHOLE, [Row(KEPT, version, {}, review)])
        told = {
            "surest_mistakes": [{"media_id": GONE}, {"media_id": KEPT}],
            "pictures": {"surest mistakes": "a.png", "reliability": "b.png"},
        }
        ledger.append("classifier_evaluation", WHOLE, [Row("m", version, {}, {"details": json.dumps(told)})])
    for version in "12":
        model = blobs.put("recommender", "recommender", version, "model.json", json.dumps([GONE, KEPT]).encode())
        ledger.append("recommender", WHOLE, [Row("recommender", version, {}, {"blob": model.rpartition("/")[0]})])
    return own


def test_an_erased_item_is_in_no_row_old_or_new_and_in_no_file(ledger):
    own = filled(ledger)
    item, blobs = ledger.item(GONE), Blobs(ledger.uri)
    other = blobs.put("frames", KEPT, "2", "sheet.jpg", b"1")
    before = ledger.traces(item)
    assert before["table frames"] == before["table feedback_events"] == before["table classifier_evaluation"] == 2
    assert (before["table recommendations"], before["table interactions"]) == (2, 4)
    assert (before["files of frames"], before["model of recommender"]) == (2, 2)

    ledger.erase(item)

    assert ledger.traces(item) == {"model of recommender": 1}  # the one that serves; the one before is gone at once
    first, second = ledger.rows("interactions").to_pylist()
    assert (second["media_ids"], second["weights"], second["creators"]) == (["x", KEPT], [1.0, 3.0], ["a", "b", "c"])
    assert (first["shown_ids"], first["shown_n"]) == ([], [])
    ours, theirs = ledger.rows("recommendations").to_pylist()
    assert ours["media_ids"] == [KEPT]
    assert (theirs["media_ids"], theirs["reasons"]) == ([KEPT, "x", "y"], ["", "", "for a change"])
    assert (theirs["yesterday_ids"], [json.loads(why)["causes"] for why in theirs["whys"]]) == (
        ["x", "y", KEPT],
        [["erased"], ["y"], ["x"]],
    )
    (evaluation,) = ledger.rows("classifier_evaluation").to_pylist()
    told = json.loads(evaluation["details"])
    assert told == {"surest_mistakes": [{"media_id": "erased"}, {"media_id": KEPT}], "pictures": {"reliability": "b.png"}}
    assert [blobs.exists(path) for path in (*own, other)] == [False, False, True]
    for table in ("raw_media", "frames", "content_classes", "labels", "upload_delay"):
        assert keys(ledger.rows(table)) == [KEPT]
    served = f"/{blobs.prefix('recommender', 'recommender', '2')}/model.json"
    assert words(ledger.uri, GONE, f"The end of {GONE}") == [served]
    blobs.put("recommender", "recommender", "3", "model.json", b"[]")
    ledger.append("recommender", WHOLE, [Row("recommender", "3", {}, {"blob": blobs.prefix("recommender", "recommender", "3")})])
    ledger.delete_outdated(item)
    assert (ledger.traces(item), words(ledger.uri, GONE)) == ({}, [])


def test_an_erased_person_is_in_no_row_and_what_they_said_of_items_stays_without_their_name(ledger):
    filled(ledger)
    person = Subject("person", PERSON)
    before = ledger.traces(person)
    ledger.erase(person)
    assert {"table feedback_events", "table interactions", "table recommendations", "table labels", "table moderation_decisions"} == set(
        before
    )
    assert (ledger.traces(person), words(ledger.uri, PERSON)) == ({}, [])
    assert keys(ledger.rows("interactions")) == keys(ledger.rows("recommendations")) == ["bob"]
    assert {(row["labels"][0], row["labelled_by"]) for row in ledger.rows("labels").to_pylist()} == {("cat", "erased")}
    (decision,) = ledger.rows("moderation_decisions").to_pylist()
    assert (decision["decision"], decision["reviewer"], decision["reason"]) == ("block", "erased", "erased decided so on 2026-01-01")


def test_while_runs_are_at_work_the_bare_key_keeps_a_late_writer_from_bringing_a_row_back(ledger):
    filled(ledger)
    item, late = ledger.item(GONE), ledger.rows("frames", DAY).num_rows
    files = TableFiles(ledger.uri, "frames")
    old = files.read(DAY, files.schema.names).drop_columns("partition")
    ledger.erase(item, keep_keys=True)
    assert ledger.traces(item)["bare keys of removed rows"] >= 5
    files.add(DAY, old)
    assert (late, keys(ledger.rows("frames", DAY))) == (2, [KEPT])
    ledger.erase(item)  # what came back, and the keys
    assert set(ledger.traces(item)) == {"model of recommender"}


def test_a_short_name_takes_no_other_name_with_it(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.append("raw_media", DAY, [Row("a", "1"), Row("b", "1")])
    offer = {"media_ids": ["b", "c"], "reasons": ["people who liked pan/a and b/a.mp4 liked this too", "people who liked a liked this too"]}
    ledger.append("recommendations", WHOLE, [Row("u", "1", {}, offer)])
    ledger.erase(ledger.item("a"))
    assert ledger.rows("recommendations").to_pylist()[0]["reasons"] == [offer["reasons"][0], ""]


def test_a_title_that_other_items_bear_is_taken_out_of_reasons_and_is_no_trace_of_the_one_that_went(tmp_path):
    ledger = Ledger(str(tmp_path))
    ledger.append("raw_media", DAY, [Row(key, "1", {}, {"title": "Holidays"}) for key in (GONE, KEPT)])
    offer = {"media_ids": ["b"], "reasons": ["people who liked “Holidays” liked this too"]}
    ledger.append("recommendations", WHOLE, [Row("u", "1", {}, offer)])
    item = ledger.item(GONE)
    ledger.erase(item)
    assert ledger.rows("recommendations").to_pylist()[0]["reasons"] == [""]
    ledger.append("recommendations", WHOLE, [Row("u", "2", {}, offer)])  # made anew, of the other one
    assert ledger.traces(item) == {}


def test_every_list_of_items_is_known_to_be_one():
    named = {(table, group[0]) for table, groups in BESIDE.items() for group in groups}
    ids = {(name, one) for name, table in TABLES.items() for one in table.columns.names if one.endswith("_ids")}
    assert ids == named
    assert all(TABLES[table].columns.field(name).type == TEXTS for table, name in named)


def files_naming(small: Small, *needles: str) -> list[str]:
    forms = {form.encode() for one in needles for form in (one, json.dumps(one)[1:-1])}
    rest = [path for path in small.folder.rglob("*") if path.is_file() and not path.is_relative_to(small.folder / "media")]
    raw = [str(path) for path in rest if path.name != "built.json" and any(form in path.read_bytes() for form in forms)]
    return raw + words(small.env["AVREC_STORE"], *needles)


@pytest.mark.slow
def test_erasing_fits_the_models_anew_and_then_no_file_of_the_library_names_item_or_person(small, tmp_path):
    mine = small.copy(tmp_path / "library")
    item, person, other = f"dt={SMALL_DAY}/rings-0.mp4", "person 1", "person 3"
    assert len(files_naming(mine, item)) > 20
    assert len(files_naming(mine, person)) > 3
    with TestClient(create_app(mine.ledger, mine.blobs, mine.source, mine.log)) as client:
        assert client.get(f"/v1/media/{item}/still").status_code == 200
        for arguments in ([item], ["--user", person]):
            done = CliRunner().invoke(app, ["erase", *arguments, "--yes", "--json"], env=mine.env)
            told = json.loads(done.stdout)
            assert (done.exit_code, told["left"], {one["after"] for one in told["places"]}) == (0, 0, {0})
        assert files_naming(mine, item, person) == []
        time.sleep(6)  # the service looks every five seconds
        client.get(f"/v1/recommendations/{other}")
        assert client.get(f"/v1/media/{item}/still").status_code == client.get(f"/v1/media/{item}/stream").status_code == 404
        assert item not in client.get("/v1/search", params={"q": "rings", "k": 50}).text
        assert item not in client.get(f"/v1/recommendations/{other}", params={"k": 50}).text
        assert client.get(f"/v1/recommendations/{person}").json() == client.get("/v1/recommendations/somebody new").json()
