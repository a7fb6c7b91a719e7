import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.encoders.joint import JointSpace
from avrec_dag.items import Item
from avrec_dag.understanding.classes import AssignClasses
from avrec_dag.understanding.topics import TOPICS
from avrec_dag.understanding.zero_shot import probabilities

PETS = (("cat", ("cat", "kitten")), ("dog", ("dog", "puppy")), ("train", ("train", "locomotive")))


def item(joint, key="a.mp4"):
    return Item(key, "v1", "2026-01-01", {"fused_features": {"joint": joint, "tokens": None, "modalities": ["text"]}})


def classify(texts, prompts=TOPICS):
    rows = AssignClasses("unused", None, prompts)(
        [item(vector.tolist(), text) for text, vector in zip(texts, JointSpace().text(texts), strict=True)]
    )
    return {row.key: row for row in rows}


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("a sleeping kitten", "cat"), ("一只猫", "cat"), ("the steam locomotive leaves the station", "train"),
        ("how to fry an egg", "cooking"), ("goal in the football match", "sport"), ("一只狗在叫", "dog"),
    ],
)  # fmt: skip
def test_words_in_either_language_find_their_topic(text, topic):
    assert topic in classify([text])[text].values["class_names"][:3]


def test_the_classes_are_ranked_and_say_how_they_came_about():
    row = classify(["a puppy"], PETS)["a puppy"]
    assert row.values["labels"] == ["dog"]
    assert row.values["class_names"][0] == "dog"
    assert row.values["method"] == "zero_shot"
    assert list(row.values["class_probs"]) == sorted(row.values["class_probs"], reverse=True)
    assert sum(row.values["class_probs"]) == pytest.approx(1, abs=1e-5)


def test_at_most_ten_classes_are_kept():
    assert len(classify(["a dog"])["a dog"].values["class_names"]) == 10


@pytest.mark.parametrize("joint", [None, [0.0] * 512, [float("nan")] * 512])
def test_an_item_without_a_place_in_the_joint_space_fails_alone(joint):
    good = JointSpace().text(["a dog"])[0].tolist()
    rows = {row.key: row for row in AssignClasses("unused", None, PETS)([item(joint, "bad.mp4"), item(good, "good.mp4")])}
    assert rows["bad.mp4"].permanent
    assert "fused_features.joint" in rows["bad.mp4"].error
    assert rows["good.mp4"].values["labels"] == ["dog"]


def test_the_same_classes_give_the_same_field_and_others_another():
    rows = classify(["a dog", "a cat"])
    assert rows["a dog"].fields == classify(["a dog"])["a dog"].fields
    assert rows["a dog"].fields != rows["a cat"].fields


def test_a_row_is_the_same_whatever_batch_its_item_comes_in():
    rng = np.random.default_rng(0)
    items = [item(vector.tolist(), str(number)) for number, vector in enumerate(rng.standard_normal((23, 512)).astype(np.float32))]
    rows = AssignClasses("unused")(items)
    for one, row in zip(items, rows, strict=True):
        (alone,) = AssignClasses("unused")([one])
        np.testing.assert_array_equal(alone.values["class_probs"], row.values["class_probs"])


@given(st.integers(0, 100), st.floats(0.01, 1))
@settings(deadline=None)
def test_probabilities_sum_to_one_and_follow_the_cosine(seed, temperature):
    rng = np.random.default_rng(seed)
    joints, classes = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rng.standard_normal((4, 8)), rng.standard_normal((5, 8))))
    found = probabilities(joints.astype(np.float32), classes.astype(np.float32), temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), (joints @ classes.T).argmax(axis=1))


def test_the_default_topics_are_about_forty_different_ones():
    names = [name for name, _ in TOPICS]
    assert len(set(names)) == len(names)
    assert 35 <= len(names) <= 50
    assert all(phrases and all(phrases) for _, phrases in TOPICS)
