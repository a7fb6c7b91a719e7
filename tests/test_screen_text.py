"""Text on screen: read from frames that differ, told once, with its seconds and place, embedded and found."""

import io
import pickle
import zipfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.encoders import screen_text
from avrec_dag.encoders.packaged import screen
from avrec_dag.encoders.packaged.screen import Line, PaddleReader, worth_keeping
from avrec_dag.encoders.screen_text import MOST_FRAMES, ReadScreen, lines_of
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.errors import SettingError
from avrec_dag.items import Item
from avrec_dag.schema import TABLES
from avrec_dag.storage import Blobs


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (9, 16, 3)).astype(np.uint8).repeat(20, 0).repeat(20, 1)


def line(text: str, confidence: float = 0.95) -> Line:
    return Line(text, confidence, (0.1, 0.2, 0.9, 0.3))


@dataclass
class Scripted:
    """A reader that reads what it is told to, picture by picture."""

    script: list[list[Line]]
    read_n: int = 0
    spec = PaddleReader.spec

    def read(self, _: np.ndarray) -> list[Line]:
        self.read_n += 1
        return self.script[self.read_n - 1]


def test_a_line_has_the_seconds_in_which_it_stands_there():
    frames = [(float(i), picture(i)) for i in range(4)]
    script = [[line("Chapter one")], [line("Chapter one"), line("A name")], [line("A name")], [line("The end")]]
    found, n_read = lines_of(frames, 5.5, Scripted(script))
    assert [(one.line.text, one.start_s, one.end_s) for one in found] == [("Chapter one", 0, 2), ("A name", 1, 3), ("The end", 3, 5.5)]
    assert n_read == 4


def test_a_frame_like_the_one_before_is_not_read_and_keeps_its_lines():
    frames = [(0.0, picture(1)), (1.0, picture(1)), (2.0, np.clip(picture(1).astype(int) + 3, 0, 255).astype(np.uint8)), (3.0, picture(2))]
    reader = Scripted([[line("news")], []])
    found, n_read = lines_of(frames, 9.0, reader)
    assert (reader.read_n, n_read) == (2, 2)
    assert [(one.start_s, one.end_s) for one in found] == [(0, 3)]


def test_a_changed_subtitle_on_a_still_picture_is_read():
    cv2 = pytest.importorskip("cv2")
    first, second = (np.zeros((288, 512, 3), np.uint8) for _ in range(2))
    cv2.putText(first, "Good morning", (150, 270), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    cv2.putText(second, "How are you", (150, 270), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    found, _ = lines_of([(0.0, first), (1.0, second)], 2.0, Scripted([[line("Good morning")], [line("How are you")]]))
    assert [one.line.text for one in found] == ["Good morning", "How are you"]


def test_the_same_line_misread_is_one_line_as_it_was_read_most_surely_and_one_that_returns_is_told_once():
    script = [[line("THANKS FOR WATCHlNG", 0.85)], [line("Thanks for watching", 0.99)], [], [line("THANKS FOR WATCHING", 0.9)]]
    found, _ = lines_of([(float(i), picture(i)) for i in range(4)], 4.0, Scripted(script))
    assert [(one.line.text, one.start_s, one.end_s) for one in found] == [("Thanks for watching", 0, 2)]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["alpha one", "beta two", "gamma three", "猫和狗"]), unique=True), max_size=8))
def test_every_text_is_told_once_between_its_first_frame_and_the_end(script):
    found, _ = lines_of(
        [(float(i), picture(i)) for i in range(len(script))], float(len(script)), Scripted([[line(t) for t in told] for told in script])
    )
    assert {one.line.text for one in found} == {text for told in script for text in told}
    assert len(found) == len({one.line.text for one in found})
    for one in found:
        first = next(i for i, told in enumerate(script) if one.line.text in told)
        gone = next((i for i in range(first, len(script)) if one.line.text not in script[i]), len(script))
        assert (one.start_s, one.end_s) == (first, gone)


def test_what_is_unsure_or_says_nothing_is_left_out():
    read = [line("news", 0.99), line("noise", 0.5), line("|", 0.99), line("x", 0.99), line("猫", 0.99), line("5:40", 0.9)]
    assert [one.text for one in worth_keeping(read, 0.8)] == ["news", "猫", "5:40"]


