import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from avrec_dag import synthetic
from avrec_dag.errors import SettingError
from avrec_dag.media.sampling import Sampling
from avrec_dag.s3 import Access
from avrec_dag.steps import graph
from resources import profiles
from resources.compute import Compute, gives_way
from resources.feedback import Feedback
from resources.media import Media
from resources.profiles import Settings
from resources.store import Store
from resources.workers import release_lost


def test_the_defaults_lie_under_var_and_need_no_environment():
    settings = Settings.from_env({})
    assert settings == Settings()
    assert all("var/" in where for where in (settings.media, settings.store, settings.feedback))


def test_every_setting_comes_from_the_environment():
    settings = Settings.from_env(
        {
            "AVREC_MEDIA": "s3://films/raw",
            "AVREC_STORE": "s3://films/store",
            "AVREC_FEEDBACK": "sqlite:///elsewhere.db",
            "AVREC_ENGINE": "inline",
            "AVREC_ENCODERS": "packaged",
            "AVREC_START": "2020-02-29",
            "AVREC_GUARD": "1",
            "AVREC_FRAMES_PER_SECOND": "0.5",
            "AVREC_FRAMES_PER_SHOT": "2",
            "AVREC_FRAMES_CAP": "10",
            "AVREC_FRAMES_LONG_SIDE_PX": "320",
            "AVREC_FRAMES_JPEG_QUALITY": "70",
            "AVREC_S3_ENCRYPTION": "AES256",
        }
    )
    sampling = Sampling(0.5, 2, 10, 320, 70)
    where = ("s3://films/raw", "s3://films/store", "sqlite:///elsewhere.db", "inline", "packaged")
    assert settings == Settings(*where, start=date(2020, 2, 29), guard=1.0, sampling=sampling, s3=Access(encryption="AES256"))


def test_an_empty_value_counts_as_absent():
    assert Settings.from_env(dict.fromkeys(("AVREC_MEDIA", "AVREC_START", "AVREC_FRAMES_CAP"), "")) == Settings()


