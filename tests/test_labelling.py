import json
import multiprocessing
import pickle
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from avrec_dag.engine import engine
from avrec_dag.errors import MissingError, SettingError
from avrec_dag.feedback import FeedbackLog
from avrec_dag.incremental import advance
from avrec_dag.items import Row
from avrec_dag.labelling import NOBODY, Added, Correction, LabelEvent, LabelLog, newest
from avrec_dag.labelling.queue import questions
from avrec_dag.labelling.reading import read_corrections
from avrec_dag.labelling.stage import update_corrections
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs
from avrec_dag.understanding.labels import KeepLabels

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = "2026-01-01"
STEPS = graph(Recipe("f", "a", "e", "t", "s"))


def said(media_id: str = "a.mp4", *labels: str, by: str = "ada", at: datetime | None = None) -> Correction:
    return Correction(media_id=media_id, labels=labels, by=by, at=at)


@pytest.fixture
def log(tmp_path: Path):
    opened = LabelLog(f"sqlite:///{tmp_path}/feedback.db")
    yield opened
    opened.close()


def test_the_newest_word_holds_and_the_history_keeps_all_with_who_and_when(log):
    log.add([said("a.mp4", "Dog", by="ada")], {"a.mp4": ["cat"]})
    log.add([said("a.mp4", "wolf", "forest", by="bob")])
    log.add([said("a.mp4", by="ada")])
    history = log.history("a.mp4")
    assert [(one.labels, one.previous, one.by) for one in history] == [
        (("dog",), ("cat",), "ada"), (("wolf", "forest"), ("dog",), "bob"), ((), ("wolf", "forest"), "ada"),
    ]  # fmt: skip
    assert history[0].at < history[1].at < history[2].at <= datetime.now(UTC)
    assert log.newest() == {"a.mp4": history[2]}


def test_a_word_said_now_beats_one_from_a_clock_that_runs_ahead(log):
    ahead = datetime.now(UTC) + timedelta(hours=5)
    log.add([said("a.mp4", "cat", at=ahead)])
    log.add([said("a.mp4", "dog", by="bob")])
    assert log.newest()["a.mp4"].labels == ("dog",)


def test_an_old_word_that_arrives_late_changes_nothing_but_the_history(log):
    log.add([said("a.mp4", "cat", at=AT)])
    log.add([said("a.mp4", "dog", at=AT - timedelta(days=3))])
    assert log.newest()["a.mp4"].labels == ("cat",)
    assert [one.labels for one in log.history("a.mp4")] == [("dog",), ("cat",)]


def test_saying_the_same_again_adds_nothing_but_another_person_confirms(log):
    assert log.add([said("a.mp4", "cat"), said("b.mp4", "dog")]) == Added(2, 0)
    assert log.add([said("a.mp4", "CAT "), said("b.mp4", "dog")]) == Added(0, 2)
    assert log.add([said("a.mp4", "cat", by="bob")]) == Added(1, 0)
    assert log.add([said("c.mp4", "cat", at=AT)]) == Added(1, 0)
    assert log.add([said("c.mp4", "cat", at=AT)]) == Added(0, 1)