def with_frames(store, *pictures: np.ndarray, duration_s: float | None = 3.0) -> Item:
    import cv2

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, one in enumerate(pictures):
            archive.writestr(f"{i:04d}.jpg", cv2.imencode(".jpg", one[..., ::-1])[1].tobytes())
    blobs = Blobs(str(store))
    blobs.put("frames", "a.mp4", "v1", "frames.zip", buffer.getvalue())
    told = {"blob": blobs.prefix("frames", "a.mp4", "v1"), "t_s": [float(i) for i in range(len(pictures))], "shot": [0] * len(pictures)}
    return Item("a.mp4", "v2", "day", {"frames": told, "raw_media": {"duration_s": duration_s}})


def test_a_row_fits_its_table_and_few_frames_of_many_are_read(tmp_path, monkeypatch):
    reader = Scripted([[line("Weather")]] * 99)
    monkeypatch.setattr(screen_text, "load", lambda _: reader)
    (row,) = ReadScreen(str(tmp_path))([with_frames(tmp_path, *[picture(i) for i in range(40)], duration_s=40.0)])
    assert (row.values["n_frames"], row.values["n_read"], reader.read_n) == (MOST_FRAMES, MOST_FRAMES, MOST_FRAMES)
    (stored,) = pa.Table.from_pylist([dict(row.values)], schema=TABLES["screen_text"].columns).to_pylist()
    assert set(row.values) == set(TABLES["screen_text"].columns.names)
    (told,) = stored["lines"]
    assert (told["text"], told["left"], told["bottom"]) == ("Weather", 0.1, 0.3)
    assert told["start_s"] <= 2 and told["end_s"] == 40.0
    assert list(row.fields) == ["text"]


def test_a_still_picture_and_one_without_text_have_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(screen_text, "load", lambda _: Scripted([[line("Stop")]]))
    (still,) = ReadScreen(str(tmp_path))([with_frames(tmp_path, picture(0), duration_s=None)])
    assert [(one["start_s"], one["end_s"]) for one in still.values["lines"]] == [(0.0, 0.0)]  # type: ignore[attr-defined]
    monkeypatch.setattr(screen_text, "load", lambda _: Scripted([[]]))
    (empty,) = ReadScreen(str(tmp_path))([with_frames(tmp_path, picture(0))])
    assert (empty.error, empty.values["text"], empty.values["lines"], dict(empty.fields)) == (None, "", [], {})


def test_what_is_shown_joins_the_text_and_is_a_moment():
    told = {"lines": [{"text": "ACME 2026", "start_s": 4.0, "end_s": 9.0}]}
    (row,) = EmbedText()([Item("a.mp4", "v", "day", {"raw_media": {"title": "an advert"}, "screen_text": told})])
    assert (row.values["moment_kinds"], row.values["moment_starts_s"], row.values["moment_ends_s"]) == ([2], [4.0], [9.0])
    assert len(row.values["terms"]) == 2  # type: ignore[arg-type]


def test_the_setting_is_held_to_what_there_is(monkeypatch):
    assert screen_text.chosen("off") is None
    with pytest.raises(SettingError, match="off or packaged"):
        screen_text.chosen("best")
    monkeypatch.setattr(screen_text, "located", lambda *_: None)
    with pytest.raises(SettingError, match="pip install"):
        screen_text.chosen("packaged")
    assert pickle.loads(pickle.dumps(ReadScreen("s"))) == ReadScreen("s")


def test_other_weights_are_refused_before_they_are_loaded(monkeypatch):
    pytest.importorskip("rapidocr")
    monkeypatch.setattr(screen, "DETECTOR", (*screen.DETECTOR[:2], "0" * 64, screen.INSTALL))
    with pytest.raises(SettingError, match="SHA-256"):
        PaddleReader().read(picture(0))


def test_the_packaged_reader_reads_and_asks_no_network(monkeypatch):
    pytest.importorskip("rapidocr")
    import socket

    import cv2

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asks the network"))
    frame = np.full((288, 512, 3), 40, np.uint8)
    cv2.putText(frame, "Breaking news", (60, 150), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 230, 80), 2)
    reader = PaddleReader()
    (found,) = worth_keeping(reader.read(frame), 0.8)
    assert found.text.replace(" ", "").casefold() == "breakingnews"
    left, top, right, bottom = found.box
    assert 0.05 < left < 0.2 and 0.3 < top < bottom < 0.65 and 0.5 < right < 0.9
    for odd in (np.zeros((1, 1, 3), np.uint8), np.full((90, 160, 3), 128, np.uint8), np.zeros((4, 600, 3), np.uint8)):
        assert worth_keeping(reader.read(odd), 0.8) == []
