"""Odd and broken uploads and rows through the real graph: each gets a clear row or sentence, and its neighbours nothing of it."""

import json
import math
import re
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from avrec_dag.definitions import build
from avrec_dag.encoders import registry
from avrec_dag.encoders.base import EncoderSpec
from avrec_dag.items import Row
from avrec_dag.schema import TABLES
from tests.made_runs import DAYS, EVENT_DAY, Library

DAY = DAYS[0]
GOOD = tuple(f"dt={DAY}/dots {number}.mp4" for number in range(3))
GREY, PIXEL, PIXEL_FILM, FRAME, STREAMS = (
    f"dt={DAY}/{name}" for name in ("grey.mp4", "pixel.png", "pixel.mkv", "one frame.mp4", "a hundred streams.mka")
)
ALONE, TWICE = f"dt={DAY}/alone.mp4", GOOD[0]


def film(path, frames, codec="libx264", pix_fmt="yuv420p"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(10))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def hundred_streams(path):
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w", format="matroska") as container:
        streams = [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(100)]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def fill(root) -> Library:
    library = Library(root)
    for number, key in enumerate(GOOD):
        library.upload(key, "dots", number)
    library.upload(ALONE, "rings", 0)
    library.tell(ALONE, title="alone", labels=["seen once"])
    library.tell(TWICE, title="two labels", labels=["dots", "round things"])
    folder = root / "media" / f"dt={DAY}"
    film(folder / "grey.mp4", [np.full((120, 160, 3), 128, np.uint8)] * 20)
    film(folder / "one frame.mp4", [np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)])
    film(folder / "pixel.mkv", [np.full((1, 1, 3), value, np.uint8) for value in (0, 90, 255)], "ffv1", "bgr0")
    Image.new("RGB", (1, 1), (200, 30, 30)).save(folder / "pixel.png")
    hundred_streams(folder / "a hundred streams.mka")
    return library


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    library = fill(tmp_path_factory.mktemp("bad") / "library")
    jobs = [("ingest_and_embed", DAY), ("collect_feedback", EVENT_DAY), ("train_classifier", None), ("classify", DAY), ("recommend", None)]
    yield library, {job: library.run(job, day) for job, day in jobs}
    library.close()


@pytest.fixture
def library(made, tmp_path):
    library = made[0].copy(tmp_path / "library")
    yield library
    library.close()


def rows(library, name):
    return {row["media_id"]: row for row in library.ledger.rows(name).to_pylist()}


def test_odd_uploads_fail_no_job_and_leave_their_neighbours_alone(made):
    library, runs = made
    assert {job: run.errors for job, run in runs.items()} == {job: [] for job in runs}
    assert all(run.ok for run in runs.values())
    for name in ("raw_media", "fused_features", "technical_quality", "content_classes", "quality_scores"):
        assert set(GOOD) <= set(rows(library, name)), name


def numbers(value):
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)


@pytest.mark.parametrize("key", [GREY, PIXEL, PIXEL_FILM, FRAME, STREAMS])
def test_an_odd_upload_gets_a_sound_row_or_a_sentence_in_every_table(made, key):
    library, _ = made
    told = {}
    for name, table in TABLES.items():
        if table.key == "media_id":
            for row in library.ledger.rows(name, None, ["error", "status", *table.columns.names], status=None).to_pylist():
                if row["media_id"] == key:
                    told[name] = row
    assert "raw_media" in told
    for name, row in told.items():
        if row["status"] == "failed":
            assert len(row["error"]) > 20 and "\n" not in row["error"] and "Traceback" not in row["error"], (name, row["error"])
        else:
            assert all(math.isfinite(number) for number in numbers(row)), name
    assert told["raw_media"]["status"] == "failed" or "quality_scores" in told or told["technical_quality"]["status"] == "failed"


def test_a_picture_of_one_colour_is_told_as_poor(made):
    row = rows(made[0], "technical_quality")[GREY]
    assert 0 <= row["score"] < 0.6
    best = rows(made[0], "technical_quality")[GOOD[0]]
    assert row["score"] < best["score"]


