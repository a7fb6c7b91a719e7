import dataclasses
import json
import shutil

import numpy as np
import pytest

from avrec_dag.engine import engine
from avrec_dag.incremental import advance
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs
from avrec_dag.understanding.candidates import update_candidate
from avrec_dag.understanding.classes import AssignClasses
from avrec_dag.understanding.decisions import update_champion, update_decision
from avrec_dag.understanding.evaluating import update_evaluation
from avrec_dag.understanding.fusion import Fuse
from avrec_dag.understanding.labels import KeepLabels
from avrec_dag.understanding.settings import Settings
from avrec_dag.understanding.stage import CANDIDATE, DECISION, MODEL, classes_task
from avrec_dag.understanding.topics import TOPICS

DAY = "2026-01-01"
STEPS = graph(Recipe("frame@1", "audio@1", "events@1", "text@1", "1/s"))
QUICK = Settings(width=16, members=1, least_steps=60)
CENTRES = np.random.default_rng(7).standard_normal((4, 1280))


class Library:
    """A store whose raw_media and frame_embeddings are written by hand, and everything after them by the real steps."""

    def __init__(self, folder):
        self.uri = str(folder)
        self.ledger, self.blobs = Ledger(self.uri), Blobs(self.uri)

    def upload(self, name, *, look, label=None, source=None, seed=0):
        """An item that looks like class `look`; `label` is what its sidecar says."""
        vector = CENTRES[look] + 0.8 * np.random.default_rng([seed, *name.encode()]).standard_normal(1280)
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        values = {"labels": [label] if label else None, "source": source or name}
        fields = {"video": f"{name}{seed}", **({"labels": f"{label}{source}"} if label else {})}
        self.ledger.append("raw_media", DAY, [Row(name, f"{label}{source}{seed}", fields, values)])
        row = Row(name, f"v{seed}", {"vector": f"{name}{seed}"}, {"vector": vector, "joint": vector[:512] / np.linalg.norm(vector[:512])})
        self.ledger.append("frame_embeddings", DAY, [row])

    def fill(self, per_class=6, classes=("cat", "dog", "sea")):
        for look, label in enumerate(classes):
            for i in range(per_class):
                self.upload(f"{label}{i}.mp4", look=look, label=label, source=f"{label}{i // 2}")

    def remove(self, name):
        for table in ("raw_media", "frame_embeddings"):
            self.ledger.tombstone(table, DAY, [name])

    def advance(self):
        run = engine("inline")
        advance(self.ledger, run, STEPS["fused_features"], DAY, Fuse())
        advance(self.ledger, run, STEPS["labels"], WHOLE, KeepLabels())

    def train(self, step=STEPS[CANDIDATE], seed=0, settings=QUICK, *, anew=False):
        """Train a challenger, decide, and let serve what the decision says; returns what training it did."""
        self.advance()
        trained = update_candidate(self.ledger, self.blobs, step, seed=seed, settings=settings, anew=anew)
        update_decision(self.ledger, self.blobs, STEPS[DECISION], seed=seed)
        update_champion(self.ledger)
        return trained

    def classify(self):
        return advance(self.ledger, engine("inline"), STEPS["content_classes"], DAY, classes_task(self.ledger, self.uri))

    @property
    def model(self):
        return self.ledger.row(MODEL, MODEL)


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    library = Library(tmp_path_factory.mktemp("trained"))
    library.fill()
    library.train()
    return library


@pytest.fixture
def trained(trained_once, tmp_path):
    """A copy of its own of a library with a classifier of three classes."""
    return Library(shutil.copytree(trained_once.uri, tmp_path / "store"))


def test_labelled_items_train_a_classifier_that_sorts_new_uploads(trained):
    trained.upload("new.mp4", look=1)
    trained.advance()
    assert trained.classify().computed == 19
    row = trained.ledger.row("content_classes", "new.mp4")
    assert row["labels"] == ["dog"]
    assert row["method"] == "classifier"
    assert set(row["class_names"]) == {"cat", "dog", "sea"}
    assert sum(row["class_probs"]) == pytest.approx(1, abs=1e-4)


