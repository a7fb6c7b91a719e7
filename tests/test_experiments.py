"""Who is in which arm, what is logged of what they are shown, and that it is neither lost nor kept too long."""

import itertools
import json
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from avrec_dag.errors import SettingError, UnreachableError
from avrec_dag.experiments import arms
from avrec_dag.experiments.arms import Experiment
from avrec_dag.experiments.impressions import ERASED, Impression, ImpressionLog
from avrec_dag.experiments.randomising import Policy, drawn, pooled
from avrec_dag.experiments.writing import Writer
from avrec_dag.feedback.erasing import Traces
from avrec_dag.forgetting import forget_person, out_of_logs
from avrec_dag.ledger import Subject
from avrec_dag.lifecycle import Expired, Lifecycle, expire
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.serving.app import create_app
from resources.profiles import Settings
from tests.made_library import MadeLibrary
from tests.made_library import made_library as make

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
THREE = {"name": "t", "arms": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.3, "epsilon": 0.5, "pool": 12},
         {"name": "s", "shadow": True, "knobs": {"diversity": 0.9}}]}  # fmt: skip


def experiment(**changes: object) -> Experiment:
    found = arms.read(json.dumps({**THREE, **changes}))
    assert found is not None
    return found


WHOLE = experiment(arms=[{"name": str(n), "share": 0.1} for n in range(10)])


def test_people_are_spread_over_the_arms_by_their_shares_and_stay_there():
    users, wanted = [f"user-{n}" for n in range(4_000)], np.array([0.5, 0.3, 0.2])
    held = {salt: [getattr(experiment(salt=salt).assigned(one), "name", None) for one in users] for salt in ("x", "y")}

    for found in held.values():
        counts = [Counter(found)[name] for name in ("a", "b", None)]
        assert stats.chisquare(counts, wanted * len(users)).pvalue > 1e-4
    both = Counter(zip(held["x"], held["y"], strict=True))
    table = np.array([[both[one, other] for other in ("a", "b", None)] for one in ("a", "b", None)])
    assert stats.chi2_contingency(table).pvalue > 1e-4, "another salt is another draw"
    assert held["x"] == [getattr(experiment(salt="x").assigned(one), "name", None) for one in users]


@settings(deadline=None)
@given(st.text(min_size=1, max_size=50))
def test_anybody_has_one_arm_and_everybody_has_where_shares_sum_to_one(user_id):
    assert WHOLE.assigned(user_id) == WHOLE.assigned(user_id) in WHOLE.arms
    assert 0 <= arms.unit("t", user_id) < 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere.json", "cannot be read as JSON"),
        ("{", "its text, which cannot be read as JSON"),
        ("[]", "cannot be read as JSON"),
        ({"name": "a b"}, "name: "),
        ({"arms": []}, "arms: "),
        ({"arms": [{"name": "a", "share": 0.7}, {"name": "b", "share": 0.7}]}, "the shares sum to 1.4, expected at most 1"),
        ({"arms": [{"name": "a", "share": 0.5}, {"name": "a", "share": 0.5}]}, "two arms are called 'a'"),
        ({"arms": [{"name": "a", "shadow": True}]}, "every arm is a shadow"),
        ({"arms": [{"name": "a"}]}, "a has no share, and is no shadow"),
        ({"arms": [{"name": "a", "share": 0.5, "shadow": True}]}, "a is a shadow, which nobody sees"),
        ({"arms": [{"name": "a", "share": 1, "knobs": {"colour": 1}}]}, "arm a.knobs: there is no knob 'colour', only relevance"),
        ({"arms": [{"name": "a", "share": 1, "knobs": {"quality": "much"}}]}, "the knob quality is 'much', expected a number"),
        ({"arms": [{"name": "a", "share": 1, "knobs": {"per_creator": 1.5}}]}, "the knob per_creator is 1.5, expected a whole number"),
        ({"arms": [{"name": "a", "share": 1, "epsilon": 2}]}, "arm a.epsilon: "),
        ({"arms": ["a"]}, "arm 1: "),
        ({"control": "s"}, "the control 's' is no arm that is shown"),
        ({"weight": 1}, "weight: "),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_a_sentence(given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = given if isinstance(given, str) else json.dumps({**THREE, **given})
    with pytest.raises(SettingError, match="AVREC_EXPERIMENT") as error:
        Settings.from_env({"AVREC_EXPERIMENT": text})
    assert told in str(error.value)


def test_a_setting_is_a_file_or_its_text_or_empty(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps(THREE))
    assert Settings.from_env({"AVREC_EXPERIMENT": str(tmp_path / "t.json")}).experiment == experiment()
    assert Settings.from_env({"AVREC_EXPERIMENT": " "}).experiment is None


def test_knobs_of_an_arm_that_do_not_go_with_those_of_the_deployment_are_refused():
    odd = experiment(arms=[{"name": "a", "share": 1, "knobs": {"relevance": 0, "quality": 0}}])
    with pytest.raises(SettingError, match="arm a: relevance, quality and diversity are all 0"):
        odd.check(Knobs(diversity=0))
    with pytest.raises(SettingError, match="arm a: method must be one of"):
        experiment(arms=[{"name": "a", "share": 1, "knobs": {"method": "best"}}]).check(Knobs())


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.floats(0, 1))
def test_propensities_are_those_of_every_order_counted(k, more, epsilon):
    own, pool = tuple("abcd"[:k]), tuple("abcdefg"[: k + more])
    orders = list(itertools.permutations(pool, k))
    policy = Policy(own, pool, epsilon)
    for place in range(k):
        for item in (*pool, "z"):
            counted = epsilon * sum(one[place] == item for one in orders) / len(orders) + (1 - epsilon) * (own[place] == item)
            assert policy.propensity(item, place) == pytest.approx(counted)
    assert sum(policy.propensity(item, 0) for item in pool) == pytest.approx(1)