EVENTS = st.lists(
    st.builds(
        LabelEvent,
        st.sampled_from(["a.mp4", "b.mp4"]),
        st.sampled_from([(), ("cat",), ("dog", "cat")]),
        st.sampled_from(["ada", "bob"]),
        st.integers(0, 3).map(lambda minute: AT + timedelta(minutes=minute)),
    ),
    max_size=12,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_what_holds_depends_neither_on_order_nor_on_repetition(events: list[LabelEvent], luck: random.Random):
    held = newest(events)
    shuffled = luck.sample(events, len(events))
    assert {key: one.labels for key, one in newest(shuffled).items()} == {key: one.labels for key, one in held.items()}
    assert newest([*events, *events]) == held
    assert newest([*newest(events[:5]).values(), *events]) == held
    assert all(one.at == max(event.at for event in events if event.media_id == key) for key, one in held.items())


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"labels": ("cat", "  ")}, "blank"),
        ({"labels": ("x" * 10_000,)}, "10000 characters"),
        ({"labels": tuple(f"label {n}" for n in range(21))}, "21 labels"),
        ({"labels": ("a\x00b",)}, "printed"),
        ({"by": " "}, "by"),
        ({"by": "a\nb"}, "by"),
        ({"media_id": ""}, "media_id"),
        ({"at": datetime.now(UTC) + timedelta(days=2)}, "clock"),
        ({"at": datetime(2026, 1, 5)}, "timezone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(broken, why):
    with pytest.raises(ValidationError, match=why):
        Correction(**{"media_id": "a.mp4", "labels": ("cat",), "by": "ada", **broken})


def test_twenty_labels_of_eighty_characters_are_kept_whole(log):
    labels = tuple(f"{n:02d} " + "猫" * 77 for n in range(20))
    log.add([said("a.mp4", *labels)])
    assert log.newest()["a.mp4"].labels == labels


def test_a_name_goes_and_what_was_said_stays(log, tmp_path):
    log.add([said("a.mp4", "cat", by="SECRET-NAME"), said("b.mp4", "dog", by="bob")])
    before = log.digest()
    assert log.anonymise("SECRET-NAME") == 1
    assert {key: (one.labels, one.by) for key, one in log.newest().items()} == {"a.mp4": (("cat",), NOBODY), "b.mp4": (("dog",), "bob")}
    assert log.digest() != before
    assert not any(b"SECRET-NAME" in path.read_bytes() for path in tmp_path.iterdir())


def test_an_item_that_is_erased_leaves_no_word_and_feedback_is_left_alone(log):
    log.add([said("a.mp4", "cat"), said("a.mp4", "dog"), said("b.mp4", "dog")])
    assert log.remove_item("a.mp4") == 2
    assert set(log.newest()) == {"b.mp4"}
    assert FeedbackLog(log.url).days() == []


def _speak(log: LabelLog, who: int) -> None:
    for number in range(10):
        log.add([said("shared.mp4", f"{who} {number}", by=f"p{who}"), said(f"{who}-{number}.mp4", "cat", by=f"p{who}")])
    log.close()


def test_several_processes_write_at_once_and_nothing_is_lost(log):
    log.newest()
    context = multiprocessing.get_context("spawn")
    people = [context.Process(target=_speak, args=(pickle.loads(pickle.dumps(log)), who)) for who in range(3)]
    for one in people:
        one.start()
    for one in people:
        one.join(60)
    assert [one.exitcode for one in people] == [0, 0, 0]
    history = log.history("shared.mp4")
    assert len(history) == 30
    assert [one.previous for one in history] == [None, *(one.labels for one in history[:-1])]
    assert len(log.newest()) == 31


def written(tmp_path: Path, text: str, name: str = "labels.jsonl") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_json_lines_and_csv_say_the_same(tmp_path):
    lines = [
        {"media_id": "a, b.mp4", "labels": ["Cat", "猫"]},
        {"media_id": "c.mp4", "labels": [], "by": "bob"},
        {"media_id": "d.mp4", "label": "dog"},
    ]
    jsonl = written(tmp_path, "\n".join(json.dumps(line, ensure_ascii=False) for line in [*lines, lines[0]]))
    table = written(tmp_path, '\ufeffmedia_id,labels,by\n"a, b.mp4",Cat;猫,\nc.mp4,,bob\nd.mp4,dog,\n', "labels.csv")
    expected = [said("a, b.mp4", "cat", "猫"), said("c.mp4", by="bob"), said("d.mp4", "dog")]
    assert read_corrections(jsonl, "ada") == expected
    assert read_corrections(table, "ada") == expected


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("l.jsonl", '{"media_id": "a", "labels": ["x"]}\n\n{"media_id": "a", "label": "y"}', "line 1 says that 'a' is x, line 3"),
        ("l.jsonl", '{"media_id": "a", "labels": []}\n{"media_id": "a", "labels": ["dog"]}', "is none of the classes, line 2"),
        ("l.jsonl", '{"media_id": "a", "labels": ["cat", " "]}', r"l.jsonl:1: labels: a label is blank"),
        ("l.jsonl", '{"media_id": "a"}', "l.jsonl:1: has no labels"),
        ("l.jsonl", '{"labels": ["cat"]}', "l.jsonl:1: media_id"),
        ("l.jsonl", '{"media_id": "a", "labels": [["cat"]]}', "l.jsonl:1: labels"),
        ("l.jsonl", '{"media_id": "a", "labels": "cat", "label": "dog"}', "both"),
        ("l.jsonl", '{"media_id": "a", "labels": "cat", "color": "red"}', "color"),
        ("l.jsonl", "[" * 100_000, "l.jsonl:1: is no JSON"),
        ("l.jsonl", '["a"]', "must be an object"),
        ("l.csv", "name,what\na,cat\n", "must name the columns"),
        ("l.csv", "media_id,labels\na,cat,dog\n", "as many columns"),
        ("l.csv", "", "must name the columns"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_is_one_sentence(tmp_path, name, text, why):
    with pytest.raises(SettingError, match=why) as found:
        read_corrections(written(tmp_path, text, name), "ada")
    assert "nothing was added" in str(found.value)
    assert len(str(found.value).splitlines()) == 1


def test_a_file_that_is_no_text_or_not_there_is_one_sentence(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    for name in ("x.jsonl", "nowhere.csv"):
        with pytest.raises(SettingError, match="cannot be read"):
            read_corrections(tmp_path / name, "ada")


class Library:
    """A store with uploads, and the two tables of labels by their real steps."""

    def __init__(self, folder: Path) -> None:
        self.ledger, self.log = Ledger(str(folder / "store")), LabelLog(f"sqlite:///{folder}/feedback.db")

    def upload(self, name: str, *labels: str, source: str | None = None) -> None:
        fields = {"video": name, **({"labels": f"{labels}{source}"} if labels else {})}
        values = {"labels": list(labels) or None, "source": source}
        self.ledger.append("raw_media", DAY, [Row(name, f"{labels}{source}", fields, values)])

    def update(self) -> tuple[int, int]:
        outcome = update_corrections(self.ledger, self.log, STEPS["label_corrections"])
        advance(self.ledger, engine("inline"), STEPS["labels"], WHOLE, KeepLabels())
        return outcome.computed, outcome.removed

    @property
    def labels(self) -> dict[str, tuple]:
        columns = ["labels", "origin", "labelled_by", "source"]
        return {row["media_id"]: tuple(row[name] for name in columns) for row in self.ledger.rows("labels", None, columns).to_pylist()}


@pytest.fixture
def library(tmp_path):
    made = Library(tmp_path)
    made.upload("a.mp4", "cat", source="film")
    made.upload("b.mp4", "dog")
    made.upload("c.mp4")
    yield made
    made.log.close()


def test_corrections_reach_the_table_of_labels_and_beat_sidecars(library):
    assert library.update() == (0, 0)
    library.log.add([said("a.mp4", "tiger"), said("c.mp4", "sea"), said("b.mp4"), said("unknown.mp4", "x")])
    assert library.update() == (3, 0)
    assert library.labels == {
        "a.mp4": (["tiger"], "person", "ada", "film"),
        "b.mp4": ([], "person", "ada", "b.mp4"),
        "c.mp4": (["sea"], "person", "ada", "c.mp4"),
    }  # fmt: skip
    assert library.update() == (0, 0)


def test_a_confirmation_changes_who_and_when_but_nothing_a_classifier_learns_from(library):
    library.update()
    before = dict(library.ledger.row("labels", "a.mp4")["fields"])
    library.log.add([said("a.mp4", "cat")])
    library.update()
    assert library.labels["a.mp4"] == (["cat"], "person", "ada", "film")
    assert dict(library.ledger.row("labels", "a.mp4")["fields"]) == before


def test_an_upload_that_left_takes_its_label_along_and_brings_it_back(library):
    library.log.add([said("c.mp4", "sea")])
    library.update()
    library.ledger.tombstone("raw_media", DAY, ["c.mp4"])
    assert library.update() == (0, 1)
    assert "c.mp4" not in library.labels
    library.upload("c.mp4", source="another film")
    library.update()
    assert library.labels["c.mp4"] == (["sea"], "person", "ada", "another film")


def test_a_name_that_was_erased_leaves_the_tables_with_the_next_run(library):
    library.log.add([said("c.mp4", "sea", by="SECRET-NAME")])
    library.update()
    library.log.anonymise("SECRET-NAME")
    library.update()
    assert library.labels["c.mp4"] == (["sea"], "person", NOBODY, "c.mp4")
    assert not any(b"SECRET-NAME" in path.read_bytes() for path in Path(library.ledger.uri, "tables").rglob("*.parquet"))


def classified(library: Library, probs: dict[str, list[float]], vectors: dict[str, np.ndarray]) -> None:
    names = ["cat", "dog", "sea"]
    for media_id, chances in probs.items():
        best = sorted(zip(chances, names, strict=True), reverse=True)
        values = {"class_names": [name for _, name in best], "class_probs": [prob for prob, _ in best], "method": "classifier"}
        library.ledger.append("raw_media", DAY, [Row(media_id, "1", {"video": "v"}, {"title": f"title of {media_id}"})])
        library.ledger.append("content_classes", DAY, [Row(media_id, "1", {"classes": "c"}, values)])
        library.ledger.append("fused_features", DAY, [Row(media_id, "1", {"vector": "v"}, {"vector": vectors[media_id]})])


def test_the_least_certain_items_come_first_but_not_the_same_thing_twice(library):
    one, other = np.eye(4, dtype=np.float32)[:2]
    near = np.array([0.999, 0.0447, 0, 0], np.float32)
    probs = {"sure.mp4": [0.9, 0.05, 0.05], "torn.mp4": [0.4, 0.39, 0.21], "torn too.mp4": [0.4, 0.38, 0.22], "unsure.mp4": [0.5, 0.3, 0.2]}
    classified(library, probs, {"sure.mp4": other, "torn.mp4": one, "torn too.mp4": near, "unsure.mp4": np.eye(4, dtype=np.float32)[3]})
    found = questions(library.ledger, Blobs(library.ledger.uri), (), 3)
    assert [question.media_id for question in found] == ["torn.mp4", "unsure.mp4", "sure.mp4"]
    assert found[0].margin == pytest.approx(0.01, abs=1e-6)
    assert found[0].classes[0] == ("cat", pytest.approx(0.4))
    assert found[0].title == "title of torn.mp4"
    assert [one.media_id for one in questions(library.ledger, Blobs(library.ledger.uri), (), 9)][-1] == "torn too.mp4"
    assert "unsure.mp4" not in [one.media_id for one in questions(library.ledger, Blobs(library.ledger.uri), {"unsure.mp4"}, 9)]


def test_items_with_labels_are_not_asked_about(library):
    library.update()
    vectors = {name: np.eye(4, dtype=np.float32)[place] for place, name in enumerate(("a.mp4", "z.mp4"))}
    library.ledger.append(
        "content_classes", DAY, [Row("a.mp4", "1", {}, {"class_names": ["x"], "class_probs": [0.1], "method": "zero_shot"})]
    )
    classified(library, {"z.mp4": [0.5, 0.3, 0.2]}, vectors)
    assert [one.media_id for one in questions(library.ledger, Blobs(library.ledger.uri), (), 9)] == ["z.mp4"]


def test_a_library_without_classes_has_nothing_to_ask_and_says_what_to_do(library):
    with pytest.raises(MissingError, match="avrec materialize"):
        questions(library.ledger, Blobs(library.ledger.uri), (), 3)


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "oracle://x"])
def test_a_log_that_does_not_open_is_a_sentence(url):
    with pytest.raises(SettingError, match="AVREC_FEEDBACK"):
        LabelLog(url).newest()


def test_a_feedback_database_from_before_labels_gains_the_table(tmp_path):
    import sqlalchemy as sa

    from avrec_dag.feedback.tables import LOG, METADATA

    url = f"sqlite:///{tmp_path}/old.db"
    old = sa.create_engine(url)
    METADATA.create_all(old, tables=[LOG])
    old.dispose()
    log = LabelLog(url)
    assert log.add([said("a.mp4", "cat")]) == Added(1, 0)
    log.close()
