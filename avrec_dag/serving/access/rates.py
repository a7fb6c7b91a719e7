"""How often somebody may ask: a token bucket each (Turner 1986), in this process alone."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 10_000
"""So many callers are remembered; of more, who was away longest starts anew."""
BURST_S = 2.0
"""Who was quiet may send what this many seconds allow at once; at least one request."""


class Rates:
    """Buckets by caller.

    Args:
        clock: Seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str, per_second: float) -> float:
        """Take one request; 0.0 where it may go, else after how many seconds the next may.

        Args:
            who: Whose bucket.
            per_second: At which it fills.
        """
        now, most = self._clock(), max(1.0, per_second * BURST_S)
        with self._lock:
            left, then = self._buckets.pop(who, (most, now))
            left = min(most, left + (now - then) * per_second)
            allowed = left >= 1.0
            self._buckets[who] = (left - allowed, now)
            if len(self._buckets) > _MOST:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / per_second
