import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.quality import parts
from avrec_dag.quality.combine import update_quality
from avrec_dag.quality.parts import Known
from avrec_dag.quality.priors import PEOPLE, STRENGTHS, Priors, priors
from avrec_dag.quality.reception import Reception, receptions
from avrec_dag.steps import Recipe, graph
from avrec_dag.storage import Blobs

DAY = "2026-01-01"
STEP = graph(Recipe("frame@1", "audio@1", "events@1", "text@1", "1/s"))["quality_scores"]


def technical(ledger, scores):
    ledger.append("technical_quality", DAY, [Row(name, "v1", {"score": f"{score}"}, {"score": score}) for name, score in scores.items()])


def classify(ledger, classes):
    rows = [Row(name, "v1", {"classes": label}, {"labels": [label] if label else []}) for name, label in classes.items()]
    ledger.append("content_classes", DAY, rows)


@pytest.fixture
def rated(tmp_path):
    ledger = Ledger(str(tmp_path / "store"))
    technical(ledger, {"a.mp4": 0.8, "b.mp4": 0.8, "c.mp4": 0.4})
    return ledger


def event(user, media_id, weight, number=0):
    return Row(f"{user}-{media_id}-{number}", "1", {"event": "1"}, {"user_id": user, "media_id": media_id, "weight": weight})


def scores(ledger):
    return {row["media_id"]: row for row in ledger.rows("quality_scores").to_pylist()}


def react(ledger, *events, day=DAY):
    ledger.append("feedback_events", day, list(events))
    return update_quality(ledger, Blobs(ledger.uri), STEP)


def weights_of(row):
    return {one["part"]: one["weight"] for one in row["weights"]}


def test_an_item_nobody_reacted_to_scores_as_it_measures(rated):
    assert update_quality(rated, Blobs(rated.uri), STEP).computed == 3
    row = scores(rated)["a.mp4"]
    assert row["score"] == row["technical"] == pytest.approx(0.8)
    assert (row["aesthetic"], row["behaviour"], row["sentiment"]) == (None, None, None)
    assert weights_of(row) == {"technical": 1.0}
    assert "nobody" in row["reason"]


def test_what_people_did_moves_the_score_the_more_the_more_people(rated):
    liked = [event(f"u{i}", "a.mp4", 1.0) for i in range(30)]
    disliked = [event(f"u{i}", "b.mp4", -1.0) for i in range(30)]
    react(rated, *liked[:3], *disliked[:3])
    few = scores(rated)
    react(rated, *liked[3:], *disliked[3:], day="2026-01-02")
    many = scores(rated)
    assert many["a.mp4"]["score"] > few["a.mp4"]["score"] > few["b.mp4"]["score"] > many["b.mp4"]["score"]
    assert (many["a.mp4"]["n_events"], many["a.mp4"]["n_people"]) == (30, 30)
    assert weights_of(many["a.mp4"]) == pytest.approx({"technical": 0.475, "behaviour": 0.525})
    assert "30 people took it better than most items" in many["a.mp4"]["reason"]
    assert "worse" in many["b.mp4"]["reason"]


def test_one_person_who_presses_a_hundred_times_counts_as_one(rated):
    react(rated, *(event("fan", "a.mp4", 1.0, i) for i in range(100)), event("other", "b.mp4", 1.0))
    found = scores(rated)
    assert found["a.mp4"]["score"] == pytest.approx(found["b.mp4"]["score"])
    assert (found["a.mp4"]["n_events"], found["a.mp4"]["n_people"]) == (100, 1)


def test_only_items_with_news_are_scored_again(rated):
    classify(rated, {"a.mp4": "cat", "b.mp4": "cat"})
    react(rated, event("u", "a.mp4", 0.0), event("u", "b.mp4", 0.0))
    assert react(rated).computed == 0
    assert react(rated, event("v", "a.mp4", 0.02), day="2026-01-02").computed == 1
    classify(rated, {"c.mp4": "dog"})
    assert update_quality(rated, Blobs(rated.uri), STEP).computed == 0
    classify(rated, {"a.mp4": "dog"})
    assert update_quality(rated, Blobs(rated.uri), STEP).computed == 1


