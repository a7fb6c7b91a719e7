import json
import shutil

import numpy as np
import pytest

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.quality import looks
from avrec_dag.quality.aesthetic import LEAST_ITEMS, TABLE, current, update_aesthetic
from avrec_dag.quality.combine import update_quality
from avrec_dag.quality.looks import Seen
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs

DAY, DIM, PEOPLE = "2026-01-01", 48, 8
STEPS = graph(Recipe("frame@1", "audio@1", "events@1", "text@1", "1/s"))
CLASSES = ("cat", "dog", "sea", "sky")


class Library:
    """Items of four classes, some looking better than others, and people who care for looks, for topics, or for neither."""

    def __init__(self, root, *, looks=0.0, topics=0.0, n=240, seed=0):
        self.ledger, self.blobs = Ledger(str(root)), Blobs(str(root))
        self.rng = np.random.default_rng(seed)
        self.n, self.looks, self.topics = n, looks, topics
        self.centres, self.beauty = self.rng.standard_normal((len(CLASSES), DIM)), self.rng.standard_normal(DIM)
        self.beauty /= np.linalg.norm(self.beauty)
        self.names = [f"{number:03d}.mp4" for number in range(n)]
        self.good = self.rng.standard_normal(n)
        self.technical = self.rng.uniform(0.4, 0.9, n)
        parts = 0.7 * self.centres[np.arange(n) % 4] + 0.6 * self.rng.standard_normal((n, DIM))
        parts += (1.5 * self.good - parts @ self.beauty)[:, None] * self.beauty
        self.vectors = (parts / np.linalg.norm(parts, axis=1, keepdims=True)).astype(np.float32)
        self._store()

    def _store(self):
        tables = {"raw_media": [], "frame_embeddings": [], "technical_quality": [], "content_classes": []}
        for number, name in enumerate(self.names):
            label, vector = CLASSES[number % 4], self.vectors[number].tolist()
            tables["raw_media"].append(Row(name, "1", {"video": name}, {"source": name, "creator": f"creator {number // 4}"}))
            tables["frame_embeddings"].append(Row(name, "1", {"vector": name}, {"vector": vector, "model": "frame@1"}))
            tables["technical_quality"].append(Row(name, "1", {"score": name}, {"score": float(self.technical[number])}))
            tables["content_classes"].append(Row(name, "1", {"classes": name}, {"labels": [label]}))
        for table, rows in tables.items():
            self.ledger.append(table, DAY, rows)

    def watch(self, n_people=PEOPLE, day=DAY, only=None):
        """People watch every item: what they think is drawn around what looks and topic make of it."""
        rows = []
        for number, name in enumerate(self.names[:only]):
            mean = self.looks * self.good[number] + self.topics * (number % 4 - 1.5)
            for person in range(n_people):
                weight = float(np.clip(mean + 0.4 * self.rng.standard_normal(), -1, 1))
                values = {"user_id": f"u{person} of {day}", "media_id": name, "weight": weight}
                rows.append(Row(f"{name} {person} {day}", "1", {"event": f"{weight}"}, values))
        self.ledger.append("feedback_events", day, rows)
        return self

    def fit(self, **more):
        return update_aesthetic(self.ledger, self.blobs, STEPS[TABLE], **more)

    @property
    def row(self):
        return self.ledger.row(TABLE, TABLE)

    def scores(self):
        update_quality(self.ledger, self.blobs, STEPS["quality_scores"])
        return {row["media_id"]: row for row in self.ledger.rows("quality_scores").to_pylist()}


@pytest.fixture(scope="module")
def beautiful(tmp_path_factory):
    library = Library(tmp_path_factory.mktemp("beautiful"), looks=0.25, topics=0.1).watch()
    library.fit()
    return library


@pytest.fixture
def library(beautiful, tmp_path):
    """The same library, to be changed."""
    shutil.copytree(beautiful.ledger.uri, tmp_path / "store")
    copy = object.__new__(Library)
    copy.__dict__.update(beautiful.__dict__)
    copy.ledger, copy.blobs, copy.rng = Ledger(str(tmp_path / "store")), Blobs(str(tmp_path / "store")), np.random.default_rng(1)
    return copy


def test_where_people_care_for_looks_looks_are_recovered(beautiful):
    row = beautiful.row
    assert row["on"]
    assert row["spearman_low"] > 0.3
    assert row["spearman_low"] <= row["spearman"] <= row["spearman_high"]
    found = beautiful.scores()
    aesthetic = [found[name]["aesthetic"] for name in beautiful.names]
    assert np.corrcoef(aesthetic, beautiful.good)[0, 1] > 0.7
    assert 0 <= min(aesthetic) < 0.2 < 0.8 < max(aesthetic) <= 1
    one = found[beautiful.names[int(np.argmax(aesthetic))]]
    weights = {part["part"]: part["weight"] for part in one["weights"]}
    assert weights["aesthetic"] > 0.1
    assert sum(weights.values()) == pytest.approx(1)
    assert "looks better than most" in one["reason"]


