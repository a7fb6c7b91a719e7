import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.items import Row
from avrec_dag.understanding.challenge import Comparison, Judged, compared, interval, scores, verdict
from avrec_dag.understanding.decisions import update_decision
from avrec_dag.understanding.incremental import Standing, facts_of, judged, refit, update
from avrec_dag.understanding.replay import herded, kept_folds, replayed
from avrec_dag.understanding.stage import CANDIDATE, DECISION, MODEL
from avrec_dag.understanding.standing import read_standing
from tests.test_classifier import QUICK, examples
from tests.test_understanding_stage import DAY, STEPS, Library


def test_the_first_exemplars_have_the_mean_of_their_class():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 8)).astype(np.float32) + 3
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    chosen = herded(features, 10)
    by_chance = [np.linalg.norm(unit[rng.permutation(60)[:10]].mean(0) - unit.mean(0)) for _ in range(200)]
    assert np.linalg.norm(unit[chosen].mean(0) - unit.mean(0)) < min(by_chance)
    assert len(set(chosen)) == 10
    assert herded(features, 4).tolist() == chosen[:4].tolist()


def test_each_class_is_replayed_alike_and_small_ones_whole():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [50, 3, 10])
    again = replayed(rng.standard_normal((63, 4)).astype(np.float32), classes, np.arange(60), 7)
    assert np.bincount(classes[again]).tolist() == [7, 3, 7]
    assert again.max() < 60


FOLDS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=60)
@given(FOLDS)
def test_known_items_keep_their_fold_and_no_group_is_ever_split(rows):
    groups = [f"g{group}" for group, _, _ in rows]
    media_ids = [f"{place}.mp4" for place in range(len(rows))]
    before = {media_ids[i]: int(groups[i][1:]) % 3 for i, (_, _, known) in enumerate(rows) if known}
    fold = kept_folds(media_ids, groups, np.array([one for _, one, _ in rows]), before, 3)
    assert fold is not None
    assert all(fold[media_ids.index(one)] == number for one, number in before.items())
    assert all(len(set(fold[[i for i, one in enumerate(groups) if one == group]])) == 1 for group in groups)
    assert set(fold) <= {0, 1, 2}


def test_groups_that_came_to_join_two_folds_cannot_keep_them():
    assert kept_folds(["a", "b"], ["g", "g"], np.array([0, 0]), {"a": 0, "b": 1}, 2) is None


def part_of(known, names):
    columns = [known.names.index(name) for name in names]
    rows = np.flatnonzero(known.targets[:, columns].any(axis=1))
    part = known.part(rows)
    return type(known)(part.media_ids, part.tokens, part.targets[:, columns], tuple(names), part.groups)


@pytest.fixture(scope="module")
def grown():
    """A classifier of three classes that has learned a fourth in an update."""
    known = examples(n_per_class=12, noise=1.0)
    few = part_of(known, known.names[:3])
    first = refit(few, facts_of(few, {}), QUICK, 0)
    standing = Standing(first.classifier, first.folds, first.fold_of, first.learned)
    return known, standing, update(known, facts_of(known, {}), standing, 0)


def test_an_update_learns_a_new_class_and_keeps_the_old_ones(grown):
    known, _, updated = grown
    assert updated.method == "update"
    assert (updated.n_new, updated.n_replayed) == (12, 36)
    assert updated.classifier.names == known.names
    right = updated.held_out.probs.argmax(axis=1) == known.classes
    assert right[known.classes == 3].mean() > 0.8
    assert right[known.classes < 3].mean() > 0.8
    assert (updated.classifier.predict(known.tokens).argmax(axis=1) == known.classes).mean() > 0.9


def test_an_update_leaves_the_transformer_as_it_is_and_is_decided_by_its_seed(grown):
    known, standing, updated = grown
    before, after = standing.classifier.weights, updated.classifier.weights
    assert all(np.array_equal(before[name], after[name]) for name in before if "transformer" in name or ".enter" in name)
    again = update(known, facts_of(known, {}), standing, 0)
    assert all(np.array_equal(after[name], again.classifier.weights[name]) for name in after)


def test_items_stay_held_out_of_the_same_fold_through_updates(grown):
    _, standing, updated = grown
    assert {one: updated.fold_of[one] for one in standing.fold_of} == dict(standing.fold_of)


def test_a_classifier_is_judged_by_models_that_never_saw_the_item(grown):
    known, standing, _ = grown
    mine = part_of(known, standing.classifier.names)
    found = judged(standing, mine)
    for place, media_id in enumerate(mine.media_ids):
        other = standing.folds[standing.fold_of[media_id]]
        alone = type(standing.classifier)(standing.classifier.names, standing.classifier.temperature, 0.0, QUICK, other)
        np.testing.assert_allclose(found.probs[place], alone.predict(mine.tokens[place : place + 1])[0], rtol=1e-4, atol=1e-6)


def test_a_class_the_champion_does_not_know_counts_as_nothing_right(grown):
    known, standing, updated = grown
    found = judged(standing, known)
    assert not found.said[:, 3].any()
    assert scores(known.targets, found.said)[known.classes == 3].tolist() == [0.0] * 12
    after = Judged(updated.held_out.probs, updated.held_out.said)
    comparison = compared(known.targets, known.groups, found, after, 0)
    assert comparison.mean > 0.15
    assert comparison.challenger["accuracy"] > comparison.champion["accuracy"]
    assert verdict(comparison).adopted


