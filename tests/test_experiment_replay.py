"""Replays against the truth of a made world, against slow reimplementations, and refusals where the log cannot say."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.experiments import arms, wanting
from avrec_dag.experiments.impressions import ImpressionLog
from avrec_dag.experiments.randomising import Policy, drawn
from avrec_dag.experiments.replaying import Logged, NoSupportError, replay
from avrec_dag.feedback import Event
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.serving.app import create_app
from avrec_dag.synthetic_behaviour import tastes
from tests.made_library import made_library

ITEMS, K = tuple("abcdefghij"), 4
OWN, POOL, WANTED = tuple("abcd"), tuple("abcdefgh"), tuple("cafe")


def chance(user: int, item: str, place: int) -> float:
    """That somebody likes an item at a place: of the item, the person's taste and how far down it stands."""
    taste = 0.5 if (ITEMS.index(item) + user) % 3 == 0 else 0.15
    return taste / (1 + 0.3 * place)


def logged(seed: int, *, users: int = 80, each: int = 5, epsilon: float = 0.5, wanted: tuple[str, ...] = WANTED) -> list[Logged]:
    """Lists of a world with a known truth; people differ, so that their lists go together."""
    rng, policy, made = np.random.default_rng(seed), Policy(OWN, POOL, epsilon), []
    for user in range(users):
        for _ in range(each):
            shown = drawn(POOL, K, seed=int(rng.integers(2**53))) if rng.random() < epsilon else OWN
            likes = [float(rng.random() < chance(user, item, place)) for place, item in enumerate(shown)]
            made.append(Logged(f"u{user}", shown, policy, wanted, {"likes": likes}))
    return made


def truth(wanted: tuple[str, ...], users: int = 80) -> float:
    return float(np.mean([sum(chance(user, item, place) for place, item in enumerate(wanted)) for user in range(users)]))


def test_estimates_cover_the_true_value_of_lists_that_nobody_saw():
    runs = [replay(logged(seed), seed=seed) for seed in range(40)]
    real = truth(WANTED)
    for name in ("ips", "snips"):
        found = [getattr(one, name)["likes"] for one in runs]
        covered = sum(one.low <= real <= one.high for one in found)
        assert stats.binomtest(covered, 40, 0.95).pvalue > 1e-3, (name, covered)
        values = [one.value for one in found]
        assert abs(np.mean(values) - real) < 4 * np.std(values) / np.sqrt(40), (name, np.mean(values), real)
    assert all(one.support == 1 and one.largest == pytest.approx(8 / 0.5) for one in runs)
    assert np.std([one.snips["likes"].value for one in runs]) < np.std([one.ips["likes"].value for one in runs]) * 1.2


def slowly(lists: list[Logged]) -> tuple[float, float, float, float, float]:
    """IPS, SNIPS, what was shown, support and effective size, place by place as in the papers."""
    n, ips, snips, weights, supported, places = len(lists), 0.0, 0.0, [], 0, 0
    for place in range(max(len(one.shown) for one in lists)):
        here = [one for one in lists if place < len(one.shown)]
        pairs = []
        for one in here:
            if place < len(one.wanted):
                places += 1
                supported += one.policy.propensity(one.wanted[place], place) > 0
            same = place < len(one.wanted) and one.wanted[place] == one.shown[place]
            weight = 1 / one.policy.propensity(one.shown[place], place) if same else 0.0
            pairs.append((weight, one.rewards["likes"][place]))
        weights += [weight for weight, _ in pairs if weight]
        ips += sum(weight * reward for weight, reward in pairs) / n
        total = sum(weight for weight, _ in pairs)
        snips += (sum(weight * reward for weight, reward in pairs) / total if total else float("nan")) * len(here) / n
    seen = sum(sum(one.rewards["likes"][: len(one.shown)]) for one in lists) / n
    return ips, snips, seen, supported / places, sum(weights) ** 2 / sum(one**2 for one in weights)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.permutations(POOL), st.integers(1, 4), st.floats(0.1, 1))
