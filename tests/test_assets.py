import base64
import io
import json
import re
from collections.abc import Iterator

import dagster as dg
import pytest

from assets import previews
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs
from tests.made_runs import BAD, DAYS, EVENT_DAY, PEOPLE, Library, Run, made_runs

EDITED = f"dt={DAYS[0]}/stripes 0.mp4"
PICTURES = {
    "frames": "avrec/contact_sheets",
    "audio_spectrograms": "avrec/spectrograms",
    "frame_embeddings": "avrec/seen",
    "audio_embeddings": "avrec/heard",
    "content_classes": "avrec/classes",
    "technical_quality": "avrec/weakest",
    "quality_scores": "avrec/best",
    "recommendations": "avrec/sample_lists",
    "classifier_decision": "avrec/decision",
    "classifier_evaluation": "avrec/confusion_matrix",
    "recommender_evaluation": "avrec/ndcg",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[tuple[Library, list[Run]]]:
    library = made_runs(tmp_path_factory.mktemp("runs") / "library")
    yield library, library.run_all()
    library.close()


@pytest.fixture(scope="module")
def newest(made) -> dict[str, dg.AssetMaterialization]:
    return {name: one for run in made[1] for name, one in run.materialized.items()}


@pytest.fixture
def library(made, tmp_path) -> Iterator[Library]:
    library = made[0].copy(tmp_path / "library")
    yield library
    library.close()


def test_every_job_succeeds_and_every_table_is_filled(made):
    library, runs = made
    assert [run.errors for run in runs] == [[]] * len(runs)
    assert all(run.ok for run in runs)
    empty = {name for name in TABLES if library.ledger.counts(name).ok == 0}
    assert empty == {"screen_text"}  # switched off unless asked for


def test_one_file_that_is_no_film_fails_alone_and_is_told(made):
    library, runs = made
    failed = library.ledger.rows("raw_media", DAYS[0], ["error"], status="failed").to_pylist()
    assert [row["media_id"] for row in failed] == [BAD]
    metadata = runs[0].materialized["raw_media"].metadata
    assert metadata["avrec/failed"].value == 1
    assert "not a film" in metadata["avrec/why_they_failed"].value
    assert ("raw_media", "few_items_failed") not in runs[1].broken


def test_only_what_so_small_a_library_cannot_keep_is_broken(made):
    broken = set().union(*(run.broken for run in made[1]))
    blocking = {(key.asset_key.to_user_string(), key.name) for key in made[0].defs.resolve_asset_graph().asset_check_keys}
    assert broken < blocking
    assert {name for name, _ in broken} <= {"raw_media", "classifier_evaluation", "recommender_evaluation", "recommendation_health"}


@pytest.mark.parametrize("name", TABLES)
def test_a_materialization_says_how_many_where_and_what(made, newest, name):
    library, metadata = made[0], newest[name].metadata
    partitioned = newest[name].partition is not None
    counted = metadata["dagster/partition_row_count" if partitioned else "dagster/row_count"].value
    assert counted == library.ledger.counts(name, newest[name].partition).ok
    assert metadata["dagster/uri"].value == f"{library.settings.store}/tables/{name}/{newest[name].partition or 'all'}"
    assert newest[name].tags["dagster/data_version"] == library.ledger.data_version(name, newest[name].partition or "all")
    assert {"avrec/computed", "avrec/failed", "avrec/removed"} <= set(metadata)


@pytest.mark.parametrize(("name", "title"), PICTURES.items())
def test_a_materialization_shows_pictures_that_open(newest, name, title):
    from PIL import Image

    pictures = re.findall(r"\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)", newest[name].metadata[title].value)
    assert pictures
    for one in pictures:
        assert min(Image.open(io.BytesIO(base64.b64decode(one))).size) > 20
    assert len(newest[name].metadata[title].value) < 500_000


def test_hostile_names_are_shown_as_text_alone():
    from assets.pictures import plain

    assert plain("a|b\n![x](http://evil)") == r"a\|b \!\[x\]\(http\://evil\)"
    assert plain("<script>") == r"\<script\>"
    assert len(plain("x" * 500)) == 120


def test_a_second_run_computes_nothing(library, newest):
    runs = library.run_all()
    assert all(run.ok for run in runs)
    assert [{name: n for name, n in run.computed.items() if n} for run in runs] == [{}] * len(runs)
    again = {name: one for run in runs for name, one in run.materialized.items()}
    assert {name: one.tags["dagster/data_version"] for name, one in again.items()} == {
        name: one.tags["dagster/data_version"] for name, one in newest.items()
    }


def test_a_day_without_uploads_succeeds_and_keeps_every_promise(library):
    run = library.run("ingest_and_embed", "2026-03-09")
    assert run.ok, run.errors
    assert run.broken == set()
    assert {one.metadata["dagster/partition_row_count"].value for one in run.materialized.values()} == {0}


def test_an_edited_title_recomputes_text_fusion_and_what_follows_for_that_item_alone(library):
    sidecar = json.loads((library.root / "media" / f"{EDITED}.json").read_text())
    before = {name: dict(_versions(library, name)) for name in ("fused_features", "content_classes")}
    library.tell(EDITED, **{**sidecar, "title": "quite another title"})
    runs = [library.run("ingest_and_embed", DAYS[0]), library.run("classify", DAYS[0])]
    assert all(run.ok for run in runs)
    assert {name: n for run in runs for name, n in run.computed.items() if n} == {
        "raw_media": 1, "text_embeddings": 1, "fused_features": 1, "content_classes": 1,
    }  # fmt: skip
    for name, versions in before.items():
        assert {key for key, version in _versions(library, name).items() if versions[key] != version} == {EDITED}


def _versions(library: Library, name: str) -> dict[str, str]:
    rows = library.ledger.rows(name, None, ["version"]).to_pylist()
    return {row["media_id"]: row["version"] for row in rows}


def test_a_deleted_upload_leaves_everywhere(library):
    library.remove(EDITED)
    runs = library.run_all()
    assert [run.errors for run in runs] == [[]] * len(runs)
    for name, table in TABLES.items():
        if table.key == "media_id":
            assert EDITED not in library.ledger.rows(name, None, [], status=None)["media_id"].to_pylist(), name
    for name in ("recommendations", "interactions"):
        assert EDITED not in {one for row in library.ledger.rows(name, None, ["media_ids"]).to_pylist() for one in row["media_ids"]}
    assert library.ledger.rows("item_index", None, ["n_items"]).to_pylist()[0]["n_items"] == 7


def test_a_folder_that_lost_most_of_a_day_removes_nothing(library):
    for number in range(4, 10):
        library.upload(f"dt={DAYS[0]}/more {number}.wav", "dots", number, duration_s=0.3)
    assert library.run("ingest_and_embed", DAYS[0]).ok
    before = library.ledger.counts("raw_media", DAYS[0])
    for path in sorted((library.root / "media" / f"dt={DAYS[0]}").iterdir())[2:]:
        path.unlink()
    run = library.run("ingest_and_embed", DAYS[0])
    assert not run.ok
    assert "AVREC_GUARD" in run.errors[0]
    assert library.ledger.counts("raw_media", DAYS[0]) == before


def test_a_missing_media_folder_fails_with_what_to_do(tmp_path):
    library = Library(tmp_path / "nowhere")
    run = library.run("ingest_and_embed", DAYS[0])
    library.close()
    assert not run.ok
    assert "AVREC_MEDIA: there is no folder" in run.errors[0]
    assert run.materialized == {}


def test_people_and_their_events_are_collected(made):
    library, _ = made
    assert set(library.ledger.rows("recommendations", None, [])["user_id"].to_pylist()) == set(PEOPLE)
    assert library.ledger.counts("feedback_events", EVENT_DAY).ok == 13


def test_what_is_said_is_shown_with_its_seconds_and_trusts_nothing(tmp_path):
    ledger = Ledger(str(tmp_path))
    said = [{"start_s": 61.0 + i, "end_s": 62.0 + i, "text": f"line {i} <script> | **bold**"} for i in range(7)]
    ledger.append("transcripts", DAYS[0], [Row("a.mp4", "1", {"text": "h"}, {"language": "en", "text": "line", "segments": said})])
    ledger.append("transcripts", DAYS[0], [Row("silent.mp4", "1", {}, {"text": "", "segments": []})])
    shown = dict(previews.of(Outcome("transcripts", DAYS[0], 2, 0, 0, 2, ""), ledger, Blobs(str(tmp_path))))["avrec/said"]
    assert "1:01 line 0" in shown and "and 2 more" in shown
    assert "<script>" not in shown and "**bold" not in shown and "silent" not in shown


def test_the_weakest_items_and_signals_are_shown_and_trust_nothing(tmp_path):
    ledger = Ledger(str(tmp_path))
    for media_id, score, noise in (("a|b.mp4", 0.4, 0.1), ("c.mp4", 0.9, 0.8)):
        signals = [{"name": "noise", "value": 1.0, "unit": "x", "score": noise, "reason": f"noisy <script> {noise}"}]
        values = {"score": score, "picture_score": score, "sound_score": None, "signals": signals}
        ledger.append("technical_quality", DAYS[0], [Row(media_id, "1", {"score": "s"}, values)])
    shown = dict(previews.of(Outcome("technical_quality", DAYS[0], 2, 0, 0, 2, ""), ledger, Blobs(str(tmp_path))))["avrec/weakest"]
    assert r"| a\|b.mp4 | 0.40 | 0.40 | – | 0.10 noisy" in shown and shown.index("a\\|b") < shown.index("c.mp4")
    assert r"| noise | 1 of 2 | 0.10 | a\|b.mp4 |" in shown
    assert "<script>" not in shown
