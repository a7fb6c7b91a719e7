"""What a report says of arms: which event belongs to which list, means and intervals of people, tests, and shares that do not hold."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.experiments import arms, comparing
from avrec_dag.experiments.comparing import People, against, ratio_p
from avrec_dag.experiments.impressions import Impression, ImpressionLog
from avrec_dag.experiments.items import Catalogued
from avrec_dag.experiments.outcomes import REWARDS, gather
from avrec_dag.experiments.pictures import picture
from avrec_dag.experiments.randomising import Policy
from avrec_dag.experiments.reporting import report
from avrec_dag.feedback import Event, FeedbackLog

AT = datetime(2026, 3, 2, 22, tzinfo=UTC)
TWO = {"name": "t", "arms": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}, {"name": "s", "shadow": True}]}


def shown(n: int, user: str, items: str, *, minutes: float = 0.0, arm: str = "a", shadow_of: str = "") -> Impression:
    at = AT + timedelta(minutes=minutes)
    return Impression(f"{n:032x}", user, "t", arm, at, tuple(items), (0.5,) * len(items), Policy(tuple(items)), shadow_of=shadow_of)


def done(user: str, item: str, kind: str, minutes: float, value: float | None = None) -> Event:
    return Event(user_id=user, media_id=item, kind=kind, value=value, happened_at=AT + timedelta(minutes=minutes))


class Memory(FeedbackLog):
    """Events of a list."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__("sqlite:///nowhere.db")
        self.held = events

    def events(self, day: str):
        return iter([one for one in self.held if one.day == day])


def slowly(impressions: list[Impression], events: list[Event], window_h: float) -> dict[tuple[str, int, str], float]:
    """The same by looking at everything for each event."""
    found: dict[tuple[str, int, str], float] = defaultdict(float)
    for event in events:
        held = [
            (one.served_at, one.impression_id, place)
            for one in impressions
            for place, item in enumerate(one.shown)
            if (one.user_id, item) == (event.user_id, event.media_id)
            and timedelta() <= event.happened_at - one.served_at <= timedelta(hours=window_h)
        ]
        if held:
            _, one, place = max(held)
            for name, kinds in REWARDS.items():
                if event.kind in kinds:
                    found[one, place, name] = max(found[one, place, name], event.value if name == "watched" else 1.0)
    return found


PEOPLE, ITEMS = st.sampled_from(["u", "v", "w"]), st.permutations("cdef").map(lambda one: "".join(one[:3]))
KINDS = st.sampled_from([("play", None), ("watch", 0.3), ("watch", 0.7), ("like", None), ("skip", None), ("impression", None)])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(PEOPLE, ITEMS, st.integers(0, 300)), max_size=8),
    st.lists(st.tuples(PEOPLE, st.sampled_from("cdefz"), KINDS, st.integers(0, 400)), max_size=12),
)
def test_every_event_counts_for_the_last_list_before_it(lists, events):
    impressions = sorted(
        (shown(n, user, items, minutes=at) for n, (user, items, at) in enumerate(lists)), key=lambda one: (one.served_at, one.impression_id)
    )
    happened = [done(user, item, kind, at, value) for user, item, (kind, value), at in events]
    found, expected = gather(impressions, Memory(happened), window_h=2), slowly(impressions, happened, 2)

    got = {
        (found.ids[row], place, name): values[found.starts[row] + place]
        for name, values in found.rewards.items()
        for row in range(len(found.ids))
        for place in range(found.starts[row + 1] - found.starts[row])
    }
    assert {key: value for key, value in got.items() if value} == expected


def made(seed: int, people: int, likes: float, *, rate: float = 3.0) -> People:
    """People who come different numbers of times and like by a chance of their own, so that lists of one person go together."""
    rng = np.random.default_rng(seed)
    lists = 1.0 + rng.poisson(rate, people)
    own = rng.beta(8 * likes, 8 * (1 - likes), people)
    return People(lists, {"likes": rng.binomial(lists.astype(int), own).astype(float)}, seed)


def test_intervals_cover_the_truth_and_p_is_uniform_where_arms_are_alike():
    covered, p_values = [], []
    for seed in range(60):
        one, control = made(2 * seed, 150, 0.3), made(2 * seed + 1, 150, 0.3)
        found = against(one, control, "likes", "per_list")
        covered.append(
            (found.low <= 0 <= found.high, one.estimate("likes", "per_list").low <= 0.3 <= one.estimate("likes", "per_list").high)
        )
        p_values.append(found.p)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert all(stats.binomtest(int(n), 60, 0.95).pvalue > 1e-3 for n in np.sum(covered, axis=0)), np.mean(covered, axis=0)


def test_a_ratio_that_forgets_who_people_are_is_surer_than_it_may_be():
    one = made(1, 400, 0.3, rate=30.0)
    mine = one.estimate("likes", "per_list")
    naive = np.sqrt(mine.value * (1 - mine.value) / one.lists.sum())
    assert (mine.high - mine.low) / 3.92 > 2 * naive
    assert np.std(one.linearised("likes", "per_list"), ddof=1) / np.sqrt(400) == pytest.approx((mine.high - mine.low) / 3.92, rel=0.15)


def test_the_bootstrap_is_that_of_drawing_people_one_by_one():
    one = made(3, 60, 0.4)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(4000):
        chosen = rng.integers(0, 60, 60)
        drawn.append(one.totals["likes"][chosen].sum() / one.lists[chosen].sum())
    mine = one.estimate("likes", "per_list")
    assert (mine.low, mine.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.012)
    assert one.drawn("likes", "per_list").tolist() == made(3, 60, 0.4).drawn("likes", "per_list").tolist()


