import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as tensors
from safetensors.numpy import save

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.storage import Blobs
from avrec_dag.understanding.calibration import temperature_of
from avrec_dag.understanding.classifier import Classifier, load
from avrec_dag.understanding.evaluation import evaluate
from avrec_dag.understanding.examples import Examples
from avrec_dag.understanding.fitting import class_weights
from avrec_dag.understanding.settings import Settings
from avrec_dag.understanding.splits import apart, folds_of, groups_of, near_duplicates
from avrec_dag.understanding.training import fitted, train

QUICK = Settings(width=32, members=1, least_steps=60)


def one_hot(classes, n_classes):
    return np.eye(n_classes, dtype=np.float32)[classes]


def examples(n_per_class=12, n_classes=4, noise=1.5, seed=0, missing=0.2):
    """Tokens scattered around a centre per class and modality; two items of each recording; some modalities missing."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_classes, 6, 512))
    classes = np.repeat(np.arange(n_classes), n_per_class)
    tokens = centres[classes] + noise * rng.standard_normal((len(classes), 6, 512))
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
    gone = rng.random((len(classes), 3)) < missing
    gone[gone.all(axis=1), 0] = False
    tokens[np.tile(gone, 2)] = 0
    names = tuple(f"class {i}" for i in range(n_classes))
    sources = tuple(f"{c}-{i // 2}" for c in range(n_classes) for i in range(n_per_class))
    return Examples(tuple(f"{i}.mp4" for i in range(len(classes))), tokens.astype(np.float32), one_hot(classes, n_classes), names, sources)


@pytest.fixture(scope="module")
def trained():
    return train(examples(), QUICK, seed=0)


def test_classes_that_differ_are_learned_and_held_out_items_recognised(trained):
    known = examples()
    _, held_out = trained
    metrics = evaluate(known.targets, held_out.probs, known.names).metrics
    assert metrics["accuracy"] > 0.9 > 3 * metrics["majority_accuracy"]


@pytest.mark.parametrize("present", [(0,), (1,), (2,), (0, 2)])
def test_an_item_with_few_modalities_is_classified_from_what_it_has(trained, present):
    known = examples(missing=0)
    tokens = np.zeros_like(known.tokens)
    rows = [*present, *(one + 3 for one in present)]
    tokens[:, rows] = known.tokens[:, rows]
    classifier, _ = trained
    assert (classifier.predict(tokens).argmax(axis=1) == known.classes).mean() > 0.8


def test_labels_that_mean_nothing_teach_nothing():
    known = examples(noise=1000, n_per_class=10)
    _, held_out = train(known, QUICK, seed=0)
    assert evaluate(known.targets, held_out.probs, known.names).metrics["accuracy"] < 0.6


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
        one_hot(np.append(known.classes, 2), 3),
        (*known.names, "lonely"),
        (*known.groups, "x"),
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
        trained[0].predict(np.zeros((1, 6, 512), np.float32))


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
    "a weight missing": lambda _, weights: {"model.safetensors": save({k: v for k, v in weights.items() if k != "members.0.bias"})},
    "another shape": lambda _, weights: {"model.safetensors": save({**weights, "members.0.bias": np.zeros(99, np.float32)})},
    "a weight that is NaN": lambda _, weights: {
        "model.safetensors": save({**weights, "members.0.bias": weights["members.0.bias"] * np.nan})
    },
    "no JSON": lambda _, __: {"model.json": b"\x80\x04pickle"},
    "a size beyond reason": lambda card, _: {"model.json": json.dumps({**card, "settings": {"width": 10**9}}).encode()},
    "a later format": lambda card, _: {"model.json": json.dumps({**card, "format": 3}).encode()},
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
    fold = folds_of(known.classes, known.groups, seed=1)
    assert all(set(known.classes[fold == number]) == {0, 1, 2, 3} for number in range(5))


def test_one_recording_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2"):
        folds_of([0, 1], ["same", "same"], seed=0)


def test_temperature_finds_how_far_logits_are_exaggerated():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 3)) * 2
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(3, p=row) for row in odds])
    assert temperature_of((logits * 3).astype(np.float32), one_hot(classes, 3)) == pytest.approx(3, rel=0.15)


def several(seed=0):
    """Items of one or two of four classes: a token is the sum of what its classes look like."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((4, 6, 512))
    targets = one_hot(rng.integers(0, 4, 60), 4)
    targets[::2] = np.maximum(targets[::2], one_hot(rng.integers(0, 4, 30), 4))
    tokens = np.einsum("nc,csb->nsb", targets, centres) + 0.5 * rng.standard_normal((60, 6, 512))
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
    ids = tuple(f"{i}.mp4" for i in range(60))
    return Examples(ids, tokens.astype(np.float32), targets, tuple("abcd"), ids, multi_label=True)


