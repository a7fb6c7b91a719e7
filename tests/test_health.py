"""What is said of stored lists, against plain counting."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.feedback.events import unix_us
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.filtering import Filter
from avrec_dag.recommend.health import Judged, Metric, dated, measure
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
ITEMS = tuple(f"{n}.mp4" for n in range(12))
PEOPLE = tuple(f"user {n}" for n in range(12))


def lists_of(lists: dict[str, list[str]], **more: dict[str, object]) -> pa.Table:
    schema = TABLES["recommendations"].columns
    columns = {"media_ids": lists, "made_at": dict.fromkeys(lists, AT), "yesterday_ids": {}} | more
    data = {name: pa.array([values.get(user) for user in lists], schema.field(name).type) for name, values in columns.items()}
    return pa.table({"user_id": pa.array(lists, pa.string()), **data})


def judged(
    lists: pa.Table, met: dict[str, list[str]], *, rule: Filter | None = None, newest: datetime = AT, k: int = 3
) -> dict[str, Metric]:
    histories = pa.table(
        {
            "user_id": pa.array(met, pa.string()),
            "media_ids": pa.array(met.values(), pa.list_(pa.string())),
            "newest_us": pa.array([unix_us(newest)] * len(met), pa.int64()),
        }
    )
    quality = pa.table({"media_id": ITEMS, "score": [0.5] * len(ITEMS)})
    return {one.name: one for one in measure(Judged(rule or Filter(ITEMS, {}), lists, histories, quality, k))}


def broken(metrics: dict[str, Metric]) -> set[str]:
    return {name for name, one in metrics.items() if not one.passed}


def sound() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Everyone met one item and gets the next three."""
    circle = ITEMS * 2
    return {user: list(circle[n + 1 : n + 4]) for n, user in enumerate(PEOPLE)}, {user: [ITEMS[n]] for n, user in enumerate(PEOPLE)}


def test_sound_lists_pass():
    lists, met = sound()
    assert broken(judged(lists_of(lists), met)) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user 0": None}, {"users_covered"}),
        ({"user 0": ["1.mp4", "2.mp4"]}, {"short_lists"}),
        ({"user 0": ["1.mp4", "2.mp4", "2.mp4", "3.mp4"]}, {"repeats"}),
        ({"user 0": ["1.mp4", "2.mp4", "0.mp4"]}, {"already_met"}),
        ({"user 0": ["1.mp4", "2.mp4", "3.mp4", "nowhere.mp4"]}, {"unknown_items"}),
        ({"user 11": ["10.mp4", "2.mp4", "3.mp4"]}, {"copies_of_met"}),
        ({"user 0": ["1.mp4", "2.mp4", "9.mp4"]}, {"blocked"}),
    ],
)
def test_what_is_wrong_with_one_list_is_named_and_nothing_else(change, expected):
    lists, met = sound()
    lists = {
        user: [one for one in ITEMS if one not in ("9.mp4", met[user][0]) and (user, one) != ("user 10", "11.mp4")][:3] for user in lists
    }
    rule = Filter(ITEMS, {"10.mp4": "twins", "11.mp4": "twins"}, {"9.mp4"})
    assert broken(judged(lists_of(lists), met, rule=rule)) == set()
    changed = {user: chosen for user, chosen in (lists | change).items() if chosen is not None}
    assert broken(judged(lists_of(changed), met, rule=rule)) == expected


def test_who_has_nothing_left_may_have_an_empty_list():
    met = {user: list(ITEMS[:11]) for user in PEOPLE}
    rule = Filter(ITEMS, {"0.mp4": "g", "11.mp4": "g"})
    assert "short_lists" not in broken(judged(lists_of({user: [] for user in PEOPLE}), met, rule=rule))
    assert "short_lists" in broken(judged(lists_of({user: [] for user in PEOPLE}), met))


def test_lists_older_than_what_people_did_are_found():
    lists, met = sound()
    assert "outdated_lists" not in broken(judged(lists_of(lists), met, newest=AT + timedelta(hours=23)))
    late = judged(lists_of(lists), met, newest=AT + timedelta(days=2))["outdated_lists"]
    assert (late.passed, late.value) == (False, 12)


