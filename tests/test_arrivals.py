"""When a day is due, from what successive looks saw of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avrec_dag.arrivals import PATIENCE_S, QUIET_S, Known, Seen, settle

AT_S, DAY = 1_800_000_000.0, "2026-03-02"


def fresh(digest: str, at_s: float, count: int = 1) -> dict[str, Seen]:
    """The day, changed this very moment."""
    return {DAY: Seen(digest, count, at_s)}


def test_a_day_is_due_once_it_stood_still_for_a_look_and_then_never_again():
    known, due = settle(Known(), fresh("x", AT_S), AT_S)
    assert due == []
    known, due = settle(known, fresh("x", AT_S), AT_S + 1)
    assert (due, known.asked) == ([DAY], 1)
    assert settle(known, fresh("x", AT_S), AT_S + 60) == (known, [])


def test_a_day_whose_last_upload_is_old_enough_is_due_at_once_but_not_before_anything_is_stored():
    old = fresh("x", AT_S - QUIET_S)
    assert settle(Known(), old, AT_S)[1] == [DAY]
    assert settle(Known(), old, AT_S, first=True)[1] == []


def test_a_day_that_keeps_changing_is_due_after_a_while():
    known, at_s = Known(), AT_S
    while at_s < AT_S + PATIENCE_S:
        known, due = settle(known, fresh(f"at {at_s}", at_s), at_s)
        assert due == []
        at_s += 15
    assert settle(known, fresh("last", at_s), at_s)[1] == [DAY]


def test_where_uploads_left_the_day_has_to_stand_still_as_nothing_tells_when():
    known = Known(days={DAY: ("x", 3)})
    known, due = settle(known, {DAY: Seen("y", 2, AT_S - 1_000)}, AT_S)
    assert due == []
    assert settle(known, {DAY: Seen("y", 2, AT_S - 1_000)}, AT_S + 15)[1] == [DAY]


def test_a_day_that_lost_its_last_upload_is_due_and_then_forgotten():
    known, due = settle(Known(days={DAY: ("x", 1)}), {DAY: Seen()}, AT_S)
    assert due == []
    known, due = settle(known, {DAY: Seen()}, AT_S + 15)
    assert (due, known.days, known.waiting) == ([DAY], {}, {})


def test_a_day_that_is_back_where_it_was_before_anybody_asked_is_not_due():
    known, _ = settle(Known(days={DAY: ("x", 1)}), fresh("y", AT_S), AT_S)
    known, due = settle(known, fresh("x", AT_S), AT_S + 15)
    assert (due, known.waiting) == ([], {})


def test_days_that_were_not_looked_at_stay_as_they_are():
    known = Known(days={DAY: ("x", 1)}, waiting={"2026-03-03": ("y", AT_S)})
    assert settle(known, {}, AT_S + 1_000) == (known, [])


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "z"])), max_size=12), st.booleans())
def test_whatever_happens_the_last_state_of_every_day_is_asked_for(history: Sequence[dict[str, str]], old: bool):
    known, last, keys = Known.read(None, AT_S), {}, set()
    for look, state in enumerate([*history, *(history[-1:] * 2)]):
        at_s = AT_S + 15 * look
        seen = {day: Seen(state.get(day, ""), day in state, at_s - 60 * old) for day in ("a", "b")}
        known, due = settle(known, seen, at_s)
        known = Known.read(known.write(), at_s)
        last |= {day: state.get(day, "") for day in due}
        asked = {(day, known.epoch, known.asked) for day in due}
        assert not asked & keys
        keys |= asked
    final = history[-1] if history else {}
    assert {day: seen for day, seen in last.items() if seen} == final
    assert not known.waiting


def test_what_is_remembered_is_read_as_it_was_written():
    known = Known("e", 3, {DAY: ("x", 2)}, {"@2026-03-03": ("y", 1.5)}, "s", 4.0, ("2026-03-01",), 4.5, "u", 5.0, 6.0, "2026-03-04", ("h",))
    assert Known.read(known.write(), AT_S) == known
    assert Known.read(replace(known, relisted=None).write(), AT_S).relisted is None


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"other": 1}', "7", '{"epoch": "", "days": {}, "waiting": {}, "relisted": null, "told": []}']
)
def test_what_cannot_be_read_starts_anew(text):
    known = Known.read(text, AT_S)
    assert known == Known(epoch=known.epoch)
    assert known.epoch != Known.read(text, AT_S + 1).epoch