def test_every_order_is_drawn_equally_often_and_by_its_seed():
    pool = pooled(("a", "b"), ("b", "c", "d", "e"), 4)
    counts = Counter(drawn(pool, 2, seed=seed) for seed in range(6_000))

    assert pool == ("a", "b", "c", "d") and len(counts) == 12
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4
    assert drawn(pool, 2, seed=5) == drawn(pool, 2, seed=5)


def test_a_list_whose_pool_nobody_worked_out_has_no_propensities():
    with pytest.raises(ValueError, match="not worked out"):
        Policy(("a",), (), 0.5).propensity("a", 0)
    assert Policy(("a",)).propensities(("a",)) == (1.0,)


def impression(n: int = 0, *, user: str = "ada", days: int = 0, items: tuple[str, ...] = ("a_1.mp4", 'b "%" 猫.mp4')) -> Impression:
    policy = Policy(items, (*items, "c.mp4"), 0.3)
    at = AT + timedelta(days=days, microseconds=n)
    return Impression(f"{n:032x}", user, "t", "b", at, items, (0.9, 0.5), policy, {"model": "m1"}, {"referrer": items[0]})


@pytest.fixture
def log(tmp_path):
    made = ImpressionLog(f"sqlite:///{tmp_path}/feedback.db")
    yield made
    made.close()


@pytest.mark.parametrize("where", ["file", "server"])
def test_what_was_logged_is_read_as_it_was(where, log, request):
    if where == "server":
        server = request.getfixturevalue("postgres")
        log = ImpressionLog(server.url(server.new_database()))
    held = [impression(n, days=n % 3) for n in range(9)]

    assert (log.add(held), log.add(held)) == (9, 0)
    assert sorted(log.impressions("t"), key=lambda one: one.impression_id) == held
    assert [one.day for one in log.impressions("t", since="2026-03-03", until="2026-03-03")] == ["2026-03-03"] * 3
    assert list(log.impressions("other")) == list(log.impressions("t", shadows=True)) == []
    assert log.experiments() == [{"experiment": "t", "arm": "b", "shadow": 0, "lists": 9, "first": "2026-03-02", "last": "2026-03-04"}]
    assert held[0].propensities == pytest.approx((0.8, 0.8))
    assert (log.remove_item('b "%" 猫.mp4'), log.remove_item("a11mp4"), log.remove_before("2026-03-03"), log.erase_user("ada")) == (
        9,
        0,
        3,
        6,
    )
    log.close()


