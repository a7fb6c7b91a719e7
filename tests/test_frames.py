import io
import resource
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from avrec_dag import synthetic
from avrec_dag.items import Item
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.sheet import clock
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs


def item(key, kind="video", duration_s: float | None = 3.0):
    return Item(key, "v1", "2026-01-01", {"raw_media": {"kind": kind, "duration_s": duration_s}})


def decoded(data):
    import cv2

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


def test_a_row_holds_times_and_shots_and_its_blobs_hold_the_frames(media, tmp_path):
    synthetic.clip(media / "你好 'a'.mp4", kind=["dots", "face", "waves"], seed=1)
    (row,) = SampleFrames(str(media), str(tmp_path / "store"))([item("你好 'a'.mp4")])
    assert row.error is None
    values = row.values
    assert (values["n_frames"], values["width"], values["height"], values["method"]) == (3, 320, 180, "keyframes")
    assert values["shot"] == [0, 1, 2]
    assert values["shot_starts_s"] == pytest.approx([0, 1, 2], abs=0.2)
    blobs = Blobs(str(tmp_path / "store"))
    with zipfile.ZipFile(io.BytesIO(blobs.get(f"{values['blob']}/frames.zip"))) as archive:
        assert archive.namelist() == ["0000.jpg", "0001.jpg", "0002.jpg"]
        pictures = [decoded(archive.read(name)) for name in archive.namelist()]
    assert {picture.shape for picture in pictures} == {(180, 320, 3)}
    sheet = decoded(blobs.get(f"{values['blob']}/sheet.jpg"))
    assert sheet.shape[1] > 3 * 180
    table = pa.Table.from_pylist([dict(values)], schema=TABLES["frames"].columns)
    assert table.num_rows == 1


def test_a_film_of_few_key_frames_keeps_a_frame_of_every_shot_and_second(media, tmp_path):
    synthetic.clip(media / "a.mp4", kind=["dots", "face", "waves"], seed=1, duration_s=9.0, gop=70, size=(160, 96))
    (row,) = SampleFrames(str(media), str(tmp_path / "store"))([item("a.mp4", duration_s=9.0)])
    (few,) = SampleFrames(str(media), str(tmp_path / "few"), Sampling(cap=3))([item("a.mp4", duration_s=9.0)])
    assert (row.values["method"], row.values["n_frames"]) == ("all", 9)
    assert [int(at_s + 0.01) for at_s in row.values["t_s"]] == list(range(9))
    assert row.values["shot_starts_s"] == pytest.approx([0, 3, 6], abs=0.6)
    assert few.values["n_frames"] == len(set(few.values["shot"])) == 3


def test_colours_are_stored_as_red_green_and_blue_people_see(media, tmp_path):
    synthetic.clip(media / "a.png", kind="rings", seed=1)
    (row,) = SampleFrames(str(media), str(tmp_path))([item("a.png", "image", None)])
    with zipfile.ZipFile(io.BytesIO(Blobs(str(tmp_path)).get(f"{row.values['blob']}/frames.zip"))) as archive:
        stored = decoded(archive.read("0000.jpg"))
    truth = decoded((media / "a.png").read_bytes())
    assert np.abs(stored.mean((0, 1)) - truth.mean((0, 1))).max() < 2
    assert row.values["method"] == "still" and row.values["t_s"] == [0.0]


def test_the_same_film_gives_the_same_field_and_another_one_another(media, tmp_path):
    for name, seed in (("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 2)):
        synthetic.clip(media / name, kind="dots", seed=seed, duration_s=1.0)
    rows = SampleFrames(str(media), str(tmp_path / "store"))([item(name, duration_s=1.0) for name in ("a.mp4", "b.mp4", "c.mp4")])
    first, again, other = (row.fields["frames"] for row in rows)
    assert first == again != other


def test_a_long_film_keeps_no_more_frames_than_the_cap_and_little_memory(media, tmp_path):
    synthetic.clip(media / "long.mp4", kind="dots", seed=1, duration_s=300, size=(96, 64), fps=5, gop=5, sound=False)
    task = SampleFrames(str(media), str(tmp_path / "store"), Sampling(cap=20))
    task([item("long.mp4", duration_s=10)])  # libraries are loaded, buffers taken
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (row,) = task([item("long.mp4", duration_s=300)])
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    assert row.values["n_frames"] == 20
    assert np.diff(row.values["t_s"]).max() < 30
    assert grown_mb < 40


def test_one_bad_item_does_not_cost_the_others_of_its_batch(media, tmp_path):
    synthetic.clip(media / "a.mp4", kind="dots", seed=1, duration_s=0.5)
    (media / "b.mp4").write_bytes(b"\0" * 5000)
    synthetic.clip(media / "c.wav", kind="dots", seed=1, duration_s=0.5)
    good, empty, sound = SampleFrames(str(media), str(tmp_path / "store"))([item("a.mp4"), item("b.mp4"), item("c.wav")])
    assert good.error is None
    assert empty.permanent and "zero bytes" in (empty.error or "")
    assert sound.permanent and "no picture" in (sound.error or "")


@pytest.mark.parametrize(("at_s", "text"), [(0, "0:00.0"), (59.96, "1:00"), (3.25, "0:03.2"), (75, "1:15"), (3725, "1:02:05")])
def test_times_are_written_as_people_read_them(at_s, text):
    assert clock(at_s) == text
