"""Waiting for what happens in other processes."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], within_s: float) -> None:
    """Look twenty times a second until it holds; AssertionError where it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s:g} s in vain"
        time.sleep(0.05)
