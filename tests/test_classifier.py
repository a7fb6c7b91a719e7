import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as tensors
from safetensors.numpy import save

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.storage import Blobs
from avrec_dag.understanding.classifier import load
from avrec_dag.understanding.evaluation import evaluate
from avrec_dag.understanding.settings import Settings
from avrec_dag.understanding.splits import folds_of
from avrec_dag.understanding.training import Examples, temperature_of, train

QUICK = Settings(width=32, epochs=60, patience=8)


def examples(n_per_class=12, n_classes=4, noise=1.5, seed=0, missing=0.2):
    """Tokens scattered around a centre per class and modality; two items of each recording; some modalities missing."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_classes, 3, 256))
    classes = np.repeat(np.arange(n_classes), n_per_class)
    tokens = centres[classes] + noise * rng.standard_normal((len(classes), 3, 256))
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
    gone = rng.random((len(classes), 3)) < missing
    gone[gone.all(axis=1), 0] = False
    tokens[gone] = 0
    names = tuple(f"class {i}" for i in range(n_classes))
    sources = tuple(f"{c}-{i // 2}" for c in range(n_classes) for i in range(n_per_class))
    return Examples(tuple(f"{i}.mp4" for i in range(len(classes))), tokens.astype(np.float32), classes, names, sources)


@pytest.fixture(scope="module")
def trained():
    return train(examples(), QUICK, seed=0)


def test_classes_that_differ_are_learned_and_held_out_items_recognised(trained):
    known = examples()
    _, held_out = trained
    metrics = evaluate(known.classes, held_out.probs, known.names).metrics
    assert metrics["accuracy"] > 0.9 > 3 * metrics["majority_accuracy"]


@pytest.mark.parametrize("present", [(0,), (1,), (2,), (0, 2)])
def test_an_item_with_few_modalities_is_classified_from_what_it_has(trained, present):
    known = examples(missing=0)
    tokens = np.zeros_like(known.tokens)
    tokens[:, present] = known.tokens[:, present]
    classifier, _ = trained
    assert (classifier.predict(tokens).argmax(axis=1) == known.classes).mean() > 0.8


def test_labels_that_mean_nothing_teach_nothing():
    known = examples(noise=1000, n_per_class=10)
    _, held_out = train(known, QUICK, seed=0)
    assert evaluate(known.classes, held_out.probs, known.names).metrics["accuracy"] < 0.6


def test_the_same_seed_gives_the_same_model(trained):
    classifier, _ = train(examples(), QUICK, seed=0)
    for name, values in trained[0].weights.items():
        np.testing.assert_allclose(classifier.weights[name], values, atol=1e-6)


def test_probabilities_sum_to_one(trained):
    np.testing.assert_allclose(trained[0].predict(examples().tokens).sum(axis=1), 1, atol=1e-5)


def test_a_class_with_one_example_is_allowed_and_predicted_by_no_fold():
    known = examples(n_per_class=8, n_classes=2)
    lonely = Examples(
        (*known.media_ids, "x.mp4"),
        np.concatenate([known.tokens, examples(seed=5).tokens[:1]]),
        np.append(known.classes, 2),
        (*known.names, "lonely"),
        (*known.sources, "x"),
    )
    classifier, held_out = train(lonely, QUICK, seed=0)
    assert classifier.names[2] == "lonely"
    assert np.isfinite(held_out.probs).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_tokens_that_are_not_finite_are_refused(trained, bad):
    tokens = examples().tokens[:2].copy()
    tokens[1, 0, 0] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        trained[0].predict(tokens)


def test_an_item_with_no_modality_is_refused(trained):
    with pytest.raises(ValueError, match="no modality"):
        trained[0].predict(np.zeros((1, 3, 256), np.float32))


def stored(tmp_path, classifier, **changed):
    blobs = Blobs(str(tmp_path))
    for name, data in {**classifier.files(), **changed}.items():
        blobs.put("content_classifier", "content_classifier", "v1", name, data)
    return blobs, blobs.prefix("content_classifier", "content_classifier", "v1")


def test_a_stored_model_loads_and_predicts_the_same(tmp_path, trained):
    tokens = examples(seed=3).tokens
    np.testing.assert_array_equal(load(*stored(tmp_path, trained[0])).predict(tokens), trained[0].predict(tokens))


def test_a_model_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(MissingError, match="materialize content_classifier"):
        load(Blobs(str(tmp_path)), "blobs/content_classifier/none/v1")


DAMAGE = {
    "truncated weights": lambda _, weights: {"model.safetensors": save(weights)[:100]},
    "a weight missing": lambda _, weights: {"model.safetensors": save({k: v for k, v in weights.items() if k != "bias"})},
    "another shape": lambda _, weights: {"model.safetensors": save({**weights, "bias": np.zeros(99, np.float32)})},
    "a weight that is NaN": lambda _, weights: {"model.safetensors": save({**weights, "bias": weights["bias"] * np.nan})},
    "no JSON": lambda _, __: {"model.json": b"\x80\x04pickle"},
    "a size beyond reason": lambda card, _: {"model.json": json.dumps({**card, "settings": {"width": 10**9}}).encode()},
    "a later format": lambda card, _: {"model.json": json.dumps({**card, "format": 2}).encode()},
    "more than a card": lambda card, _: {"model.json": json.dumps({**card, "code": "import os"}).encode()},
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_model_is_refused(tmp_path, trained, what):
    files = trained[0].files()
    changed = DAMAGE[what](json.loads(files["model.json"]), tensors(files["model.safetensors"]))
    with pytest.raises(SettingError, match="damaged or of another format"):
        load(*stored(tmp_path, trained[0], **changed))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=2, max_size=60).filter(lambda e: len({s for _, s in e}) > 1),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_no_fold_separates_two_items_of_one_recording(items, seed):
    classes, sources = [c for c, _ in items], [f"recording {s}" for _, s in items]
    fold = folds_of(classes, sources, seed)
    for source in set(sources):
        assert len({int(f) for f, s in zip(fold, sources, strict=True) if s == source}) == 1
    assert set(fold) == set(range(max(fold) + 1))
    assert max(fold) >= 1


def test_every_fold_sees_every_class_when_there_are_recordings_enough():
    known = examples(n_per_class=20)
    fold = folds_of(known.classes, known.sources, seed=1)
    assert all(set(known.classes[fold == number]) == {0, 1, 2, 3} for number in range(5))


def test_one_recording_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2"):
        folds_of([0, 1], ["same", "same"], seed=0)


def test_temperature_finds_how_far_logits_are_exaggerated():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 3)) * 2
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(3, p=row) for row in odds])
    assert temperature_of((logits * 3).astype(np.float32), classes) == pytest.approx(3, rel=0.15)