def test_an_item_may_have_several_classes_when_people_said_so(tmp_path):
    known = several()
    classifier, held_out = train(known, QUICK, seed=0)
    found = evaluate(known.targets, held_out.probs, known.names, held_out.said)
    assert found.metrics["mean_average_precision"] > 0.9
    assert found.metrics["macro_f1"] > 0.8
    again = load(*stored(tmp_path, classifier))
    assert again.multi_label
    both = int(np.flatnonzero(known.targets.sum(axis=1) == 2)[0])
    decided = again.decided(again.predict(known.tokens[both : both + 1])[0])
    assert set(decided) == {known.names[i] for i in np.flatnonzero(known.targets[both])}


def test_training_goes_on_from_where_it_stands_when_a_class_is_added():
    from avrec_dag.understanding.network import regrouped

    known = examples()
    first, _ = fitted(known.part(np.flatnonzero(known.classes < 3)), np.arange(36), QUICK, seed=0)
    first = regrouped(first, known.names, known.names[::-1])
    few = QUICK.model_copy(update={"least_steps": 1, "epochs_unwatched": 1, "learning_rate": 1e-4})
    turned = replace(known, names=known.names[::-1], targets=np.ascontiguousarray(known.targets[:, ::-1]))
    right = []
    for start in (None, first):
        weights, _ = fitted(turned, np.arange(48), few, seed=0, start_from=start)
        probs = Classifier(turned.names, 1.0, 0.0, few, weights).predict(turned.tokens)
        right.append(float((probs * turned.targets).sum(axis=1)[:36].mean()))
    assert right[1] > 0.7 > 0.4 > right[0]


def test_a_rare_class_weighs_more_and_the_mean_stays_one():
    counts = np.array([100, 10, 1, 0])
    weights = class_weights(counts, 0.9)
    assert weights[2] > weights[1] > weights[0] > weights[3] == 0
    assert (weights * counts).sum() == pytest.approx(counts.sum(), rel=1e-4)
    np.testing.assert_allclose(class_weights(counts, 0.0)[:3], 1)


def test_what_a_class_is_called_helps_where_examples_are_few():
    rng = np.random.default_rng(3)
    names = rng.standard_normal((4, 512))
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    classes = np.repeat(np.arange(4), 4)
    tokens = np.zeros((16, 6, 512))
    tokens[:, 3] = names[classes] + 0.12 * rng.standard_normal((16, 512))
    tokens[:, 0] = rng.standard_normal((16, 512))
    tokens /= np.linalg.norm(tokens, axis=2, keepdims=True).clip(1e-9)
    ids = tuple(f"{i}.mp4" for i in range(16))
    known = Examples(ids, tokens.astype(np.float32), one_hot(classes, 4), tuple("abcd"), ids)
    told = replace(known, anchors=names.astype(np.float32))
    without, with_names = (
        evaluate(one.targets, train(one, QUICK, seed=0)[1].probs, one.names).metrics["accuracy"] for one in (known, told)
    )
    assert with_names > 0.9
    assert with_names >= without


def test_groups_join_sources_creators_and_copies_in_turn():
    groups, told = groups_of([0, 1] * 4, list("aabbccdd"), ["x", None, "x", None, None, None, None, None], [(4, 6)])
    assert len(set(groups[:4])) == 1
    assert len(set(groups[4:])) == 1
    assert groups[0] != groups[4]
    assert told == "grouped by source, creator and near-duplicates"


def test_a_creator_who_made_everything_does_not_glue_the_library_together():
    groups, told = groups_of([0, 1, 0, 1], list("abcd"), ["x"] * 4)
    assert len(set(groups)) == 4
    assert "not by creator" in told


@given(st.integers(0, 1000), st.integers(2, 60))
@settings(deadline=None, max_examples=40)
def test_near_duplicates_are_all_found_and_none_invented(seed, n):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    wanted = {(i, j) for i in range(n) for j in range(i + 1, n) if cosines[i, j] >= 0.985}
    assert set(near_duplicates(vectors)) == wanted
    fold = rng.integers(0, 2, n)
    assert set(apart(wanted, fold)) == {(i, j) for i, j in wanted if fold[i] != fold[j]}