def test_an_erased_person_and_an_erased_item_are_in_no_list(log):
    odd = 'b "%" 猫.mp4'
    log.add([impression(1), impression(2, user="ben"), impression(3, user="ben", items=("a11.mp4", "d.mp4"))])
    traces = Traces(log.url)

    assert (traces.of_person("ada")["impressions"], traces.of_item(odd)["impressions"]) == (1, 2)
    assert traces.of_item("a_1.mp4")["impressions"] == 2, "an underscore is no wildcard"
    out_of_logs(log.url, Subject("person", "ada"))
    out_of_logs(log.url, Subject("item", odd))
    assert (traces.of_person("ada")["impressions"], traces.of_item(odd)["impressions"]) == (0, 0)
    left = list(log.impressions("t"))
    assert [one.shown for one in left] == [("a_1.mp4", ERASED), ("a11.mp4", "d.mp4")]
    assert "猫".encode() not in b"".join(path.read_bytes() for path in log_files(log))
    traces.close()


def log_files(log):
    folder = Path(log.url.removeprefix("sqlite:///")).parent
    return [path for path in folder.iterdir() if path.name.startswith("feedback.db")]


@pytest.mark.parametrize(("setting", "left"), [("impressions=2", 3), ("feedback_events=2", 3), ("feedback_events=2,impressions=9", 9)])
def test_lists_are_kept_as_long_as_they_may_be(log, tmp_path, setting, left):
    library, today = make(tmp_path, n_users=0), date(2026, 3, 10)
    log.add([impression(n, days=n) for n in range(9)])
    days = Lifecycle.read(setting).days
    expected = [Expired("impressions", days.get("impressions", 2), 9 - left)] if left < 9 else []

    for dry_run in (True, False):
        assert expire(library.ledger, library.log, Lifecycle.read(setting), today, dry_run=dry_run) == expected
    assert sum(log.counts().values()) == left
    assert expire(library.ledger, library.log, Lifecycle.read(""), date(2126, 1, 1), dry_run=False) == []


def test_a_stop_writes_all_that_waits_and_an_error_costs_one_list(log):
    writer = Writer(log)

    def broken(_unhurried: bool) -> list[Impression]:
        raise ZeroDivisionError

    threads = [
        threading.Thread(target=lambda m=m: [writer.put(lambda _, n=n: [impression(n)]) for n in range(m, 400, 4)]) for m in range(4)
    ]
    for thread in threads:
        thread.start()
    writer.put(broken)
    for thread in threads:
        thread.join()
    writer.close()

    assert (sum(log.counts().values()), writer.written, writer.dropped) == (400, 400, 1)


class Away(ImpressionLog):
    """Does not answer for a while."""

    left = 2

    def add(self, impressions):
        self.left -= 1
        if self.left >= 0:
            raise UnreachableError("away")
        return super().add(impressions)


def test_a_log_that_was_away_gets_what_waited(log, monkeypatch):
    monkeypatch.setattr("avrec_dag.experiments.writing._AGAIN_S", 0.05)
    writer = Writer(Away(log.url))
    writer.put(lambda _: [impression(1)])
    until = time.monotonic() + 10
    while not writer.written and time.monotonic() < until:
        time.sleep(0.02)
    writer.close()

    assert [one.impression_id for one in log.impressions("t")] == [impression(1).impression_id]


def test_when_answers_wait_no_list_is_made_that_nobody_sees(log, monkeypatch):
    monkeypatch.setattr("avrec_dag.experiments.writing.MOST_BEHIND", 3)
    writer, told, gate, at_work = Writer(log), [], threading.Event(), threading.Event()

    def first(_unhurried: bool) -> list[Impression]:
        at_work.set()
        gate.wait(10)
        return []

    writer.put(first)
    at_work.wait(10)
    for n in range(8):
        writer.put(lambda unhurried, n=n: told.append(unhurried) or [impression(n)])
    gate.set()
    writer.close()

    assert told == [False] * 4 + [True] * 4 and writer.hurried == 4 and sum(log.counts().values()) == 8


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> MadeLibrary:
    made = make(tmp_path_factory.mktemp("served"))
    made.refresh(measured=False)
    return made