def test_estimates_are_those_of_the_papers_place_by_place(seed, order, length, epsilon):
    lists = logged(seed, users=6, each=3, epsilon=epsilon, wanted=tuple(order[:length]))
    lists = [replace(one, shown=one.shown[: 4 - n % 2]) for n, one in enumerate(lists)]
    try:
        found = replay(lists, seed=1, least_effective=0.0)
    except NoSupportError:
        pytest.fail("every item of the pool has support")
    if found.matched:
        expected = slowly(lists)
        got = (found.ips["likes"].value, found.snips["likes"].value, found.shown["likes"].value, found.support, found.effective)
        assert got == pytest.approx(expected, nan_ok=True)


def test_lists_that_were_shown_are_worth_what_they_were():
    lists = [replace(one, policy=Policy(OWN), shown=OWN, wanted=OWN) for one in logged(0)]
    found = replay(lists)
    assert found.ips == found.snips == found.shown and found.effective == found.matched == 4 * len(lists)


def test_a_clip_is_told_and_lowers_the_estimate():
    lists = logged(2)
    free, cut = replay(lists), replay(lists, clip=4.0)
    assert (free.clip, free.clipped, cut.clip, cut.largest) == (None, 0.0, 4.0, free.largest) and cut.clipped > 0.9
    assert cut.ips["likes"].value < free.ips["likes"].value
    with pytest.raises(ValueError, match="clip must be at least 1"):
        replay(lists, clip=0.5)


def test_lists_that_could_not_have_been_shown_are_refused_in_words():
    with pytest.raises(NoSupportError, match="only 50% of the places of the lists in question had a chance"):
        replay(logged(0, wanted=("a", "i", "c", "j")))
    with pytest.raises(NoSupportError, match=r"worth 0\.0 equally weighted ones, 30 are needed: log more lists"):
        replay([replace(one, shown=tuple("dcba")) for one in logged(0, users=2, each=2)])
    with pytest.raises(NoSupportError, match="give an arm an epsilon"):
        replay([])


def test_a_little_without_support_is_told():
    lists = [replace(one, wanted=(*WANTED[:3], "i")) if n % 10 == 0 else one for n, one in enumerate(logged(5))]
    assert replay(lists).support == pytest.approx(1 - 0.1 / 4)