def test_the_interval_of_groups_of_one_is_the_bootstrap_that_scipy_finds():
    difference = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.7, 0.2])
    low, high = interval(difference, [str(i) for i in range(200)], seed=0)
    theirs = bootstrap((difference,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_items_of_one_group_count_as_one_opinion():
    difference = np.repeat(np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 40), 10)
    apart = interval(difference, [str(i) for i in range(400)], seed=0)
    together = interval(difference, [str(i // 10) for i in range(400)], seed=0)
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


@pytest.mark.parametrize(
    ("mean", "low", "missing", "adopted"),
    [
        (0.05, 0.01, [], True),
        (0.0, 0.0, [], True),
        (0.01, -0.01, [], True),
        (0.01, -0.05, [], False),
        (-0.01, -0.015, [], False),
        (-0.3, -0.5, ["dog"], True),
    ],
)
def test_the_rule(mean, low, missing, adopted):
    found = verdict(Comparison({}, {}, mean, low, 0.1, 100, 50, 3, 2), missing)
    assert found.adopted is adopted
    assert found.reason.startswith("adopted" if adopted else "kept")
    assert f"{mean:+.3f} on 100 held-out items" in found.reason


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    library = Library(tmp_path_factory.mktemp("trained"))
    library.fill()
    library.train()
    return library


@pytest.fixture
def library(trained_once, tmp_path):
    return Library(shutil.copytree(trained_once.uri, tmp_path / "store"))


def details(library, table=CANDIDATE):
    return json.loads(library.ledger.row(table, table)["details"])


def newest_decision(library):
    rows = library.ledger.rows(DECISION).to_pylist()
    return max(rows, key=lambda row: row["decided_at"])


def test_a_new_class_goes_on_from_the_champion_and_is_adopted(library):
    for number in range(6):
        library.upload(f"owl{number}.mp4", look=3, label="owl", source=f"owl{number // 2}")
    outcome = library.train()
    assert outcome.notes["how"] == "update"
    assert details(library)["new_examples"] == 6
    assert details(library, MODEL)["classes"] == ["cat", "dog", "owl", "sea"]
    decision = newest_decision(library)
    assert decision["adopted"]
    assert "does not know owl" in decision["reason"]
    assert {one["model"] for one in decision["metrics"]} == {"champion", "challenger"}
    assert (decision["n_items"], library.ledger.counts(DECISION).ok) == (24, 2)
    assert library.blobs.get(decision["picture"]).startswith(b"\x89PNG")


def test_a_worse_challenger_is_turned_down_once_and_changes_nothing_that_is_served(library):
    library.classify()
    before = library.model
    for number in range(6):  # what looks like dogs is called cat, and the other way round
        library.upload(f"cat{number}.mp4", look=0, label="dog" if number < 3 else "cat", source=f"cat{number // 2}")
    library.train()
    decision = newest_decision(library)
    assert not decision["adopted"], decision["reason"]
    assert decision["reason"].startswith("kept")
    assert library.model == before
    assert library.classify().computed == 0
    assert library.train().computed == 0
    assert library.ledger.counts(DECISION).ok == 2


def test_two_runs_without_news_do_nothing(library):
    assert library.train().computed == 0
    assert update_decision(library.ledger, library.blobs, STEPS[DECISION]).computed == 0
    assert library.ledger.counts(DECISION).ok == 1


def test_asked_for_a_challenger_is_trained_anew_but_not_twice(library):
    library.upload("cat9.mp4", look=0, label="cat")
    library.train()
    assert details(library)["method"] == "update"
    assert library.train(anew=True).notes["how"] == "refit: asked for"
    assert library.train(anew=True).computed == 0


def test_what_an_item_taught_that_left_the_library_goes_with_it(library):
    library.remove("dog0.mp4")
    assert "left the library" in library.train().notes["how"]
    assert newest_decision(library)["adopted"]
    assert "dog0.mp4" not in library.blobs.get(f"{library.model['blob']}/learned.json").decode()


def test_a_damaged_champion_is_no_reason_to_stop(library):
    library.blobs.put(CANDIDATE, CANDIDATE, library.model["version"], "fold-0.safetensors", b"nonsense")
    with pytest.raises(SettingError, match="damaged"):
        read_standing(library.blobs, library.model["blob"])
    library.upload("cat9.mp4", look=0, label="cat")
    assert library.train().notes["how"].startswith("refit")
    assert newest_decision(library)["adopted"]


def test_a_champion_whose_files_are_gone_says_so(library):
    with pytest.raises(MissingError, match="nothing is stored"):
        read_standing(library.blobs, "blobs/nowhere")


def test_an_item_of_none_of_the_classes_teaches_none(library):
    library.ledger.append("label_corrections", "all", [Row("cat0.mp4", "1", {"labels": "x"}, {"labels": [], "labelled_by": "ada"})])
    library.train()
    assert details(library)["labels"] != details(library, MODEL)["labels"] or library.model["n_examples"] == 17
    assert library.ledger.row(CANDIDATE, CANDIDATE)["n_examples"] == 17
    assert library.ledger.counts("fused_features", DAY).ok == 18