def test_an_item_like_none_of_the_known_classes_is_not_forced_into_one(trained):
    between = CENTRES[:3].sum(axis=0)  # as near to one class as to another
    trained.upload("odd.mp4", look=3)
    vector = (between / np.linalg.norm(between)).astype(np.float32)
    values = {"vector": vector, "joint": vector[:512] / np.linalg.norm(vector[:512])}
    trained.ledger.append("frame_embeddings", DAY, [Row("odd.mp4", "v1", {"vector": "odd"}, values)])
    trained.advance()
    trained.classify()
    row = trained.ledger.row("content_classes", "odd.mp4")
    assert row["method"] == "none_of_these"
    assert row["labels"] == []
    assert set(row["class_names"]) <= {name for name, _ in TOPICS}
    known = [one["method"] for one in trained.ledger.rows("content_classes").to_pylist() if one["media_id"] != "odd.mp4"]
    assert known == ["classifier"] * 18


def test_nothing_changed_trains_nothing_and_reclassifies_nothing(trained):
    trained.classify()
    before = trained.model
    assert trained.train().computed == 0
    assert trained.model == before
    assert trained.classify().computed == 0


def test_one_edited_item_does_not_reclassify_the_library(library):
    library.fill(per_class=8)
    library.train()
    library.classify()
    version = library.model["version"]
    library.upload("cat0.mp4", look=0, label="cat", source="cat0", seed=1)
    assert library.train().computed == 0
    assert library.model["version"] == version
    assert library.classify().computed == 1


def test_more_than_five_per_cent_of_changed_vectors_retrain(trained):
    version = trained.model["version"]
    trained.upload("cat0.mp4", look=0, label="cat", source="cat0", seed=1)
    outcome = trained.train()
    assert outcome.computed == 1
    assert "training vectors changed" in outcome.notes["trained"]
    assert trained.model["version"] != version


@pytest.mark.parametrize("change", ["label", "source", "removal", "code", "seed", "settings"])
def test_a_label_a_source_the_code_the_seed_or_the_settings_retrain(trained, change):
    version = trained.model["version"]
    if change == "label":
        trained.upload("dog0.mp4", look=1, label="puppy", source="dog0")
    elif change == "source":
        trained.upload("dog0.mp4", look=1, label="dog", source="elsewhere")
    elif change == "removal":
        trained.remove("dog0.mp4")
    step = dataclasses.replace(STEPS[CANDIDATE], code="another") if change == "code" else STEPS[CANDIDATE]
    settings = QUICK.model_copy(update={"dropout": 0.1}) if change == "settings" else QUICK
    assert trained.train(step, 1 if change == "seed" else 0, settings).computed == 1
    assert trained.model["version"] != version


def test_the_model_row_names_its_blob_and_what_it_learned_from(trained):
    row = trained.model
    assert dict(row["fields"]) == {"model": row["version"]}
    assert row["n_examples"] == 18
    assert json.loads(row["details"])["classes"] == ["cat", "dog", "sea"]
    assert trained.blobs.exists(f"{row['blob']}/model.safetensors")
    assert trained.blobs.exists(f"{row['blob']}/model.json")


@pytest.mark.parametrize(
    ("uploads", "classes"),
    [
        ({}, []),
        ({"a.mp4": ("cat", "a"), "b.mp4": ("cat", "b")}, ["cat"]),
        ({"a.mp4": ("cat", "a"), "b.mp4": ("cat", "b"), "c.mp4": ("dog", "c")}, ["cat", "dog"]),
        ({"a.mp4": ("cat", "s"), "b.mp4": ("cat", "s"), "c.mp4": ("dog", "s"), "d.mp4": ("dog", "s")}, ["cat", "dog"]),
    ],
    ids=["no labels", "one class", "a class with one example", "one recording"],
)
def test_too_few_labels_leave_a_row_that_says_why_and_no_blob(library, uploads, classes):
    for name, (label, source) in uploads.items():
        library.upload(name, look=len(label) % 4, label=label, source=source)
    assert library.train().computed == 1
    details = json.loads(library.model["details"])
    assert library.model["blob"] is None
    assert "2 classes" in details["why"]
    assert details["classes"] == classes
    assert library.train().computed == 0
    assert update_evaluation(library.ledger, library.blobs, STEPS["classifier_evaluation"]).computed == 0