TOMORROW = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AVREC_START", "yesterday"),
        ("AVREC_START", "2026-02-30"),
        ("AVREC_START", TOMORROW),
        ("AVREC_GUARD", "half"),
        ("AVREC_GUARD", "1.5"),
        ("AVREC_GUARD", "nan"),
        ("AVREC_FRAMES_PER_SECOND", "0"),
        ("AVREC_FRAMES_PER_SHOT", "1.5"),
        ("AVREC_FRAMES_CAP", "-1"),
        ("AVREC_FRAMES_LONG_SIDE_PX", "many"),
        ("AVREC_FRAMES_JPEG_QUALITY", "101"),
        ("AVREC_DIVERSITY", "a lot"),
        ("AVREC_RELEVANCE", "nan"),
        ("AVREC_PER_CREATOR", "0"),
        ("AVREC_DIVERSITY_METHOD", "magic"),
        ("AVREC_S3_ADDRESSING", "dns"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_the_setting_the_value_and_the_remedy(name, value):
    with pytest.raises(SettingError) as told:
        Settings.from_env({name: value})
    text = str(told.value)
    assert name in text
    assert repr(value) in text
    assert "correct it or leave it out" in text
    assert "\n" not in text


def test_the_models_that_recommend_and_the_way_of_spreading_are_settings_that_enter_versions():
    chosen = Settings.from_env({"AVREC_RECOMMENDER": " ease + content ", "AVREC_DIVERSITY_METHOD": "swap"})
    compute = chosen.resources()["compute"]
    assert isinstance(compute, Compute) and compute.recommender == " ease + content "
    usual, other = (graph(one.recipe()) for one in (Settings.from_env({}), chosen))
    moved = {name for name in usual if usual[name].code != other[name].code}
    assert moved == {"recommender", "recommender_evaluation", "recommendations", "recommendation_health"}
    with pytest.raises(SettingError, match="AVREC_RECOMMENDER"):
        Settings.from_env({"AVREC_RECOMMENDER": "oracle"}).recipe()


def test_an_unknown_encoder_preset_is_a_setting_error():
    with pytest.raises(SettingError, match="nonsuch"):
        Settings.from_env({"AVREC_ENCODERS": "nonsuch"}).recipe()


def test_a_missing_media_folder_is_a_setting_error_that_names_it(tmp_path):
    with pytest.raises(SettingError, match="gone"):
        Media(uri=str(tmp_path / "gone")).snapshot().list()


def test_an_unreachable_s3_is_a_setting_error(monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
        "AVREC_S3_PATIENCE_S": "0",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match="s3://films"):
        Media(uri="s3://films/raw").snapshot().list()


def test_sampling_changes_the_code_of_the_frames_and_of_nothing_else():
    usual, denser = (graph(Settings.from_env(env).recipe()) for env in ({}, {"AVREC_FRAMES_PER_SECOND": "2"}))
    assert {name for name in usual if usual[name].code != denser[name].code} == {"frames"}


def test_the_recipe_names_every_encoder_with_its_digest():
    recipe = Settings.from_env({}).recipe()
    assert all("@" in one for one in (recipe.frame_encoder, recipe.audio_encoder, recipe.audio_events, recipe.text_encoder))


def test_resources_carry_the_settings_through():
    settings = Settings.from_env({"AVREC_FRAMES_CAP": "7", "AVREC_GUARD": "0.25", "AVREC_STORE": "elsewhere", "AVREC_ENGINE": "inline"})
    made = settings.resources()
    store, media, compute, feedback = (made[name] for name in ("store", "media", "compute", "feedback"))
    assert isinstance(store, Store)
    assert isinstance(media, Media)
    assert isinstance(compute, Compute)
    assert isinstance(feedback, Feedback)
    assert (store.ledger.uri, store.blobs.uri) == ("elsewhere", "elsewhere")
    assert (media.sampling.cap, media.guard, compute.engine) == (7, 0.25, "inline")
    assert feedback.log.url == settings.feedback


def test_resources_are_made_without_touching_the_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(profiles.from_env()) == {"store", "media", "compute", "feedback", "lists"}
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_lists_once(tmp_path):
    synthetic.clip(tmp_path / "a.wav", kind=synthetic.KINDS[0], seed=0, duration_s=0.2)
    snapshot = Media(uri=str(tmp_path)).snapshot()
    first = snapshot.list()
    (tmp_path / "b.wav").write_bytes(b"later")
    assert [upload.key for upload in first] == ["a.wav"]
    assert snapshot.list() == first
    with snapshot.open("a.wav") as file:
        assert file.read(4) == b"RIFF"


DIES = """
import os, signal
import dagster as dg

@dg.asset(pool="gpu")
def doomed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

dg.materialize([doomed], instance=dg.DagsterInstance.get())
"""


def test_the_slot_of_a_killed_run_is_taken_back(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1}}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", DIES], env=os.environ, capture_output=True, timeout=120)
    assert killed.returncode == -9
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        assert release_lost(instance) == [run.run_id]
        assert instance.get_runs()[0].status == dg.DagsterRunStatus.FAILURE
        assert not instance.event_log_storage.get_concurrency_info("gpu").claimed_slots
        assert release_lost(instance) == []


def test_the_slot_of_a_living_run_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1}}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    released = []

    @dg.asset(pool="gpu")
    def busy(context: dg.AssetExecutionContext) -> None:
        released.extend(release_lost(context.instance))

    with dg.DagsterInstance.get() as instance:
        assert dg.materialize([busy], instance=instance).success
    assert released == []


@pytest.mark.parametrize("tag", ["avrec/backfill", "dagster/backfill"])
def test_a_launched_run_that_catches_up_gives_way_and_a_command_or_a_live_run_does_not(tag):
    launched = {".dagster/grpc_info": "{}"}
    assert gives_way({tag: "planner", **launched})
    assert not gives_way({tag: "command"})
    assert not gives_way(launched)
