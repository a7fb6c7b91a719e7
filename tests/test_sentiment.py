from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.engine import Inline
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.feedback.stage import update_feedback
from avrec_dag.incremental import advance
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.quality import sentiment
from avrec_dag.quality.combine import update_quality
from avrec_dag.quality.comments import ReadComments, written
from avrec_dag.quality.sentiment import KEPT_CHARS, SENTIMENTS, phrases, read, readable
from avrec_dag.steps import Recipe, graph
from avrec_dag.storage import Blobs
from avrec_dag.synthetic_behaviour import GRUMBLE, PRAISE
from bench.sentiment import HELD_OUT, accuracy, held_out

DAY = "2026-01-01"
STEPS = graph(Recipe("frame@1", "audio@1", "events@1", "text@1", "1/s"))
ENCODER = "use-multilingual"


def score(*texts):
    probs = read(texts, ENCODER)
    return probs[:, 2] + probs[:, 1] / 2


def test_held_out_comments_are_understood_in_both_languages():
    figures = accuracy(held_out(), ENCODER)
    assert figures["en"]["n"] + figures["zh"]["n"] >= 140
    assert figures["en"]["accuracy"] >= 0.8
    assert figures["zh"]["accuracy"] >= 0.7
    assert figures["neutral_score"] == pytest.approx(0.5, abs=0.05)


def test_no_held_out_comment_was_learnt_from():
    learnt = {readable(text).casefold() for _, text in phrases()}
    assert not learnt & {readable(one.text).casefold() for one in held_out()}
    assert {one.sentiment for one in held_out()} == {one for one, _ in phrases()} == set(SENTIMENTS)
    assert HELD_OUT.exists()


def test_praise_is_above_neutral_is_above_complaint():
    assert min(score("What a wonderful film", "太精彩了，非常喜欢", "Was für ein schöner Film")) > 0.8
    assert max(score("What a terrible film", "太差了，浪费时间", "Was für ein schrecklicher Film")) < 0.2
    assert score(*PRAISE).mean() > 0.7 > 0.3 > score(*GRUMBLE).mean()
    assert score("What is the name of this street?", "这条街叫什么名字？") == pytest.approx([0.5, 0.5], abs=0.1)


def test_an_emoji_is_read_by_its_name():
    assert readable("👍👍") == "thumbs up sign thumbs up sign"
    up, down = score("👍", "👎")
    assert up > 0.6 > 0.4 > down


@pytest.mark.parametrize("text", ["", "   ", "\x00\x01\x7f", "!!!", "12:34", "…", "‍‌", "\ud800"])
def test_what_says_nothing_is_neutral(text):
    assert score(text).tolist() == [0.5]


@pytest.mark.parametrize(
    "text",
    ["good " * 2_000_000, "a" * 10_000_000, "😂" * 100_000, "ﷺ" * 100_000, "ab" * 1_000_000, "z̷̧͝" * 100_000, "a\x00b\x1b[31m" * 10_000],
    ids=["words", "letters", "emoji", "ligatures", "pairs", "marks", "controls"],
)
def test_hostile_text_is_read_in_bounds(text):
    assert len(readable(text)) <= KEPT_CHARS
    assert 0 <= score(text)[0] <= 1


def test_saying_it_a_hundred_times_says_it_three_times():
    assert readable("so good " * 100) == "so good so good so good"
    assert readable("soooooooo") == "sooo"


@given(st.text(max_size=300))
@settings(deadline=None)
def test_any_text_is_made_readable_once_and_for_all(text):
    said = readable(text)
    assert len(said) <= KEPT_CHARS
    assert not any(ord(letter) < 32 for letter in said)
    assert said == said.strip()


def comment(number, user, text, media_id="a.mp4"):
    parents = {"feedback_events": {"user_id": user, "media_id": media_id, "text": text}}
    return Item(f"e{number}", "v", DAY, parents)


