"""With Ray, graphics cards are shared out: one process for each, which keeps it. Ray counts the cards it is told of; none is needed."""

from collections.abc import Sequence

import pytest

from avrec_dag.encoders import devices
from avrec_dag.engine import engine
from avrec_dag.engine.on_ray import needs
from avrec_dag.items import Item
from tests.made_tasks import CardsElsewhere, WhichCards


@pytest.mark.slow
def test_with_ray_every_card_has_one_process_that_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(devices, "cards", lambda: 2)  # Ray counts cards as it is told, and hands out their numbers
    running = engine("ray", 2)

    def fields(task: WhichCards | CardsElsewhere, keys: Sequence[str]) -> list[str | None]:
        rows = {row.key: row for part in running.run(task, [[Item(key, "1", "")] for key in keys]) for row in part}
        return [None if rows[key].error else rows[key].fields["frames"] for key in keys]

    try:
        first, second = (fields(WhichCards(), list("abcdef")) for _ in range(2))
        assert len({*first, *second}) == 2  # a card's process is kept from task to task
        assert {str(told).split()[0] for told in first} == {"0", "1"}
        assert len(fields(WhichCards(on_card=False), list("abcdef"))) == 6  # cards that are kept take no core from other tasks
        after = fields(WhichCards(), ["a", "kills", "b", "c", "d"])
        assert [told is None for told in after] == [False, True, False, False, False]
        assert len({str(told).split()[0] for told in fields(WhichCards(), list("abcdef"))}) == 2
        monkeypatch.setattr(devices, "cards", lambda: 0)  # a cluster may have cards that this machine has not
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert {str(told).split()[0] for told in fields(CardsElsewhere(), list("abcd"))} == {"0", "1"}
        assert {str(told).split()[0] for told in fields(WhichCards(on_card=False), list("ab"))} == {"all"}
    finally:
        running.close()


@pytest.mark.parametrize(("on_card", "expected"), [(True, {"num_cpus": 0, "num_gpus": 1}), (False, {"num_cpus": 1, "num_gpus": 0})])
def test_ray_reserves_a_whole_card_or_a_core(on_card: bool, expected: dict[str, int]) -> None:
    assert needs(on_card=on_card) == expected