def test_draws_in_portions_are_as_many(monkeypatch):
    monkeypatch.setattr(comparing, "_CELLS", 700)
    assert comparing.resampled(np.ones((100, 2)), seed=1).tolist() == [[100.0, 100.0]] * comparing.DRAWS


def test_people_that_are_not_spread_as_they_should_be_are_noticed():
    assert ratio_p({"a": 510, "b": 490}, {"a": 0.5, "b": 0.5}) == pytest.approx(stats.chisquare([510, 490]).pvalue)
    assert ratio_p({"a": 600}, {"a": 0.1, "b": 0.1}) < 1e-50
    assert np.isnan(ratio_p({"a": 600}, {"a": 0.1})) and np.isnan(ratio_p({}, {}))


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Sixty people whose list of b is liked twice as often, and a shadow."""
    url = f"sqlite:///{tmp_path}/feedback.db"
    for name, value in (
        ("FEEDBACK", url),
        ("STORE", str(tmp_path / "store")),
        ("MEDIA", str(tmp_path / "media")),
        ("EXPERIMENT", json.dumps(TWO)),
    ):
        monkeypatch.setenv(f"AVREC_{name}", value)
    trial, impressions, events = arms.read(json.dumps(TWO)), ImpressionLog(url), FeedbackLog(url)
    assert trial is not None
    rng = np.random.default_rng(0)
    for n in range(60):
        arm = trial.assigned(f"u{n}")
        assert arm is not None
        lists = [shown(10 * n + m, f"u{n}", "cde", minutes=9 * m, arm=arm.name) for m in range(4)]
        impressions.add([*lists, shown(10 * n + 9, f"u{n}", "cdz", arm="s", shadow_of=lists[0].impression_id)])
        liked = [one for one in lists if rng.random() < (0.3 if arm.name == "a" else 0.6)]
        events.add([done(f"u{n}", "d", "like", (one.served_at - AT).total_seconds() / 60 + 1) for one in liked])
    yield impressions, events, trial
    impressions.close()
    events.close()


def test_a_report_is_counted_right(logs):
    impressions, events, trial = logs
    found = report("t", impressions, events, Catalogued(None), trial)
    a, b = found.arms

    assert (a.name, b.name, a.lists + b.lists, a.users + b.users, a.differences) == ("a", "b", 240, 60, {})
    total = sum(1 for day in events.days() for _ in events.events(day))
    assert a.rewards["likes"]["per_list"].value * a.lists + b.rewards["likes"]["per_list"].value * b.lists == pytest.approx(total)
    less = b.differences["likes"]
    assert less["per_list"].value == pytest.approx(b.rewards["likes"]["per_list"].value - a.rewards["likes"]["per_list"].value)
    assert less["per_list"].low > 0 and less["per_list"].p < 1e-3 and less["per_user"].p < 1e-3
    assert np.isnan(b.differences["plays"]["per_list"].p), "nobody played anything"
    assert [(one.name, one.lists, round(one.shared, 3)) for one in found.shadows] == [("s", 60, 0.667)]
    assert (found.ratio_p or 0) > 1e-3 and found.moved == 0 and not found.notes
    assert a.shown.items == 3 and a.shown.distance is None


def test_whoever_saw_several_arms_is_left_out_and_counted(logs):
    impressions, events, trial = logs
    arm = trial.assigned("u0")
    impressions.add([shown(9999, "u0", "cde", arm="b" if arm.name == "a" else "a")])
    found = report("t", impressions, events, Catalogued(None), None)

    assert found.moved == 1 and sum(one.users for one in found.arms) == 59 and found.ratio_p is None
    assert any("1 people saw several arms" in note for note in found.notes) and any("AVREC_EXPERIMENT" in note for note in found.notes)


def test_the_command_prints_what_the_report_says(logs, tmp_path, monkeypatch):
    done = CliRunner().invoke(app, ["experiment", "report", "--json", "--picture", str(tmp_path / "arms.png")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (
        told["arms"][1]["differences"]["likes"]["per_list"]["p"] < 1e-3 and told["arms"][1]["differences"]["plays"]["per_list"]["p"] is None
    )
    assert (tmp_path / "arms.png").read_bytes().startswith(b"\x89PNG")
    table = CliRunner().invoke(app, ["experiment", "report"])
    assert table.exit_code == 0 and "chi-square" in table.output and "shadow" in table.output

    monkeypatch.setenv("AVREC_EXPERIMENT", json.dumps({**TWO, "arms": [{"name": "a", "share": 0.1}, {"name": "b", "share": 0.9}]}))
    uneven = CliRunner().invoke(app, ["experiment", "report"])
    assert uneven.exit_code == 1 and "not spread over the arms" in uneven.output
    other = CliRunner().invoke(app, ["experiment", "report", "--name", "other"], prog_name="avrec")
    assert other.exit_code == 1 and "no list of the experiment 'other' was shown, only of t" in other.output
    wrong = CliRunner().invoke(app, ["experiment", "report", "--since", "yesterday"])
    assert wrong.exit_code == 2 and "is no day" in wrong.output


def test_before_anything_was_shown_a_report_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("AVREC_FEEDBACK", f"sqlite:///{tmp_path}/feedback.db")
    empty = CliRunner().invoke(app, ["experiment", "report"])
    assert empty.exit_code == 1 and "set AVREC_EXPERIMENT and run `avrec serve`" in empty.output


def test_an_empty_experiment_is_a_picture_too(logs):
    impressions, events, trial = logs
    assert picture(report("t", impressions, events, Catalogued(None), trial, since="2030-01-01")).startswith(b"\x89PNG")
