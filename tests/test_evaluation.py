import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from avrec_dag.understanding.evaluation import average_precision, calibration_error, evaluate
from avrec_dag.understanding.pictures import confusion as picture
from avrec_dag.understanding.pictures import reliability, side_by_side, worst

answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def one_hot(classes, n_classes):
    return np.eye(n_classes)[classes]


def sure(predicted, n_classes):
    probs = np.full((len(predicted), n_classes), 0.1 / (n_classes - 1), np.float32)
    probs[np.arange(len(predicted)), predicted] = 0.9
    return probs


@given(answers)
@settings(deadline=None)
def test_figures_agree_with_scikit_learn(pairs):
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

    true, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    every = [0, 1, 2, 3]
    found = evaluate(one_hot(true, 4), sure(predicted, 4), list("abcd"))
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert found.metrics["macro_f1"] == pytest.approx(f1_score(true, predicted, labels=every, average="macro", zero_division=0))
    assert found.metrics["log_loss"] == pytest.approx(log_loss(true, sure(predicted, 4).astype(float), labels=every), abs=1e-3)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(true, predicted, labels=every))
    judged = np.array(precision_recall_fscore_support(true, predicted, labels=every, zero_division=0)).T
    ours = [[found.per_class[name][figure] for figure in ("precision", "recall", "f1", "support")] for name in "abcd"]
    np.testing.assert_allclose(ours, judged)


@given(answers)
@settings(deadline=None)
def test_majority_baseline_is_the_share_of_the_commonest_class(pairs):
    true = np.array([t for t, _ in pairs])
    found = evaluate(one_hot(true, 4), sure(true, 4), list("abcd")).metrics
    assert found["majority_accuracy"] == pytest.approx(np.bincount(true).max() / len(true))
    assert found["accuracy"] == 1


def test_calibration_error_is_the_gap_between_sure_and_right():
    confidence = np.full(100, 0.8, np.float32)
    assert calibration_error(confidence, np.arange(100) < 80) == pytest.approx(0, abs=1e-6)
    assert calibration_error(confidence, np.arange(100) < 30) == pytest.approx(0.5, abs=1e-6)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="n at least 1"):
        evaluate(np.empty((0, 2)), np.empty((0, 2), np.float32), ["a", "b"])


@pytest.mark.parametrize("names", [["cat", "dog"], ["猫", "狗"], ["$\\frac{1}$", "a" * 200], ["", "\N{PILE OF POO}"]])
def test_the_confusion_matrix_is_drawn_whatever_people_called_their_classes(names):
    image = Image.open(io.BytesIO(picture(evaluate(one_hot(np.array([0, 1, 1]), 2), sure(np.array([0, 1, 0]), 2), names))))
    assert image.format == "PNG"
    assert len(image.convert("L").getcolors(10_000)) > 10


def test_a_hundred_classes_still_make_a_picture_one_can_open():
    true = np.arange(300) % 100
    found = picture(evaluate(one_hot(true, 100), sure(true, 100), [f"class {i}" for i in range(100)]))
    assert max(Image.open(io.BytesIO(found)).size) < 2500


matrices = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=n, max_size=n),
        st.lists(st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), min_size=3, max_size=3), min_size=n, max_size=n),
    )
)


@given(matrices)
@settings(deadline=None)
def test_figures_of_several_labels_agree_with_scikit_learn(pair):
    from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss

    truth, probs = np.array(pair[0]), np.array(pair[1], np.float32)
    said = probs >= 0.5
    found = evaluate(truth.astype(float), probs, list("abc"), said)
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert found.metrics["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
    losses = [log_loss(truth[:, i], probs[:, i].astype(float), labels=[False, True]) for i in range(3)]
    assert found.metrics["log_loss"] == pytest.approx(np.mean(losses), abs=1e-3)
    for i in np.flatnonzero(truth.any(axis=0)):
        assert average_precision(truth[:, i], probs[:, i]) == pytest.approx(average_precision_score(truth[:, i], probs[:, i]))
    there = truth.any(axis=0)
    judged = average_precision_score(truth[:, there], probs[:, there], average="macro")
    assert found.metrics["mean_average_precision"] == pytest.approx(judged)


def test_reliability_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(0)
    sure_of = rng.uniform(0, 1, 500)
    probs = np.stack([sure_of, 1 - sure_of], axis=1).astype(np.float32)
    truth = one_hot((rng.random(500) > sure_of).astype(int), 2)
    found = evaluate(truth, probs, ["yes", "no"], truth > 2)
    right, mean = calibration_curve(truth.ravel() > 0, probs.ravel(), n_bins=10)
    filled = found.reliability[:, 2] > 0
    np.testing.assert_allclose(found.reliability[filled][:, :2], np.stack([mean, right], axis=1), atol=1e-6)


def test_pictures_are_drawn_of_reliability_of_models_and_of_mistakes():
    result = evaluate(one_hot(np.array([0, 1, 1]), 2), sure(np.array([0, 1, 0]), 2), ["cat", "狗"])
    drawn = picture(result)
    shown = worst([(drawn, "cat", "狗 99%"), (drawn, "$x$", "dog 80%")])
    for data in (reliability(result), side_by_side({"fused": 0.9, "猫": 0.5}, "accuracy", 0.8), shown):
        assert len(Image.open(io.BytesIO(data)).convert("L").getcolors(100_000)) > 10
