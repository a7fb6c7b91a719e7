"""Titles as content: a hostile file of them, and vectors that are made once."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.encoders import registry
from avrec_dag.encoders.base import EncoderSpec
from avrec_dag.errors import SettingError
from avrec_dag.recommend.evaluation import titles


def written(tmp_path, content: bytes):
    path = tmp_path / "titles.csv"
    path.write_bytes(content)
    return path


def test_titles_are_read_with_and_without_header_quotes_and_commas(tmp_path):
    for head in (b"item,title\n", b"", b"\xef\xbb\xbfitem_id,title\r\n"):
        found = titles.read(written(tmp_path, head + 'a,"Good, Bad"\r\nb,The Ugly, The\n\n猫,猫 的 电影\n'.encode()))
        assert found.of == {"a": "Good, Bad", "b": "The Ugly, The", "猫": "猫 的 电影"}
        assert found.n_broken == 0


def test_every_broken_title_is_named_and_counted(tmp_path):
    found = titles.read(written(tmp_path, b'a,one\nb\n,two\nc,\n\xff,three\nd,"open\ne,five\na,again\n'))
    assert found.of == {"a": "one", "e": "five"}
    assert [line for line, _ in found.broken] == [2, 3, 4, 5, 6]
    told = found.told(["a", "x", "y"])
    assert (told["items_with_title"], told["items_without_title"], told["titles_of_unknown_items"]) == (1, 2, 1)
    assert (told["repeated"], told["broken"]) == (1, 5)


@pytest.mark.parametrize("content", [b"", b"item,title\n", b"alone\n"])
def test_a_file_without_a_title_is_refused(tmp_path, content):
    with pytest.raises(SettingError, match="holds no line"):
        titles.read(written(tmp_path, content))


@given(content=st.binary(max_size=200))
def test_no_bytes_break_the_reading(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("bytes"), b"a,title\n" + content)
    found = titles.read(path)
    lines = [line for line in path.read_bytes().split(b"\n") if line and not line.isspace()]
    assert len(found.of) + found.n_broken + found.n_repeated == len(lines)


class Counting:
    """An encoder that says how often it was asked."""

    spec = EncoderSpec("counting", "text", 3, "0" * 64)

    def __init__(self):
        self.asked = []

    def encode(self, batch):
        self.asked.append(len(batch))
        return np.eye(3, dtype=np.float32)[[len(text) % 3 for text in batch]]


def test_vectors_are_made_once_per_set_of_titles(tmp_path, monkeypatch):
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path))
    encoder = Counting()
    monkeypatch.setattr(registry, "load", lambda _: encoder)
    known = titles.Titles(of={"a": "xxx", "b": "y"})
    for _ in range(2):
        found = titles.vectors(known, ["b", "without", "a"], encoder="counting")
        np.testing.assert_array_equal(found, [[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    assert encoder.asked == [2]
    titles.vectors(titles.Titles(of={"a": "xxx", "b": "other"}), ["a", "b"], encoder="counting")
    assert encoder.asked == [2, 2]
    assert titles.vectors(known, ["nothing known"], encoder="counting").tolist() == [[0, 0, 0]]


@pytest.mark.slow
def test_titles_carry_items_that_nobody_met(tmp_path, monkeypatch):
    """Two topics; what is to be found was met by nobody else, so behaviour knows nothing of it."""
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path / "cache"))
    words = {"cat": "cats kittens purring pets", "car": "racing cars engines motors"}
    topics = list(words)
    described = [f"{topic}{place},{words[topic]} number {place}" for topic in topics for place in range(30)]
    (tmp_path / "titles.csv").write_text("item,title\n" + "\n".join(described))
    rows = [
        f"u{user} " + " ".join(f"{topics[user % 2]}{place}" for place in (user % 5, user % 7 + 5, 12 + user // 2)) for user in range(30)
    ]
    (tmp_path / "events.txt").write_text("\n".join(rows))
    options = ["--format", "sequences", "--titles", str(tmp_path / "titles.csv"), "--model", "popularity", "--model", "content", "--json"]
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "events.txt"), *options])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["titles"]["items_without_title"] == 0
    assert told["models"]["content"]["ndcg@10"] > told["models"]["popularity"]["ndcg@10"]
    assert told["models"]["content"]["distances_from"] == "content"