def test_a_few_items_that_hold_all_places_are_found():
    met = {f"user {n}": [] for n in range(40)}
    many = tuple(f"{n}.mp4" for n in range(400))
    same = lists_of({user: ["0.mp4", "1.mp4"] for user in met})
    metrics = judged(same, met, rule=Filter(many, {}), k=2)
    assert {"concentration_gini", "top_share", "catalogue_coverage"} <= broken(metrics)
    assert metrics["top_share"].value == 1.0
    few = judged(lists_of({"user 0": ["0.mp4", "1.mp4"]}), {"user 0": []}, rule=Filter(many, {}), k=2)
    assert not {"concentration_gini", "top_share"} & broken(few)


def test_drift_is_the_share_of_places_that_changed_since_the_day_before():
    lists, met = sound()
    before = {user: [chosen[0], chosen[1], "elsewhere.mp4"] for user, chosen in lists.items()}
    assert judged(lists_of(lists, yesterday_ids=before), met)["drift"].value == pytest.approx(1 / 3)
    other = {user: ["elsewhere.mp4"] for user in lists}
    assert "drift" in broken(judged(lists_of(lists, yesterday_ids=other), met))
    assert judged(lists_of(lists), met)["drift"].value == 0.0


def test_a_new_list_remembers_that_of_the_day_before_and_no_other(tmp_path):
    ledger = Ledger(str(tmp_path))

    def replaced(media_id: str, at: datetime) -> dict[str, object]:
        values = {"media_ids": [media_id], "scores": [0.5], "reasons": ["liked"], "model_version": "1"}
        ledger.append("recommendations", WHOLE, list(dated(ledger, [Row("ada", media_id, {"list": media_id}, values)], at)))
        return ledger.row("recommendations", "ada") or {}

    assert replaced("a", AT)["yesterday_ids"] is None
    assert replaced("b", AT + timedelta(hours=1))["yesterday_ids"] is None
    assert replaced("c", AT + timedelta(days=1))["yesterday_ids"] == ["b"]
    assert replaced("d", AT + timedelta(days=1, hours=2))["yesterday_ids"] == ["b"]
    assert replaced("e", AT + timedelta(days=5))["yesterday_ids"] == ["d"]


_lists = st.dictionaries(st.sampled_from([*PEOPLE[:4], "stranger"]), st.lists(st.sampled_from([*ITEMS[:5], "nowhere"]), max_size=5))


@settings(max_examples=60, deadline=None)
@given(
    lists=_lists, met=st.dictionaries(st.sampled_from(PEOPLE[:4]), st.lists(st.sampled_from([*ITEMS[:5], "gone"]), unique=True, max_size=4))
)
def test_counts_are_those_of_plain_counting(lists, met):
    metrics = judged(lists_of(lists), met, rule=Filter(ITEMS[:5], {}), k=3)
    known = {user: set(ITEMS[:5]) for user in met}
    assert metrics["users_covered"].value == pytest.approx(len(met.keys() & lists.keys()) / len(met) if met else 1.0)
    assert metrics["already_met"].value == sum(len(set(lists[user]) & set(met[user]) & known[user]) for user in met.keys() & lists.keys())
    assert metrics["unknown_items"].value == sum(chosen.count("nowhere") for chosen in lists.values())
    inside = {user: [one for one in chosen if one in ITEMS[:5]] for user, chosen in lists.items()}
    assert metrics["repeats"].value == sum(len(chosen) - len(set(chosen)) for chosen in inside.values())
    short = [user for user in met.keys() & lists.keys() if len(set(inside[user])) < min(3, len(known[user] - set(met[user])))]
    assert metrics["short_lists"].value == len(short)


def test_no_people_no_lists_and_no_items_are_fine():
    assert broken(judged(lists_of({}), {}, rule=Filter((), {}))) == set()
    assert broken(judged(lists_of({}), {})) == set()
