import logging

import pytest

from avrec_dag import progress
from avrec_dag.engine import Inline
from avrec_dag.errors import AvrecError
from avrec_dag.incremental import advance
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from tests.made_graph import DAY, GRAPH, Compute, World, thirty

RAW = Step("raw_media", "1")


def test_a_run_says_what_it_did_reports_how_far_it_is_and_logs_what_failed(tmp_path, caplog):
    world, seen = thirty(tmp_path, Inline()), []
    world.ingest()
    with progress.listening(lambda *report: seen.append(report)), caplog.at_level(logging.WARNING, "avrec"):
        outcome = world.bring("frames")
    assert (outcome.table, outcome.partition) == ("frames", DAY)
    assert (outcome.computed, outcome.failed, outcome.removed, outcome.rows) == (29, 1, 0, 29)
    assert outcome.data_version == world.ledger.data_version("frames", DAY)
    assert (seen[0], seen[-1]) == (("frames", DAY, 0, 30), ("frames", DAY, 30, 30))
    assert [record.getMessage() for record in caplog.records] == ["frames 2026-01-01: 'k03' failed: cannot be read"]


def test_values_that_cannot_be_stored_are_counted_as_failed(tmp_path):
    ledger = Ledger(str(tmp_path))
    plan = ledger.wanted("frames", WHOLE, {"a": "1", "b": "1"})
    outcome = advance(ledger, Inline(), GRAPH["frames"], WHOLE, unstorable, plan=plan)
    assert (outcome.computed, outcome.failed, outcome.rows) == (1, 1, 1)


def unstorable(items):
    return [item.done({}, {"method": "\ud800" if item.key == "a" else "fine"}) for item in items]


def test_rows_are_written_while_the_rest_is_still_computed(tmp_path):
    world = thirty(tmp_path, Inline())
    for i in range(80):
        world.upload(f"more {i}")
    world.ingest()
    stored = []
    with progress.listening(lambda *_: stored.append(world.ledger.counts("frames").ok)):
        world.bring("frames")
    assert stored[0] == 0
    assert stored == sorted(stored)
    assert 0 < stored[1] < 60


@pytest.mark.parametrize(("left", "guard", "refused"), [(14, 0.5, True), (16, 0.5, False), (0, None, False), (0, 1.0, False)])
def test_the_guard_refuses_a_mass_disappearance_and_can_be_told_otherwise(tmp_path, left, guard, refused):
    world = thirty(tmp_path, Inline())
    world.ingest()
    ledger = world.ledger
    plan = ledger.wanted("raw_media", DAY, {row["media_id"]: row["version"] for row in ledger.rows("raw_media").to_pylist()[:left]})
    if refused:
        with pytest.raises(AvrecError, match="16 of 30 items would vanish"):
            remove(ledger, plan, guard)
        assert ledger.counts("raw_media").ok == 30
    else:
        assert remove(ledger, plan, guard).removed == 30 - left
        assert ledger.counts("raw_media").ok == left


def remove(ledger, plan, guard):
    return advance(ledger, Inline(), RAW, DAY, Compute("raw_media", "1"), plan=plan, guard=guard)


def test_the_guard_lets_a_handful_go_however_small_the_day(tmp_path):
    world = World(str(tmp_path))
    for key in "abcd":
        world.upload(key)
    world.ingest()
    plan = world.ledger.wanted("raw_media", DAY, {})
    outcome = remove(world.ledger, plan, 0.5)
    assert outcome.removed == 4


def test_an_interrupted_run_keeps_what_was_computed(tmp_path):
    world = thirty(tmp_path, Inline())
    world.ingest()
    with pytest.raises(KeyboardInterrupt):
        world.bring("frames", Interrupted())
    assert world.ledger.counts("frames").ok == 3


class Interrupted(Inline):
    def run(self, task, batches):
        for number, rows in enumerate(super().run(task, batches)):
            if number == 2:
                raise KeyboardInterrupt
            yield rows