def served(library: MadeLibrary, trial: Experiment) -> TestClient:
    return TestClient(create_app(library.ledger, library.blobs, None, library.log, experiment=trial))  # type: ignore[arg-type]


def test_the_service_shows_each_person_their_arm_and_logs_what_they_were_shown(library):
    trial, users = experiment(), [f"made-user-{n:03d}" for n in range(12)] + ["stranger"]
    with served(library, trial) as client:
        answers = {user: client.get(f"/v1/recommendations/{user}?k=5") for user in users}
        turned = client.get(f"/v1/recommendations/{users[0]}?k=5&diversity=0.4")
    shown = {one.user_id: one for one in ImpressionLog(library.log.url).impressions("t")}
    shadows = {one.shadow_of: one for one in ImpressionLog(library.log.url).impressions("t", shadows=True)}

    assert "avrec-experiment" not in turned.headers, "a request that turns a knob itself belongs to no arm"
    assert shown.keys() == {user for user in users if trial.assigned(user)} and 0 < len(shown) < len(users)
    for user, one in shown.items():
        answer, arm = answers[user], trial.assigned(user)
        assert arm and one.arm == arm.name and answer.headers["avrec-experiment"] == f"t; arm={arm.name}"
        assert answer.headers["avrec-impression"] == one.impression_id
        assert list(one.shown) == [item["media_id"] for item in answer.json()]
        assert one.scores == pytest.approx([item["score"] for item in answer.json()], abs=1e-6)
        assert one.versions.keys() == {"model", "index", "features", "interactions", "knobs"} and all(one.versions.values())
        assert "diversity=0.9" in shadows[one.impression_id].versions["knobs"]
        assert set(one.shown) <= set(one.policy.pool or one.policy.own)
        assert len(one.policy.pool) == (12 if arm.epsilon else 0) and one.propensities
        if arm.epsilon:
            ours = arms.unit("t|draw", one.impression_id) < arm.epsilon
            order = drawn(one.policy.pool, 5, seed=int(arms.unit("t|order", one.impression_id) * 2**53))
            assert one.shown == (order if ours else one.policy.own), "the log says how it was drawn"
    assert all("avrec-experiment" not in answers[user].headers for user in users if user not in shown)


def test_a_list_that_goes_on_is_logged_as_such_and_repeats_nothing(library):
    with served(library, experiment(name="on", arms=[{"name": "b", "share": 1, "epsilon": 0.5, "pool": 12}])) as client:
        first = client.get("/v1/recommendations/made-user-005?k=4")
        more = client.get("/v1/recommendations/made-user-005", params={"k": 4, "cursor": first.headers["avrec-cursor"]})
    one, other = ImpressionLog(library.log.url).impressions("on")

    assert (one.continued, other.continued) == (False, True)
    assert [item["media_id"] for item in more.json()] == list(other.shown) and not set(other.policy.pool) & set(one.shown)


def test_a_drawn_list_is_drawn_as_often_as_epsilon_says(library):
    trial = experiment(name="often", arms=[{"name": "b", "share": 1, "epsilon": 0.4, "pool": 8}])
    with served(library, trial) as client:
        for _ in range(60):
            client.get("/v1/recommendations/made-user-004?k=3")
    held = list(ImpressionLog(library.log.url).impressions("often"))

    assert len(held) == 60 and len({one.policy for one in held}) == 1, "drawing changes neither the arm's list nor the pool"
    assert stats.binomtest(sum(one.shown != one.policy.own for one in held), 60, 0.4).pvalue > 1e-3


def test_somebody_who_is_forgotten_is_forgotten_here_too(library):
    with served(library, experiment(name="forget", arms=[{"name": "a", "share": 1}])) as client:
        client.get("/v1/recommendations/made-user-007?k=3")
    before, after = forget_person(library.ledger, library.log.url, "made-user-007")

    assert before["impressions"] >= 1 and "impressions" not in after