def test_an_item_that_left_loses_its_score_and_events_of_unknown_items_are_ignored(rated):
    react(rated, event("u", "gone.mp4", 1.0))
    rated.tombstone("technical_quality", DAY, ["a.mp4"])
    assert update_quality(rated, Blobs(rated.uri), STEP).removed == 1
    assert set(scores(rated)) == {"b.mp4", "c.mp4"}


EVENTS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.sampled_from([-1.0, -0.5, 0.1, 0.4, 1.0])), max_size=25)


@settings(deadline=None, max_examples=20)
@given(EVENTS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_scores_do_not_depend_on_how_events_arrived(tmp_path_factory, events, random, chunks):
    rows = [event(f"u{user}", f"{item}.mp4", weight, number) for number, (user, item, weight) in enumerate(events)]
    shuffled = random.sample(rows, len(rows))
    found = []
    for arriving in ([rows], [shuffled[i::chunks] for i in range(chunks)]):
        ledger = Ledger(str(tmp_path_factory.mktemp("store")))
        technical(ledger, {"a.mp4": 0.8, "b.mp4": 0.6, "c.mp4": 0.4})
        classify(ledger, {"a.mp4": "cat", "b.mp4": "cat", "c.mp4": "dog"})
        for some in arriving:
            react(ledger, *some)
        found.append({key: (row["version"], row["score"], row["reason"]) for key, row in scores(ledger).items()})
    assert found[0] == found[1]


UNIT = st.floats(0, 1)
KNOWN = st.builds(
    Known, technical=UNIT, aesthetic=st.none() | UNIT, behaviour=st.none() | UNIT, sentiment=st.none() | UNIT,
    n_people=st.integers(0, 10**7), n_writers=st.integers(0, 10**6), looks_trust=UNIT, expected=UNIT,
)  # fmt: skip


@given(KNOWN)
def test_a_score_lies_within_its_parts_and_their_weights_add_up_to_one(known):
    values = known.values
    assert min(values.values()) - 1e-9 <= parts.score(known) <= max(values.values()) + 1e-9
    assert sum(parts.weights(known).values()) == pytest.approx(1)
    assert min(parts.weights(known).values()) >= 0
    assert set(parts.weights(known)) == set(values)
    assert parts.reason(known).startswith("measures ")


@given(KNOWN, st.sampled_from(parts.PARTS), UNIT)
def test_a_better_part_never_lowers_the_score(known, part, other):
    if part in known.values:
        changed = Known(**{**vars(known), part: other})
        low, high = sorted([known, changed], key=lambda one: one.values[part])
        assert parts.score(low) <= parts.score(high) + 1e-12


def test_the_reason_names_what_moved_the_score_most_first():
    told = parts.reason(Known(0.8, 0.9, 0.3, 0.9, n_people=40, n_writers=3, looks_trust=0.2, expected=0.6, class_name="cat"))
    assert told.startswith("measures 0.80; 40 people took it worse than most of cat (0.30 against 0.60), -0.2")
    assert "3 people wrote more kindly than usual (0.90 against 0.50)" in told
    assert "looks better than most (0.90 against 0.50), +0.01" in told


def made(rng, classes, *, items, people, k=8.0, spread=0.15):
    """People's likings under the model: class means around 0.5, items around their class, people around the item."""
    within = 0.08
    between = within / k
    received, class_of, truth = {}, {}, {}
    for number in range(classes):
        mean = np.clip(0.5 + spread * rng.standard_normal(), 0.1, 0.9)
        for place in range(items):
            name = f"{number}-{place}"
            truth[name] = mean + np.sqrt(between) * rng.standard_normal()
            likings = truth[name] + np.sqrt(within) * rng.standard_normal(int(rng.integers(1, people)))
            class_of[name] = f"class {number}"
            received[name] = Reception(len(likings), len(likings), float(likings.sum()), float((likings**2).sum()))
    return received, class_of, truth


@pytest.mark.parametrize("k", [3.0, 10.0, 30.0])
def test_the_strength_of_the_prior_is_recovered(k):
    found = [priors(*made(np.random.default_rng(seed), 12, items=60, people=40, k=k)[:2]).people for seed in range(5)]
    assert k / 1.6 <= np.median(found) <= k * 1.6


def test_averages_with_the_prior_are_nearer_the_truth_than_raw_means_than_class_means_and_than_one_prior_for_all():
    received, class_of, truth = made(np.random.default_rng(3), 10, items=40, people=12)
    found, one = priors(received, class_of), priors(received, {})

    def error(guess):
        return np.mean([(guess[name] - truth[name]) ** 2 for name in received])

    ours = error({name: found.liking(class_of[name], r.total, r.n_people) for name, r in received.items()})
    assert ours < 0.8 * error({name: r.mean for name, r in received.items()})
    assert ours < 0.9 * error({name: found.of(class_of[name]) for name in received})
    assert ours < 0.9 * error({name: one.liking("", r.total, r.n_people) for name, r in received.items()})


def same(n, liking):
    return Reception(n, n, n * liking, n * liking**2)


def test_a_class_that_few_items_speak_for_is_expected_to_be_like_the_library():
    received = {**{f"cat {i}": same(20, 0.8) for i in range(20)}, "dog": same(20, 0.0)}
    found = priors(received, {name: name.split()[0] for name in received})
    assert found.of("cat") == pytest.approx(0.75)
    assert 0.3 < found.of("dog") < 0.75
    assert found.of("never seen") == found.library


def test_a_good_item_of_an_unloved_class_rises_and_a_bad_one_of_a_loved_class_falls():
    rng = np.random.default_rng(0)
    received, class_of = {}, {}
    for name, liking in {"loved": 0.8, "unloved": 0.2, "so": 0.5, "la": 0.5}.items():
        for place in range(20):
            mean = float(np.clip(liking + 0.12 * rng.standard_normal(), 0, 1))
            received[f"{name} {place}"], class_of[f"{name} {place}"] = Reception(10, 10, 10 * mean, 10 * (mean**2 + 0.05)), name
    found = priors(received, class_of)
    assert found.of("unloved") < 0.35 < 0.65 < found.of("loved")
    good, bad = found.liking("unloved", 28.5, 30), found.liking("loved", 1.5, 30)
    assert good > 0.75 > found.of("loved") - 0.1
    assert bad < 0.25
    assert found.liking("unloved", 0.9, 1) < found.liking("unloved", 9.0, 10) < good


def test_of_nothing_nothing_is_estimated():
    assert priors({}, {}) == Priors(0.5, PEOPLE)
    one = priors({"a": same(1, 1.0)}, {"a": "cat"})
    assert one.people == PEOPLE
    assert 0.5 <= one.of("cat") <= 1


@given(st.lists(st.tuples(st.integers(1, 50), UNIT, UNIT, st.sampled_from(["", "cat", "dog", "sea", "sky"])), max_size=60))
def test_expectations_are_rounded_and_within_what_was_seen(items):
    received = {
        str(place): Reception(n, n, n * mean, n * (mean**2 + spread * mean * (1 - mean)))
        for place, (n, mean, spread, _) in enumerate(items)
    }
    found = priors(received, {str(place): name for place, (*_, name) in enumerate(items) if name})
    assert found.people in STRENGTHS
    means = [mean for _, mean, _, _ in items] or [0.5]
    for value in (found.library, *found.classes.values()):
        assert min(means) - 0.026 <= value <= max(means) + 0.026
        assert value * 20 == pytest.approx(round(value * 20))


def test_the_average_starts_at_the_expectation_and_ends_at_what_people_said(rated):
    react(rated, *(event(f"u{i}", "a.mp4", 1.0) for i in range(1000)), *(event(f"u{i}", "b.mp4", -1.0) for i in range(1000)))
    received = receptions(rated)
    assert priors(received, {}).library == 0.5
    assert Priors(0.5, PEOPLE).liking("", received["a.mp4"].total, 1000) > 0.99
    assert Priors(0.5, PEOPLE).liking("", 0.0, 0) == 0.5
