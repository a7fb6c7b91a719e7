"""The flat list of events that every model reads, against a plain dictionary of lists."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avrec_dag.recommend.models.base import Interactions

N_ITEMS = 5
_events = st.tuples(st.integers(0, N_ITEMS - 1), st.sampled_from([-1.0, -0.25, 0.0, 0.5, 1.0]))
_histories = st.lists(st.lists(_events, max_size=6), min_size=1, max_size=5)


def _built(histories: list[list[tuple[int, float]]]) -> Interactions:
    flat = [event for history in histories for event in history]
    return Interactions(
        users=tuple(f"u{place}" for place in range(len(histories))),
        items=tuple(f"i{place}" for place in range(N_ITEMS)),
        indptr=np.cumsum([0, *map(len, histories)]).astype(np.int64),
        columns=np.array([item for item, _ in flat], np.int32),
        weights=np.array([weight for _, weight in flat], np.float32),
        at_s=np.concatenate([np.arange(len(history), dtype=np.float64) for history in histories]),
    )


def _told(data: Interactions) -> list[list[tuple[int, float]]]:
    pairs = list(zip(data.columns.tolist(), data.weights.tolist(), strict=True))
    return [pairs[start:end] for start, end in zip(data.indptr, data.indptr[1:], strict=False)]


@given(_histories)
def test_matrices_hold_the_newest_opinion_of_each_item(histories: list[list[tuple[int, float]]]) -> None:
    data = _built(histories)
    newest = [dict(history) for history in histories]
    liked, met = data.liked.toarray(), data.met.toarray()
    for user, opinions in enumerate(newest):
        for item in range(N_ITEMS):
            assert liked[user, item] == max(opinions.get(item, 0.0), 0.0)
            assert met[user, item] == (item in opinions)
    assert data.support().tolist() == [sum(opinions.get(item, 0) > 0 for opinions in newest) for item in range(N_ITEMS)]


@given(_histories, st.data())
def test_choosing_users_and_events_keeps_each_history_whole_and_in_order(
    histories: list[list[tuple[int, float]]], drawn: st.DataObject
) -> None:
    data = _built(histories)
    order = drawn.draw(st.lists(st.integers(0, len(histories) - 1), max_size=8))
    assert _told(data.of(order)) == [histories[user] for user in order]
    flags = np.array([drawn.draw(st.booleans()) for _ in range(len(data))], np.bool_)
    kept = iter(flags.tolist())
    assert _told(data.only(flags)) == [[event for event in history if next(kept)] for history in histories]
