"""Models of the hub from uploads to search: a library of made clips understood by tiny models, and what the command line says."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from avrec_dag import synthetic
from avrec_dag.cli import outside
from avrec_dag.cli.app import app
from avrec_dag.cli.library import Library
from avrec_dag.encoders import devices, hub, registry
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.joint import JointSpace
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.engine import Inline, engine
from avrec_dag.engine.local import Local
from avrec_dag.errors import SettingError
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.media import windows as cutting
from avrec_dag.recommend import indexing
from avrec_dag.storage import Blobs
from avrec_dag.understanding.outside import Workbench
from resources.profiles import Settings
from tests import hub_models

SHOWN = ("bars", "rings", "snow")


@dataclass(frozen=True)
class Made:
    settings: Settings
    models: Path

    @property
    def library(self) -> Library:
        return Library(self.settings)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.store)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three clips, one of them silent, understood by three models of the hub."""
    base = tmp_path_factory.mktemp("library")
    models = base / "models"
    hub_models.siglip(models / "siglip")
    hub_models.clap(models / "clap")
    hub_models.bert_like(models / "e5")
    (base / "media").mkdir()
    for seed, kind in enumerate(SHOWN):
        synthetic.clip(base / "media" / f"{kind}.mp4", kind=kind, seed=seed, duration_s=2.5, size=(96, 64), fps=5, sound=kind != "snow")
        (base / "media" / f"{kind}.mp4.json").write_text(json.dumps({"title": f"a photo of {kind}"}))
    chosen = Settings(
        media=str(base / "media"),
        store=str(base / "store"),
        encoders=f"packaged+frame={models / 'siglip'}+audio={models / 'clap'}+text={models / 'e5'}",
        speech="off",
    )
    made = Made(chosen, models)
    Workbench(Path(chosen.media), chosen.store, Inline()).run(outside._tasks(made.library, chosen.media, chosen.store), made.library.steps)
    indexing.update_index(made.ledger, Blobs(chosen.store), made.library.steps["item_index"], encoders=chosen.encoders)
    return made


def test_every_modality_has_its_model_and_its_block(made: Made) -> None:
    preset = registry.preset(made.settings.encoders)
    picture, sound, text = (slice(0, 32), slice(32, 52), slice(52, 84))
    for table, spec, block, n in (
        ("frame_embeddings", preset.frame, picture, 3),
        ("audio_embeddings", preset.audio, sound, 2),
        ("text_embeddings", preset.text, text, 3),
    ):
        rows = made.ledger.rows(table).to_pylist()
        assert len(rows) == n, made.ledger.rows(table, None, ["error"], status="failed").to_pylist()
        for row in rows:
            assert row["model"] == spec.identity
            joint = np.asarray(row["joint"])
            assert joint.shape == (84,)
            assert np.linalg.norm(joint[block]) == pytest.approx(1, abs=1e-5)
            assert np.linalg.norm(joint) == pytest.approx(1, abs=1e-5)
    assert {row["n_patches"] for row in made.ledger.rows("audio_embeddings").to_pylist()} == {3}  # 2.5 s in windows of 1 s
    fused = {row["media_id"]: np.asarray(row["joint"]) for row in made.ledger.rows("fused_features").to_pylist()}
    assert fused["bars.mp4"][sound].any()
    assert not fused["snow.mp4"][sound].any()


def test_search_scores_pictures_and_sounds_in_their_own_spaces(made: Made) -> None:
    index, _ = indexing.current(made.ledger, Blobs(made.settings.store), made.ledger.rows("raw_media", columns=[])["media_id"].to_pylist())
    space = JointSpace(index.encoders)
    assert index.space == space.identity
    (query,) = space.text(["a photo of rings"])
    found = dict(index.search(query, 10))
    assert set(found) == {f"{kind}.mp4" for kind in SHOWN}
    item = np.asarray(index.joint[index.place["rings.mp4"]])
    blocks = [float(query[block] @ item[block]) for block in (slice(0, 32), slice(32, 52), slice(52, 84))]
    assert all(abs(score) > 1e-6 for score in blocks)
    assert found["rings.mp4"] == pytest.approx(sum(blocks), abs=1e-5)


def test_classes_of_a_file_are_found_zero_shot_in_the_same_space(made: Made) -> None:
    row = outside.classes(made.library, Path(made.settings.media) / "bars.mp4")
    assert row["method"] == "zero_shot"
    assert sum(row["class_probs"]) <= 1.001


def test_another_model_under_the_same_name_makes_the_rows_stale_and_the_index_refuse(made: Made, tmp_path: Path) -> None:
    swapped = made.settings.encoders.replace(str(made.models / "siglip"), str(hub_models.siglip(tmp_path / "siglip", dim=16)))
    after = Library(replace(made.settings, encoders=swapped)).steps
    for name in ("frame_embeddings", "audio_embeddings", "text_embeddings"):
        assert after[name].code != made.library.steps[name].code
    index, _ = indexing.current(made.ledger, Blobs(made.settings.store), made.ledger.rows("raw_media", columns=[])["media_id"].to_pylist())
    with pytest.raises(SettingError, match="it was built with another"):
        index.search(JointSpace(swapped).text(["rings"])[0], 3)


