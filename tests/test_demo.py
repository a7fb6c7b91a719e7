import hashlib
import zipfile
from pathlib import Path

import pytest

from avrec_dag import synthetic
from avrec_dag.demo import fetch, library, people
from avrec_dag.demo.bars import Bar, measured
from avrec_dag.demo.packaged import CLIPS, RealClip, Wheel
from avrec_dag.errors import MissingError, SettingError
from avrec_dag.ledger import Ledger
from avrec_dag.media.spoken import is_media
from avrec_dag.media.uploads import MediaSource


@pytest.fixture
def few(monkeypatch) -> None:
    """One clip of each kind is enough to see where everything goes."""
    monkeypatch.setattr(library, "PER_KIND", 1)


@pytest.fixture
def offline(monkeypatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def packed(folder: Path, **members: bytes) -> Wheel:
    path = folder / "made-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return Wheel("made==1", path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_made_clips_are_laid_out_once_with_their_sidecars(few, tmp_path):
    first = library.lay_out(tmp_path / "media", tmp_path / "packages", real=False)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "media").rglob("*")}
    second = library.lay_out(tmp_path / "media", tmp_path / "packages", real=False)

    assert (first.written, second.written) == (len(synthetic.KINDS), 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "media").rglob("*")} == written
    listed = [upload.key for upload in MediaSource(str(tmp_path / "media")).list()]
    assert [key for key in listed if is_media(key)] == sorted(first.made)
    assert {f"{key}.json" for key in first.made} <= set(listed)


def test_without_a_network_the_demo_goes_on_with_made_clips_and_says_so(few, offline, tmp_path):
    laid = library.lay_out(tmp_path / "media", tmp_path / "packages")

    assert len(laid.made) == len(synthetic.KINDS)
    assert laid.real == ()
    assert "pip could not download" in laid.trouble


def test_a_library_of_somebody_else_is_not_mixed_with_the_demo(few, tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "my wedding.mp4").write_bytes(b"precious")

    with pytest.raises(SettingError, match="my wedding"):
        library.lay_out(tmp_path / "media", tmp_path / "packages", real=False)
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["my wedding.mp4"]


def test_a_clip_comes_out_of_its_wheel_byte_for_byte(tmp_path):
    wheel = packed(tmp_path, **{"inside/clip.mp4": b"frames", "other.py": b"raise SystemExit"})
    clip = RealClip(wheel, "inside/clip.mp4", "clip.mp4", "things")

    assert fetch.content(clip, tmp_path) == b"frames"
    assert sorted(path.name for path in tmp_path.iterdir()) == [wheel.file]


def test_a_wheel_with_another_hash_is_deleted_and_refused(tmp_path):
    genuine = packed(tmp_path, clip=b"frames")
    (tmp_path / genuine.file).write_bytes(b"something else")

    with pytest.raises(MissingError, match="sha256"):
        fetch.wheel(genuine, tmp_path)
    assert not (tmp_path / genuine.file).exists()


def test_the_real_clips_are_enough_and_each_is_described():
    assert len(CLIPS) >= 10
    assert len({clip.name for clip in CLIPS}) == len(CLIPS)
    for clip in CLIPS:
        assert {"title", "description", "tags", "source"} <= set(clip.sidecar)
        assert "labels" not in clip.sidecar
        assert Path(clip.name).name == clip.name


def test_two_clips_of_one_recording_share_their_source():
    by_title = {str(clip.sidecar["title"]): clip.sidecar["source"] for clip in CLIPS}

    assert by_title["A scientist introduces himself"] == by_title["A man talks to the camera"]
    assert by_title["A man with a bow tie in a car"] == by_title["A man with a bow tie in a car, bad copy"]


def test_the_people_watch_only_what_the_demo_holds_and_are_the_same_every_time():
    events = people.events()

    assert len({event.user_id for event in events}) >= 40
    assert all(library.origin(event.media_id) in {"made", "real"} for event in events)
    assert [event.event_id for event in people.events()] == [event.event_id for event in events]
    assert {event.event_id for event in people.events(1)}.isdisjoint(event.event_id for event in events)


@pytest.mark.parametrize(
    ("media_id", "expected"),
    [
        ("dt=2026-03-02/real/park.mp4", "real"),
        ("dt=2026-03-03/made/bars-1.mp4", "made"),
        ("dt=2025-01-01/real/park.mp4", None),
        ("dt=2026-03-02/park.mp4", None),
        ("real/park.mp4", None),
    ],
)
def test_only_the_demos_own_clips_are_called_real_or_made(media_id, expected):
    assert library.origin(media_id) == expected


@pytest.mark.parametrize(
    ("value", "baseline", "cleared"), [(0.6, 0.2, True), (0.59, 0.2, False), (0.6, 0.0, False), (float("nan"), float("nan"), False)]
)
def test_a_bar_is_cleared_by_enough_times_the_baseline(value, baseline, cleared):
    assert Bar("accuracy", value, "guessing", baseline, 2.95).cleared is cleared


def test_without_evaluations_no_bar_is_cleared(tmp_path):
    assert [bar.cleared for bar in measured(Ledger(str(tmp_path)))] == [False, False]


@pytest.mark.slow
def test_every_real_clip_is_where_its_wheel_is_said_to_have_it(few, tmp_path):
    laid = library.lay_out(tmp_path / "media", tmp_path / "packages")

    assert laid.trouble == ""
    assert len(laid.real) == len(CLIPS)
    assert all((tmp_path / "media" / key).stat().st_size > 5000 for key in laid.real)
