from datetime import UTC, datetime, timedelta

import pytest

from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.delay import update_upload_delay
from avrec_dag.steps import WHOLE
from tests.made_tables import STEPS

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEP = STEPS["upload_delay"]


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(str(tmp_path))


def minutes(n: float) -> datetime:
    return AT + timedelta(minutes=n)


def came(ledger: Ledger, key: str, at: float, etag: str = "1") -> None:
    ledger.append("raw_media", "2026-03-02", [Row(key, etag, {"video": etag}, {"etag": etag, "uploaded_at": minutes(at)})])


def judged(ledger: Ledger, *keys: str) -> None:
    ledger.append("quality_scores", WHOLE, [Row(key, "1", {"score": "1"}, {"score": 0.5}) for key in keys])


def lists(ledger: Ledger, made: float, **of: list[str]) -> dict:
    rows = [Row(user, str(made), {"list": str(made)}, {"media_ids": keys, "made_at": minutes(made)}) for user, keys in of.items()]
    ledger.append("recommendations", WHOLE, rows)
    outcome = update_upload_delay(ledger, STEP)
    columns = ["ready_at", "listed_at", "delay_s"]
    kept = {row["media_id"]: tuple(row[name] for name in columns) for row in ledger.rows(STEP.name, WHOLE, columns).to_pylist()}
    return {"kept": kept, "notes": dict(outcome.notes), "computed": outcome.computed}


def test_the_delay_is_counted_to_the_first_lists_that_know_an_item_and_stays(ledger):
    came(ledger, "old.mp4", -9000)
    judged(ledger, "old.mp4")
    assert update_upload_delay(ledger, STEP).rows == 0  # nobody is there to wait
    assert lists(ledger, 1, ada=["old.mp4"])["kept"] == {"old.mp4": (minutes(1), minutes(1), None)}
    came(ledger, "new.mp4", 2)
    assert "new.mp4" not in lists(ledger, 3, ada=["old.mp4"])["kept"]  # these lists do not know it yet
    judged(ledger, "new.mp4")
    found = lists(ledger, 5, ada=["old.mp4"], bob=["old.mp4"])
    assert found["kept"] == {"old.mp4": (minutes(1), minutes(1), None), "new.mp4": (minutes(5), None, 180.0)}
    assert found["notes"] == {"lately": 1, "never_listed": 1, "p50_s": 180.0, "p90_s": 180.0, "p99_s": 180.0}
    found = lists(ledger, 9, bob=["new.mp4"])
    assert found["kept"]["new.mp4"] == (minutes(5), minutes(9), 180.0)
    assert lists(ledger, 10, bob=["new.mp4"])["computed"] == 0


def test_a_replaced_upload_begins_anew_and_one_that_left_leaves(ledger):
    came(ledger, "a.mp4", 0)
    came(ledger, "b.mp4", 0)
    judged(ledger, "a.mp4", "b.mp4")
    lists(ledger, 1, ada=["a.mp4"])
    came(ledger, "a.mp4", 2, etag="2")
    ledger.tombstone("raw_media", "2026-03-02", ["b.mp4"])
    assert lists(ledger, 1, ada=["a.mp4"])["kept"] == {}  # no lists since it was replaced
    ledger.append(STEP.name, WHOLE, [Row("gone.mp4", "1", {}, {"etag": "1"})])
    assert lists(ledger, 4, ada=["a.mp4"])["kept"] == {"a.mp4": (minutes(4), minutes(4), 120.0)}


def test_percentiles_speak_of_the_last_week(ledger):
    keys = [f"{n}.mp4" for n in range(10)]
    came(ledger, "first.mp4", 0)
    judged(ledger, "first.mp4")
    lists(ledger, 1, ada=[])
    came(ledger, "long ago.mp4", 2)
    judged(ledger, "long ago.mp4")
    lists(ledger, 1000, ada=[])
    for n, key in enumerate(keys):
        came(ledger, key, 30_000 - n)
    judged(ledger, *keys)
    notes = lists(ledger, 30_000, ada=keys)["notes"]
    assert (notes["lately"], notes["p50_s"], notes["never_listed"]) == (10, 270.0, 2)
