import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from avrec_dag.understanding.evaluation import calibration_error, evaluate, picture

answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


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
    found = evaluate(true, sure(predicted, 4), list("abcd"))
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
    found = evaluate(true, sure(true, 4), list("abcd")).metrics
    assert found["majority_accuracy"] == pytest.approx(np.bincount(true).max() / len(true))
    assert found["accuracy"] == 1


def test_calibration_error_is_the_gap_between_sure_and_right():
    confidence = np.full(100, 0.8, np.float32)
    assert calibration_error(confidence, np.arange(100) < 80) == pytest.approx(0, abs=1e-6)
    assert calibration_error(confidence, np.arange(100) < 30) == pytest.approx(0.5, abs=1e-6)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="n at least 1"):
        evaluate(np.empty(0, np.int64), np.empty((0, 2), np.float32), ["a", "b"])


@pytest.mark.parametrize("names", [["cat", "dog"], ["猫", "狗"], ["$\\frac{1}$", "a" * 200], ["", "\N{PILE OF POO}"]])
def test_the_confusion_matrix_is_drawn_whatever_people_called_their_classes(names):
    image = Image.open(io.BytesIO(picture(evaluate(np.array([0, 1, 1]), sure(np.array([0, 1, 0]), 2), names))))
    assert image.format == "PNG"
    assert len(image.convert("L").getcolors(10_000)) > 10


def test_a_hundred_classes_still_make_a_picture_one_can_open():
    true = np.arange(300) % 100
    found = picture(evaluate(true, sure(true, 100), [f"class {i}" for i in range(100)]))
    assert max(Image.open(io.BytesIO(found)).size) < 2500
