"""Impressions are written behind the answers: a bounded queue, one thread, many in one transaction."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from avrec_dag.errors import SettingError, UnreachableError
from avrec_dag.experiments.impressions import Impression, ImpressionLog

_LOG = logging.getLogger(__name__)
MOST_QUEUED = 1_000
"""So many answers wait at most until their impressions are made; those of further ones are dropped and counted."""
MOST_WAITING = 10_000
"""So many impressions wait at most while the log does not answer; the same."""
MOST_BEHIND = 100
"""While more answers wait, no list is made that nobody sees: answers come first."""
_BATCH, _GATHER_S, _AGAIN_S, _CLOSE_S = 500, 0.2, 1.0, 20.0

Job = Callable[[bool], Sequence[Impression]]
"""Makes the impressions of one answer; told whether there is time for lists that nobody sees."""


class Writer:
    """Writes what was shown. Safe for threads; its own starts with the first impression.

    `close` writes what waits: lists that nobody sees are made for 5 s more, and a log that does not answer is asked for 10 s more. A
    process that is killed loses what waited: about the last fifth of a second, more while lists of shadows are made. An answer is never
    held up, and never fails for it.

    Args:
        log: Where impressions are kept.
    """

    def __init__(self, log: ImpressionLog) -> None:
        self.log, self.dropped, self.hurried, self.written = log, 0, 0, 0
        self._waiting: queue.Queue[Job | None] = queue.Queue(MOST_QUEUED)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing_s = float("inf")

    def put(self, job: Job) -> None:
        """Have the impressions of one answer made and written soon."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            self._drop(1)

    def close(self) -> None:
        """Write what waits, for at most 20 s, and end."""
        self._closing_s = time.monotonic()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join(_CLOSE_S + _AGAIN_S)
        self.log.close()

    def _run(self) -> None:
        left: list[Impression] = []
        going = True
        while going or left:
            jobs, going = self._gathered(_AGAIN_S if left else None) if going else ([], False)
            for place, job in enumerate(jobs):
                left += self._made(job, waiting=len(jobs) - place - 1)
            self._drop(len(left) - MOST_WAITING)
            del left[MOST_WAITING:]
            if left and not self._write(left):
                time.sleep(0 if going else _AGAIN_S)
                continue
            left = []

    def _gathered(self, wait_s: float | None) -> tuple[list[Job], bool]:
        """The jobs of about a fifth of a second after the first, for which it waits, and whether more can come."""
        jobs: list[Job] = []
        until = 0.0
        while len(jobs) < _BATCH:
            try:
                job = self._waiting.get(timeout=wait_s)
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            until = until if jobs else time.monotonic() + _GATHER_S
            jobs.append(job)
            wait_s = max(0.0, until - time.monotonic())
        return jobs, True

    def _made(self, job: Job, *, waiting: int) -> Sequence[Impression]:
        late = time.monotonic() - self._closing_s > _CLOSE_S / 4
        hurry = late or waiting + self._waiting.qsize() > MOST_BEHIND
        self.hurried += hurry
        try:
            return job(not hurry)
        except Exception:  # one list that cannot be made must not end the log of all others
            _LOG.exception("an impression was not logged")
            self._drop(1)
            return ()

    def _write(self, made: Sequence[Impression]) -> bool:
        """Whether there is nothing left to do about them: they are written, or it is too late for that."""
        try:
            self.log.add(made)
            self.written += len(made)
        except (UnreachableError, SettingError) as error:
            if time.monotonic() - self._closing_s <= _CLOSE_S / 2:
                return False
            _LOG.warning("impressions are lost, as the log does not answer at the end: %s", error)
            self._drop(len(made))
        return True

    def _drop(self, n: int) -> None:
        if n <= 0:
            return
        self.dropped += n
        if self.dropped == n or self.dropped // 1000 > (self.dropped - n) // 1000:
            _LOG.warning("impressions that were not logged so far: %s", self.dropped)
