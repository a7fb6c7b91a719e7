"""Who is told how far long work has come: the library reports, the command line or Dagster listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, str, int, int], None]
_listeners: list[Listener] = []


def report(table: str, partition: str, done: int, total: int) -> None:
    """Tell every listener that `done` of `total` items of a table's partition are finished."""
    for listener in tuple(_listeners):
        listener(table, partition, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener(table, partition, done, total)` for every report made inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