def test_a_sound_encoder_that_wants_the_waveform_is_told_apart_from_one_that_does_not(made: Made) -> None:
    from avrec_dag.encoders.base import WaveformTagger

    assert isinstance(registry.load_sound(made.settings.encoders), WaveformTagger)
    assert not isinstance(registry.load_sound("packaged"), WaveformTagger)


@given(st.integers(0, 5_000_000), st.integers(1000, 500_000))
@settings(deadline=None)
def test_windows_are_few_ascending_and_reach_the_end(n_samples: int, size: int) -> None:
    found = cutting.starts(n_samples, size)
    assert 1 <= len(found) <= cutting.MOST_WINDOWS
    assert list(found) == sorted(set(found))
    assert found[0] == 0
    assert found[-1] == max(0, n_samples - size)
    if len(found) < cutting.MOST_WINDOWS:
        assert all(later - earlier <= size for earlier, later in itertools.pairwise(found))


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.integers(1, 300), st.integers(-50, 50))
@settings(deadline=None)
def test_windows_are_the_samples_from_where_they_begin_however_blocks_come(blocks: list[int], size: int, off: int) -> None:
    samples = np.arange(sum(blocks), dtype=np.float32)
    parts = np.split(samples, np.cumsum(blocks)[:-1])
    begin = cutting.starts(max(0, len(samples) + off), size)
    found = list(cutting._cut(iter(parts), begin, size))
    assert 1 <= len(found) <= len(begin)
    for start, window in zip(begin, found, strict=False):
        if len(samples) and start < len(samples):
            np.testing.assert_array_equal(window, samples[start : start + size])


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "nothing"))


def test_the_doctor_says_what_is_missing_and_ends_with_2(no_models: None) -> None:
    result = CliRunner().invoke(app, ["doctor", "--encoders", "hub"], prog_name="avrec")
    assert result.exit_code == 2
    wanted = " && ".join(f"hf download {hub.EXAMPLES[modality]}" for modality in ("frame", "audio", "text"))
    assert f"not on this machine; get them with `{wanted}`" in " ".join(result.stderr.split())
    told = CliRunner().invoke(app, ["doctor", "--encoders", "hub", "--json"], prog_name="avrec")
    assert told.exit_code == 2
    (missing,) = [one for one in json.loads(told.stdout) if one["name"] == "encoders hub"]
    assert missing["remedy"] == wanted


def test_the_doctor_without_the_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == "transformers" else find(name, package))
    result = CliRunner().invoke(app, ["doctor", "--encoders", "hub"], prog_name="avrec")
    assert result.exit_code == 2
    assert "pip install 'avrec_dag[hub]'" in " ".join(result.stderr.split())


def test_the_doctor_names_the_encoders_that_are_there(made: Made) -> None:
    result = CliRunner().invoke(app, ["doctor", "--encoders", made.settings.encoders, "--json"], prog_name="avrec")
    told = {one["name"]: one["detail"] for one in json.loads(result.stdout)}
    assert told["encoder frame"].startswith(f"{made.models / 'siglip'}, 32 numbers, digest ")


@dataclass(frozen=True)
class WhichCard:
    """Says which number its worker has."""

    on_card: bool = True

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        import os
        import time

        time.sleep(0.3)
        return [item.done({"frames": os.environ[devices.ORDINAL]}, {}) for item in items]


@pytest.mark.parametrize(("on_card", "cards", "expected"), [(True, 2, 2), (True, 0, 3), (False, 2, 3), (True, 8, 3)])
def test_a_task_for_graphics_cards_has_a_process_for_each(
    monkeypatch: pytest.MonkeyPatch, on_card: bool, cards: int, expected: int
) -> None:
    monkeypatch.setattr(devices, "cards", lambda: cards)
    assert Local(3).at_once(WhichCard(on_card)) == expected


def test_workers_take_the_cards_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    running = engine("local", 2)
    try:
        rows = [row for part in running.run(WhichCard(), [[Item(str(n), "1", "")] for n in range(6)]) for row in part]
    finally:
        running.close()
    assert {row.fields["frames"] for row in rows} == {"0", "1"}
    monkeypatch.setattr(devices, "cards", lambda: 2)
    for ordinal, place in (("0", "cuda:0"), ("1", "cuda:1"), ("2", "cuda:0")):
        monkeypatch.setenv(devices.ORDINAL, ordinal)
        assert devices.place.__wrapped__() == place


def test_embedding_says_whether_it_computes_on_a_card(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = (EmbedFrames("", made.settings.encoders), EmbedAudio("", made.settings.encoders), EmbedText(made.settings.encoders))
    assert not any(task.on_card for task in tasks)
    monkeypatch.setattr(devices, "device", lambda: "cuda")
    assert all(task.on_card for task in tasks)
    assert not EmbedText("packaged").on_card  # the packaged one is numpy
