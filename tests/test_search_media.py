"""Searching by files, with real media and the packaged encoders."""

import multiprocessing
from contextlib import closing
from pathlib import Path

import pytest

from avrec_dag import synthetic
from avrec_dag.cli.outside import bring
from avrec_dag.engine import Inline
from avrec_dag.errors import MediaError
from avrec_dag.limits import Limits
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.queries import Example, Part, Query, example
from avrec_dag.serving.live import Live, query_limits
from tests.small_library import DAY, KINDS, Small


@pytest.fixture(scope="module")
def recommender(small) -> Recommender:
    return Recommender.load(small.ledger, small.blobs)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    synthetic.clip(folder / "rings.png", kind="rings", seed=77, size=(160, 90))
    synthetic.clip(folder / "waves.wav", kind="waves", seed=77, duration_s=1)
    synthetic.clip(folder / "bars.mp4", kind="bars", seed=77, duration_s=1, size=(160, 90))
    (folder / "letter.mp4").write_bytes(b"this is a letter, not a clip\n")
    (folder / "playlist.mp4").write_bytes(b"#EXTM3U\nhttp://nowhere.invalid/a.ts\n")
    return folder


def ask(small: Small, file: Path, part: Part, most_s: float | None = 120) -> Example:
    from functools import partial

    return example(small.ledger, small.blobs.uri, file.name, part, partial(bring, file), apart=Inline(), most_s=most_s)


def kinds(found) -> list[str]:
    return [next((kind for kind in KINDS if kind in one.media_id), "") for one in found]


@pytest.mark.parametrize(
    ("name", "part", "kind"), [("rings.png", "picture", "rings"), ("waves.wav", "sound", "waves"), ("bars.mp4", "clip", "bars")]
)
def test_a_file_finds_what_looks_or_sounds_like_it(small, recommender, files, name, part, kind):
    found = recommender.search(Query("", (ask(small, files / name, part),)), 3)
    assert kinds(found).count(kind) >= 2
    assert kinds(found)[0] == kind
    assert found[0].reason in {"looks like the picture", "sounds like the sound", "is like the clip", "fits by meaning"}


def test_a_sound_finds_pictures_through_what_both_are_called(small, recommender, files):
    asked = ask(small, files / "waves.wav", "sound")
    assert asked.joint is not None
    found = recommender.catalogue.index.search(asked.joint, 20)
    assert len(found) >= 13  # pictures without any sound have a place, too


def test_somebodys_taste_comes_with_its_reason(small, recommender, files):
    asked = Query("", (ask(small, files / "bars.mp4", "clip"),))
    pure = recommender.search(asked, 20)
    mine = recommender.search(asked, 20, user_id="person 0", taste=0.9)
    assert {one.media_id for one in mine} == {one.media_id for one in pure}
    assert all(";" in one.reason for one in mine)
    assert recommender.search(asked, 20, user_id="person 0", taste=0.0) == pure


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("letter.mp4", "clip", "is text"),
        ("playlist.mp4", "clip", "playlist"),
        ("rings.png", "sound", "no sound"),
        ("waves.wav", "picture", "no picture"),
    ],
)
def test_a_file_that_cannot_be_a_query_is_refused_in_a_sentence(small, files, name, part, said):
    with pytest.raises(MediaError, match=said) as refused:
        ask(small, files / name, part)
    assert str(refused.value).startswith(name)


def test_a_long_sound_is_refused(small, files):
    with pytest.raises(MediaError, match="lasts 1 s; as a query at most 0 s"):
        ask(small, files / "waves.wav", "sound", 0.4)


def test_the_command_takes_words_and_files_together(small, files):
    found = small.json("search", "rings", "--picture", str(files / "rings.png"), "--user", "person 1", "--taste", "0.2", "-k", "3")
    assert len(found) == 3
    assert f"dt={DAY}/rings" in found[0]["media_id"] or "clip & more" in found[0]["media_id"]
    assert small.avrec("search").returncode == 2
    assert small.avrec("search", "cat", "--taste", "0.5").returncode == 2
    gone = small.avrec("search", "--sound", "nowhere.wav")
    assert (gone.returncode, "nowhere.wav" in gone.stderr) == (1, True)


def test_a_file_that_is_sent_is_decoded_by_a_process_of_its_own_within_limits(small, files):
    before = multiprocessing.active_children()
    with closing(Live(small.ledger, small.blobs, small.log, limits=Limits(packets=3))) as live:
        with pytest.raises(MediaError, match="more than 3 packets"):
            live.example((files / "bars.mp4").read_bytes(), "clip")
        assert len(multiprocessing.active_children()) > len(before)
    assert multiprocessing.active_children() == before


def test_a_query_may_take_less_than_an_upload():
    assert query_limits(Limits()) == Limits(cpu_s=60, wall_s=120)
    assert query_limits(Limits(cpu_s=5, wall_s=5)) == Limits(cpu_s=5, wall_s=5)