def test_a_comment_is_read_the_same_alone_and_among_others():
    items = [comment(i, "ada", text) for i, text in enumerate([*PRAISE, *GRUMBLE, "", "👎"])]
    together, alone = ReadComments()(items), [row for item in items for row in ReadComments()([item])]
    for one, other in zip(together, alone, strict=True):
        assert one.fields == other.fields
        assert one.values["probs"] == pytest.approx(other.values["probs"], abs=1e-4)
        assert one.values["sentiment"] == other.values["sentiment"]


def event(user, kind, media_id="a.mp4", text=None, minute=0):
    at = datetime(2026, 1, 1, 12, minute, tzinfo=UTC)
    return Event(user_id=user, media_id=media_id, kind=kind, text=text, happened_at=at)


class Library:
    def __init__(self, root: Path):
        self.ledger, self.log = Ledger(str(root / "store")), FeedbackLog(f"sqlite:///{root}/log.db")
        rows = [Row(name, "v", {"score": "1"}, {"score": 0.6}) for name in ("a.mp4", "b.mp4")]
        self.ledger.append("technical_quality", DAY, rows)

    def add(self, *events):
        """What was computed: events, sentiments, scores."""
        self.log.add(events)
        collected = update_feedback(self.ledger, self.log, STEPS["feedback_events"], DAY).computed
        return collected, self.read(), update_quality(self.ledger, Blobs(self.ledger.uri), STEPS["quality_scores"]).computed

    def read(self):
        return advance(self.ledger, Inline(), STEPS["comment_sentiment"], DAY, ReadComments()).computed

    def scores(self):
        return {row["media_id"]: row for row in self.ledger.rows("quality_scores").to_pylist()}


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path)
    yield library
    library.log.close()


def test_only_comments_are_read_and_each_of_them_once(library):
    assert library.add(event("ada", "like"), event("ada", "comment", text="Wonderful"), event("bob", "view")) == (3, 1, 2)
    assert library.read() == 0
    assert library.add(event("bob", "comment", text="Terrible")) == (1, 1, 1)
    assert library.ledger.counts("comment_sentiment", DAY).ok == 2


def test_what_people_write_moves_the_score_of_what_they_write_about(library):
    for user in range(6):
        library.log.add([event(f"u{user}", "comment", text=PRAISE[user % 6]), event(f"u{user}", "comment", "b.mp4", GRUMBLE[user % 4])])
    library.add()
    found = library.scores()
    assert found["a.mp4"]["sentiment"] > 0.6 > 0.4 > found["b.mp4"]["sentiment"]
    assert found["a.mp4"]["behaviour"] == found["b.mp4"]["behaviour"]
    assert found["a.mp4"]["score"] > found["b.mp4"]["score"]
    assert found["a.mp4"]["n_comments"] == 6
    assert "6 people wrote more kindly than usual" in found["a.mp4"]["reason"]


def test_one_person_who_writes_fifty_times_counts_as_one(library):
    library.log.add(event("fan", "comment", text="Wonderful", minute=minute) for minute in range(50))
    library.add(event("other", "comment", "b.mp4", "Wonderful"))
    about = written(library.ledger)
    assert (about["a.mp4"].n_comments, about["a.mp4"].n_people) == (50, 1)
    assert about["a.mp4"].average(0.5) == pytest.approx(about["b.mp4"].average(0.5))


def test_an_erased_person_leaves_no_comment(library):
    library.add(event("ada", "comment", text="Wonderful"), event("bob", "like"))
    library.log.erase_user("ada")
    library.add()
    assert library.ledger.counts("comment_sentiment").ok == 0
    assert library.scores()["a.mp4"]["sentiment"] is None


def test_an_erased_item_leaves_no_comment(library):
    library.add(event("ada", "comment", text="Wonderful"))
    item = library.ledger.item("a.mp4")
    assert library.ledger.traces(item)["table comment_sentiment"] == 1
    library.ledger.erase(item)
    assert library.ledger.counts("comment_sentiment").ok == 0


def test_the_head_is_a_function_of_encoder_and_list(tmp_path, monkeypatch):
    first = sentiment.head(ENCODER)
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path))
    sentiment.head.cache_clear()
    again = sentiment.head(ENCODER)
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]
    assert np.allclose(first.weights, again.weights, atol=1e-4)
    sentiment.head.cache_clear()