def test_pictures_that_show_nothing_are_no_copies_of_one_another(made):
    groups = rows(made[0], "duplicates")
    assert [groups[key]["kind"] for key in (GREY, PIXEL, PIXEL_FILM)] == ["unique"] * 3


def test_a_film_of_one_frame_has_one_frame(made):
    row = rows(made[0], "frames")[FRAME]
    assert (row["n_frames"], row["t_s"]) == (1, [0.0])


def test_a_hundred_streams_are_one_sound(made):
    with av.open(str(made[0].root / "media" / STREAMS)) as container:
        assert len(container.streams) == 100
    stored = made[0].ledger.rows("raw_media", DAY, ["kind", "error", "warnings"], status=None).to_pylist()
    row = next(one for one in stored if one["media_id"] == STREAMS)
    assert row["error"] or row["kind"] == "audio"


def test_a_class_with_one_example_trains_nothing_and_is_told_why(made):
    library, runs = made
    (row,) = library.ledger.rows("content_classifier", None, ["details", "n_examples"]).to_pylist()
    assert "seen once" not in json.loads(row["details"]).get("classes", []) or row["n_examples"] == 0
    assert "source" in row["details"]
    assert runs["train_classifier"].ok


def test_an_item_with_two_labels_keeps_both(made):
    assert rows(made[0], "labels")[TWICE]["labels"] == ["dots", "round things"]


@pytest.mark.parametrize(
    ("vector", "rule"),
    [([float("nan")] * 1280, "vector_length_is_there"), ([1.0] + [0.0] * 7, "vectors_have_one_size")],
    ids=["NaN", "another dimension"],
)
def test_a_stored_embedding_that_means_nothing_stops_what_follows(library, vector, rule):
    stored = rows(library, "frame_embeddings")[GOOD[1]]
    values = {column: stored[column] for column in TABLES["frame_embeddings"].columns.names}
    library.ledger.append("frame_embeddings", DAY, [Row(GOOD[1], stored["version"], dict(stored["fields"]), {**values, "vector": vector})])
    run = library.run("ingest_and_embed", DAY)
    assert not run.ok
    assert ("frame_embeddings", rule) in run.broken
    assert "fused_features" not in run.materialized
    verdicts = {
        one.check_name: one for one in run.result.get_asset_check_evaluations() if one.asset_key.to_user_string() == "frame_embeddings"
    }
    if rule == "vector_length_is_there":
        assert verdicts[rule].metadata["offenders"].value == GOOD[1]


class Changed:
    """A picture encoder whose model changed under the name and digest it had."""

    spec = EncoderSpec("changed-under-its-name", "frame", 8, "0" * 64)
    device = "cpu"
    classes = ()
    gives: tuple[int, float] = (16, 1.0)

    def encode(self, batch):
        return self.tag(batch)[0]

    def tag(self, batch):
        dim, value = self.gives
        return np.full((len(batch), dim), value, np.float32) / np.float32(math.sqrt(dim)), np.zeros((len(batch), 0), np.float32)


@pytest.mark.parametrize(
    ("gives", "told"),
    [((16, 1.0), r"vectors of shape \(\d+, 16\), but says they have 8 numbers.*another digest"), ((8, math.nan), "gave NaN or infinity")],
    ids=["another dimension", "NaN"],
)
def test_an_encoder_that_does_not_keep_its_word_fails_its_items_with_a_sentence(tmp_path, monkeypatch, gives, told):
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    monkeypatch.setattr(registry, "_MAKERS", dict(registry._MAKERS))
    monkeypatch.setattr(Changed, "gives", gives)
    registry.register(Changed)
    library = Library(tmp_path / "library")
    library.upload(GOOD[0], "dots", 0)
    library.defs = build(replace(library.settings, encoders=f"packaged+{Changed.spec.name}").resources())
    library.run("ingest_and_embed", DAY)
    library.close()
    (row,) = library.ledger.rows("frame_embeddings", DAY, ["error"], status="failed").to_pylist()
    assert re.search(told, row["error"]), row["error"]
    assert library.ledger.counts("fused_features", DAY).ok == 1  # by sound and words