def test_looks_are_told_from_topics(beautiful):
    found = beautiful.scores()
    for number in range(4):
        assert np.mean([found[name]["aesthetic"] for name in beautiful.names[number::4]]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(("topics", "seed"), [(0.0, 0), (0.0, 1), (0.3, 2), (0.3, 3)])
def test_where_people_do_not_care_for_looks_it_stays_off(tmp_path, topics, seed):
    library = Library(tmp_path, looks=0.0, topics=topics, seed=seed).watch()
    outcome = library.fit(seed=seed)
    assert not library.row["on"]
    assert library.row["spearman_low"] <= 0
    assert "no proof" in library.row["reason"]
    assert outcome.notes["on"] == "no"
    found = library.scores()
    assert {row["aesthetic"] for row in found.values()} == {None}
    assert all("aesthetic" not in [one["part"] for one in row["weights"]] for row in found.values())


def test_too_few_items_that_people_know_are_told(tmp_path):
    library = Library(tmp_path, looks=0.3, n=60).watch(only=LEAST_ITEMS - 1)
    library.fit()
    assert (library.row["on"], library.row["blob"]) == (False, None)
    assert f"found {LEAST_ITEMS - 1} items" in library.row["reason"]
    assert library.fit().computed == 0
    library.watch(4, day="2026-01-02")
    assert library.fit().computed == 0  # four people are too few


def test_nothing_is_fitted_again_without_a_reason(library):
    assert library.fit().computed == 0
    name = library.names[0]
    library.ledger.append("frame_embeddings", DAY, [Row(name, "2", {"vector": "new"}, {"vector": [1.0] + [0.0] * 47, "model": "frame@1"})])
    library.watch(1, day="2026-01-02", only=3)
    assert library.fit().computed == 0
    assert library.fit(seed=1).notes["fitted"] == "code or seed changed"


def test_many_changed_vectors_or_likings_are_a_reason(library):
    again = [
        Row(name, "2", {"vector": f"{name} 2"}, {"vector": library.vectors[place].tolist(), "model": "frame@1"})
        for place, name in enumerate(library.names[:13])
    ]
    library.ledger.append("frame_embeddings", DAY, again)
    assert "vectors or classes" in library.fit().notes["fitted"]
    assert library.fit().computed == 0
    library.looks = -0.25
    library.watch(40, day="2026-01-02", only=60)
    assert "liked otherwise" in library.fit().notes["fitted"]


def test_a_new_item_is_judged_without_fitting_and_alone(library):
    before = library.scores()
    values = {"vector": library.vectors[0].tolist(), "model": "frame@1"}
    library.ledger.append("frame_embeddings", DAY, [Row("new.mp4", "1", {"vector": "new"}, values)])
    library.ledger.append("technical_quality", DAY, [Row("new.mp4", "1", {"score": "new"}, {"score": float(library.technical[0])})])
    library.ledger.append("content_classes", DAY, [Row("new.mp4", "1", {"classes": "new"}, {"labels": ["cat"]})])
    assert library.fit().computed == 0
    assert update_quality(library.ledger, library.blobs, STEPS["quality_scores"]).computed == 1
    assert library.scores()["new.mp4"]["aesthetic"] == pytest.approx(before[library.names[0]]["aesthetic"])


@pytest.mark.parametrize(
    "values",
    [
        {"vector": [float("nan")] * DIM, "model": "frame@1"},
        {"vector": [1.0] * 7, "model": "frame@1"},
        {"vector": [1.0] + [0.0] * 47, "model": "frame@2"},
    ],
    ids=["NaN", "another length", "another encoder"],
)
def test_a_vector_the_model_cannot_read_gets_no_aesthetic_score(library, values):
    name = library.names[0]
    library.ledger.append("frame_embeddings", DAY, [Row(name, "2", {"vector": "odd"}, values)])
    row = library.scores()[name]
    assert row["aesthetic"] is None
    assert 0 <= row["score"] <= 1
    assert library.fit(seed=5).computed == 1
    assert library.row["on"]


def test_the_model_names_no_item_and_loads_without_code(library):
    prefix = library.row["blob"]
    stored = {name: library.blobs.get(f"{prefix}/{name}") for name in ("looks.safetensors", "looks.json", "examples.json")}
    assert not any(library.names[0].encode() in data for data in stored.values())
    version, model = current(library.ledger, library.blobs)
    assert version == library.row["version"]
    assert model.coefficients.shape == (DIM,)


def test_a_damaged_or_missing_model_is_told_in_a_sentence(library):
    prefix = library.row["blob"]
    with pytest.raises(MissingError, match="materialize aesthetic_model"):
        looks.load(library.blobs, "blobs/aesthetic_model/none/none")
    head = json.loads(library.blobs.get(f"{prefix}/looks.json"))
    library.blobs.put(TABLE, TABLE, "broken", "looks.json", json.dumps({**head, "dim": 3}).encode())
    library.blobs.put(TABLE, TABLE, "broken", "looks.safetensors", library.blobs.get(f"{prefix}/looks.safetensors"))
    with pytest.raises(SettingError, match="damaged or of another format"):
        looks.load(library.blobs, library.blobs.prefix(TABLE, TABLE, "broken"))


def test_one_creator_of_everything_proves_nothing(library):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 8)).astype(np.float32)
    seen = Seen(vectors, rng.random(60), ("cat",) * 60, np.zeros(60, np.int64), rng.random(60), np.full(60, 0.5))
    with pytest.raises(ValueError, match="expected 5"):
        looks.evaluate(seen, 0)


def test_the_same_seed_gives_the_same_model(library, beautiful):
    library.ledger.tombstone(TABLE, WHOLE, [TABLE])
    library.fit()
    assert library.row["version"] == beautiful.row["version"]
    assert library.row["spearman"] == pytest.approx(beautiful.row["spearman"])
