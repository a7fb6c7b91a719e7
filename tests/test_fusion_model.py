import json
from dataclasses import replace

import numpy as np
import pytest

from avrec_dag.engine import engine
from avrec_dag.errors import MissingError, SettingError
from avrec_dag.incremental import advance
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs
from avrec_dag.understanding import fusion_stage
from avrec_dag.understanding.fusion_comparison import Comparison, similar
from avrec_dag.understanding.fusion_model import load, mixed
from avrec_dag.understanding.fusion_stage import MODEL, fuse_task, update_fusion
from avrec_dag.understanding.labels import KeepLabels
from avrec_dag.understanding.settings import FusionSettings

DAY = "2026-01-01"
STEPS = graph(Recipe("frame@1", "audio@1", "events@1", "text@1", "1/s"))
QUICK = FusionSettings(width=16, least_steps=30, epochs=2)
RNG = np.random.default_rng(3)
LOOKS, WORDS = RNG.standard_normal((6, 1280)), RNG.standard_normal((6, 512))


def unit(values):
    return (values / np.linalg.norm(values)).astype(np.float32)


class Library:
    """Labelled items of six classes whose picture and words each tell half of them apart."""

    def __init__(self, folder):
        self.uri = str(folder)
        self.ledger, self.blobs = Ledger(self.uri), Blobs(self.uri)

    def fill(self, n, first=0, noise=4.0):
        rows = {name: [] for name in ("raw_media", "frame_embeddings", "text_embeddings")}
        for i in range(first, first + n):
            rng, label, key = np.random.default_rng(i), i % 6, f"{i:04}.mp4"
            look = unit(LOOKS[label // 2] * 1.0 + noise * 0.3 * rng.standard_normal(1280))
            words = unit(WORDS[label % 2] * 1.0 + noise * 0.3 * rng.standard_normal(512))
            rows["raw_media"].append(Row(key, "1", {"video": key, "labels": key}, {"labels": [f"class {label}"], "source": key}))
            rows["frame_embeddings"].append(Row(key, "1", {"vector": key}, {"vector": look, "model": "frame@1"}))
            rows["text_embeddings"].append(Row(key, "1", {"vector": key}, {"vector": words, "joint": words, "model": "text@1"}))
        for table, some in rows.items():
            self.ledger.append(table, DAY, some)
        advance(self.ledger, engine("inline"), STEPS["labels"], WHOLE, KeepLabels())

    def train(self, step=STEPS[MODEL]):
        return update_fusion(self.ledger, self.blobs, step, settings=QUICK)

    def fuse(self):
        return advance(self.ledger, engine("inline"), STEPS["fused_features"], DAY, fuse_task(self.ledger, self.uri))

    @property
    def details(self):
        return json.loads(self.ledger.row(MODEL, MODEL)["details"])


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path)


WINS = Comparison({"fused": 0.9, "concatenation": 0.8, "video": 0.5}, {"known": {"fused": 0.8, "untrained recipe": 0.6}}, 120)


def test_too_few_labels_change_nothing_that_was_fused(library):
    library.fill(12)
    before = library.fuse()
    assert library.train().notes["used"].startswith("no: found 12 labelled items")
    assert library.fuse().computed == 0
    assert before.computed == 12
    assert library.train().computed == 0


def test_a_fusion_is_compared_with_every_baseline_on_held_out_items(library):
    library.fill(120)
    outcome = library.train()
    found = library.details
    assert set(found["accuracy"]) == {"fused", "concatenation", "score averaging", "video", "audio", "text"}
    assert found["accuracy"]["fused"] > 1.3 * max(found["accuracy"][name] for name in ("video", "text"))
    assert set(found["similarity"]) == {"known", "new"}
    assert library.blobs.get(outcome.blobs["comparison"]).startswith(b"\x89PNG")
    assert found["adopted"] == (library.ledger.row(MODEL, MODEL)["blob"] is not None)
    assert bool(found["why"]) != found["adopted"]
    assert library.train().computed == 0


def test_a_fusion_that_wins_fuses_everything_anew_and_leaves_the_classifier_alone(library, monkeypatch):
    library.fill(120)
    library.fuse()
    before = library.ledger.row("fused_features", "0000.mp4")
    monkeypatch.setattr(fusion_stage, "compare", lambda *_: WINS)
    library.train()
    assert library.details["adopted"]
    assert library.fuse().computed == 120
    after = library.ledger.row("fused_features", "0000.mp4")
    assert len(before["vector"]) == 768
    assert len(after["vector"]) == 896
    assert np.linalg.norm(after["vector"]) == pytest.approx(1, abs=1e-4)
    assert dict(after["fields"])["vector"] != dict(before["fields"])["vector"]
    assert dict(after["fields"])["tokens"] == dict(before["fields"])["tokens"]
    assert library.fuse().computed == 0


def test_only_a_fifth_more_labels_another_class_or_other_code_train_again(library, monkeypatch):
    library.fill(120)
    monkeypatch.setattr(fusion_stage, "compare", lambda *_: WINS)
    library.train()
    library.fill(12, first=120)
    assert library.train().computed == 0
    assert library.train(replace(STEPS[MODEL], code="another")).notes["retrained"].startswith("code")
    library.fill(20, first=132)
    assert library.train(replace(STEPS[MODEL], code="another")).computed == 0
    library.fill(20, first=152)
    assert "before" in library.train(replace(STEPS[MODEL], code="another")).notes["retrained"]


@pytest.mark.parametrize(
    ("accuracy", "similarity", "why"),
    [
        ({"fused": 0.8, "concatenation": 0.8}, {}, "does not beat concatenation"),
        ({"fused": 0.9, "concatenation": 0.8}, {"new": {"fused": 0.5, "untrained recipe": 0.6}}, "below the untrained recipe"),
        ({"fused": 0.9, "concatenation": 0.8}, {"new": {"fused": 0.6, "untrained recipe": 0.6}}, ""),
    ],
)
def test_a_fusion_that_does_not_win_is_not_used(accuracy, similarity, why):
    told = Comparison(accuracy, similarity, 100).why_not
    assert why in told
    assert bool(why) == bool(told)


def test_a_broken_fusion_file_is_refused(library, monkeypatch):
    library.fill(120)
    monkeypatch.setattr(fusion_stage, "compare", lambda *_: WINS)
    library.train()
    prefix = library.ledger.row(MODEL, MODEL)["blob"]
    assert load(library.blobs, prefix).share == QUICK.share
    with pytest.raises(MissingError, match="materialize fusion_model"):
        load(library.blobs, "blobs/fusion_model/none/v")
    library.blobs.put(MODEL, MODEL, "other", "model.json", b"{}")
    library.blobs.put(MODEL, MODEL, "other", "model.safetensors", b"\x80\x04pickle")
    with pytest.raises(SettingError, match="damaged"):
        load(library.blobs, library.blobs.prefix(MODEL, MODEL, "other"))


def test_the_cosine_of_two_mixed_vectors_is_the_weighted_mean_of_both():
    rng = np.random.default_rng(0)
    plain, learned = (np.stack([unit(rng.standard_normal(d)) for _ in range(2)]) for d in (768, 128))
    both = mixed(plain, learned, 0.4)
    assert both[0] @ both[1] == pytest.approx(0.6 * plain[0] @ plain[1] + 0.4 * learned[0] @ learned[1], abs=1e-5)


def test_similar_items_are_ranked_as_scikit_learn_judges():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(1)
    vectors = np.stack([unit(rng.standard_normal(5)) for _ in range(20)])
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 20)]
    groups = [f"g{i // 2}" for i in range(20)]
    judged = []
    for i in range(20):
        others = np.array([groups[j] != groups[i] for j in range(20)])
        judged.append(average_precision_score((targets @ targets[i])[others] > 0, (vectors @ vectors[i])[others]))
    assert similar(vectors, targets, groups) == pytest.approx(np.mean(judged), abs=1e-6)