def test_without_a_classifier_the_classes_people_used_are_what_zero_shot_chooses_from(library):
    assert isinstance(classes_task(library.ledger, library.uri), AssignClasses)
    assert len(classes_task(library.ledger, library.uri).prompts) > 30
    library.upload("a.mp4", look=0, label="cat")
    library.upload("b.mp4", look=1, label="dog")
    library.train()
    task = classes_task(library.ledger, library.uri)
    assert task.classifier_blob is None
    assert [name for name, _ in task.prompts] == ["cat", "dog"]


def test_enough_labels_later_train_a_classifier(library):
    library.upload("cat0.mp4", look=0, label="cat")
    library.train()
    zero_shot = library.model["version"]
    library.fill()
    library.train()
    assert library.model["blob"]
    assert library.model["version"] != zero_shot


def test_a_class_that_one_recording_shows_is_left_out_and_named(trained):
    trained.upload("rare.mp4", look=3, label="rare")
    trained.train()
    details = json.loads(trained.model["details"])
    assert details["classes"] == ["cat", "dog", "sea"]
    assert set(details["left_out"]) == {"rare"}


def test_a_nan_vector_keeps_its_item_out_of_training_and_the_day_goes_on(library):
    library.fill()
    library.ledger.append("frame_embeddings", DAY, [Row("cat0.mp4", "bad", {"vector": "bad"}, {"vector": [float("nan")] * 1280})])
    library.train()
    assert library.model["n_examples"] == 17
    assert library.ledger.counts("fused_features", DAY).failed == 1


def test_each_model_is_evaluated_once_and_history_is_kept(trained):
    def evaluated():
        return update_evaluation(trained.ledger, trained.blobs, STEPS["classifier_evaluation"])

    first = evaluated()
    assert first.computed == 1
    assert first.notes["accuracy"] > 3 * first.notes["majority_accuracy"] * 0.9
    assert trained.blobs.get(first.blobs["confusion matrix"]).startswith(b"\x89PNG")
    again = evaluated()
    assert again.computed == 0
    assert again.notes == first.notes
    trained.upload("cat9.mp4", look=0, label="cat")
    trained.train()
    assert evaluated().computed == 1
    rows = trained.ledger.rows("classifier_evaluation").to_pylist()
    assert len(rows) == 2
    assert trained.model["version"] in {row["model_version"] for row in rows}
    details = json.loads(rows[0]["details"])
    assert sum(map(sum, details["confusion"])) in (18, 19)


def test_labels_are_cleaned_and_one_name_in_two_spellings_is_one_class():
    parents = {"raw_media": {"labels": ["  Big   Cat ", "big cat", "", "ＤＯＧ"], "source": None, "creator": "x"}}
    (row,) = KeepLabels()([Item("a.mp4", "v", WHOLE, parents)])
    assert row.values == {"labels": ["big cat", "dog"], "source": "a.mp4", "origin": "sidecar"}


def test_a_correction_beats_the_sidecar_and_keeps_the_recording():
    said = {"labels": ["Dog"], "labelled_by": "ada", "labelled_at": None}
    parents = {"raw_media": {"labels": ["cat"], "source": "film"}, "label_corrections": said}
    (row,) = KeepLabels()([Item("a.mp4", "v", WHOLE, parents)])
    assert row.values == {**said, "labels": ["dog"], "source": "film", "origin": "person"}
    (none,) = KeepLabels()([Item("a.mp4", "v", WHOLE, {**parents, "label_corrections": {**said, "labels": []}})])
    assert (none.values["labels"], none.error) == ([], None)