TRIAL = {"name": "t", "arms": [{"name": "usual", "share": 1, "epsilon": 0.6, "pool": 16, "knobs": {"exploration": 0}},
         {"name": "varied", "shadow": True, "knobs": {"diversity": 0.4, "exploration": 0}}]}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A made library whose people were shown lists and liked what is of their taste."""
    folder = tmp_path_factory.mktemp("replayed")
    library, trial = made_library(folder), arms.read(json.dumps(TRIAL))
    library.refresh(measured=False)
    kind = {media_id: label for media_id, label, _ in library.items}
    liked = tastes(list(kind.values()), 40)
    rng, known, ids = np.random.default_rng(0), set(), np.random.default_rng(1)
    patch = pytest.MonkeyPatch()
    patch.setattr("avrec_dag.serving.experiments.new_id", lambda: ids.bytes(16).hex())
    for _ in range(3):
        with TestClient(create_app(library.ledger, library.blobs, None, library.log, experiment=trial)) as client:  # type: ignore[arg-type]
            for user in liked:
                client.get(f"/v1/recommendations/{user}?k=6&language=en")
        for one in [one for one in ImpressionLog(library.log.url).impressions("t") if one.impression_id not in known]:
            known.add(one.impression_id)
            likes = [item for place, item in enumerate(one.shown) if rng.random() < chance_of(kind[item] in liked[one.user_id], place)]
            facts = {"user_id": one.user_id, "kind": "like", "happened_at": one.served_at + timedelta(milliseconds=1)}
            library.log.add([Event(**facts, media_id=item) for item in likes])
    patch.undo()
    return folder, library, kind, liked


def chance_of(of_taste: bool, place: int) -> float:
    return (0.7 if of_taste else 0.1) / (1 + 0.2 * place)


def expected(lists, kind, liked) -> float:
    chances = [sum(chance_of(kind[item] in liked[user], place) for place, item in enumerate(shown)) for user, shown in lists]
    return float(np.mean(chances))


def test_a_shadow_is_worth_what_its_lists_truly_are(served):
    _, library, kind, liked = served
    log = ImpressionLog(library.log.url)
    question = wanting.of_shadow("varied", wanting.Period("t"), log, library.log)
    found = replay(question.lists)
    real = expected([(one.user_id, one.shown) for one in log.impressions("t", shadows=True)], kind, liked)

    assert len(question.lists) == 120 and not any(question.left_out.values()) and question.faithful is None
    assert found.support > 0.9 and found.snips["likes"].low <= real <= found.snips["likes"].high
    assert (found.ips["likes"].value, found.snips["likes"].value) == pytest.approx(slowly(question.lists)[:2])


def test_knobs_that_nobody_had_make_the_lists_that_the_shadow_made(served):
    _, library, _, _ = served
    log = ImpressionLog(library.log.url)
    question = wanting.of_knobs({"diversity": 0.4}, wanting.Period("t"), log, library.log, library.recommender())
    by_shadow = wanting.of_shadow("varied", wanting.Period("t"), log, library.log)

    first = {tuple(one.wanted) for one in by_shadow.lists}
    again = {tuple(one.wanted) for one in question.lists}
    assert question.faithful is not None and question.faithful > 0.9
    assert len(first & again) > 0.9 * len(first)


def test_lists_of_another_model_and_of_arms_without_epsilon_are_left_out_and_counted(served):
    _, library, _, _ = served
    log, period = ImpressionLog(library.log.url), wanting.Period("t")
    other = replace(library.recommender(), model_version="another")
    assert wanting.of_knobs({}, period, log, library.log, other).left_out["of another model"] == 120
    assert len(wanting.of_knobs({}, period, log, library.log, other, any_model=True, most=30).lists) == 30
    one = next(iter(log.impressions("t")))
    log.add([replace(one, impression_id="f" * 32, experiment="plain", policy=Policy(one.shown))])
    assert wanting.of_shadow("varied", wanting.Period("plain"), log, library.log).left_out["of an arm without epsilon"] == 1
    log.add([replace(one, impression_id="d" * 32, experiment="further", continued=True)])
    further = wanting.of_knobs({}, wanting.Period("further"), log, library.log, library.recommender())
    assert further.left_out["that went on from an earlier part"] == 1 and not further.lists


def test_a_library_that_makes_other_lists_than_then_is_refused(served):
    _, library, _, _ = served
    log = ImpressionLog(library.log.url)
    one = next(iter(log.impressions("t")))
    turned = replace(one, impression_id="e" * 32, experiment="then", policy=replace(one.policy, own=one.policy.own[::-1]))
    log.add([turned])
    with pytest.raises(wanting.UnfaithfulError, match="only 0% hold what was logged"):
        wanting.of_knobs({}, wanting.Period("then"), log, library.log, library.recommender())


@settings(deadline=None)
@given(st.builds(Knobs, diversity=st.sampled_from([0.1, 0.25]), per_creator=st.integers(1, 9), method=st.sampled_from(["mmr", "swap"])))
def test_knobs_are_read_as_they_were_logged(knobs):
    assert wanting.read_knobs(knobs.canonical()) == knobs


def test_the_command_replays_a_shadow_and_knobs_and_says_what_it_cannot(served, monkeypatch):
    folder, library, _, _ = served
    for name, value in (("FEEDBACK", library.log.url), ("STORE", str(folder / "store")), ("EXPERIMENT", json.dumps(TRIAL))):
        monkeypatch.setenv(f"AVREC_{name}", value)

    def avrec(*arguments: str):
        return CliRunner().invoke(app, ["experiment", "replay", "--name", "t", *arguments], prog_name="avrec")

    told = json.loads(avrec("--arm", "varied", "--json").stdout)
    assert told["snips"]["likes"]["low"] <= told["snips"]["likes"]["value"] and told["clip"] is None and told["lists"] == 120
    asked = avrec("--knob", "diversity=0.35", "--clip", "10")
    assert asked.exit_code == 0 and "clipped at 10" in asked.output and "came out the same" in asked.output, asked.output
    for arguments, code, why in (
        (("--arm", "other"), 2, "has no arm 'other'"),
        (("--knob", "colour=1"), 2, "there is no knob 'colour'"),
        ((), 2, "name one --arm"),
        (("--arm", "varied", "--since", "2030-01-01"), 1, "give an arm an epsilon"),
    ):
        done = avrec(*arguments)
        assert done.exit_code == code and why in " ".join(done.output.split()), done.output
