"""What one upload may cost a process in one step. Past that it fails alone: with an exception here, or the kernel ends the process."""

import ctypes
import gc
import math
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path

from avrec_dag.errors import SettingError

_MB = 1_000_000
_MB_FOR_THE_SAME_TIME_AGAIN = 100
_SETTABLE = ("RLIMIT_DATA", "RLIMIT_CPU", "RLIMIT_NOFILE", "RLIMIT_FSIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one upload in one step.

    Attributes:
        memory_mb: Beyond what the process held before: models stay out of it.
        cpu_s: Processor seconds; as many again for every 100 MB that the upload is large.
        wall_s: Seconds on the clock, likewise.
        pixels: Of the largest picture that is decoded.
        packets: Of all streams together; a packet is a picture, or some milliseconds of sound.
        open_files: Beyond those open before.
        written_mb: Size of any file that is written.
    """

    memory_mb: int = 768
    cpu_s: int = 300
    wall_s: int = 900
    pixels: int = 8192 * 8192
    packets: int = 10_000_000
    open_files: int = 64
    written_mb: int = 1024

    def canonical(self) -> str:
        """The setting that says the same."""
        return ",".join(f"{one.name}={getattr(self, one.name)}" for one in fields(self))

    @classmethod
    def read(cls, text: str) -> "Limits":
        """From a setting such as `memory_mb=512,wall_s=60`; what is left out is as usual.

        Raises:
            SettingError: A name is unknown, or a number is no whole number above 0.
        """
        told: dict[str, int] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            name, _, number = (one.strip() for one in part.partition("="))
            if name not in {one.name for one in fields(cls)} or not number.isdecimal() or not 0 < int(number) < 1 << 40:
                raise SettingError(f"AVREC_LIMITS has {part!r}, expected whole numbers above 0 such as {cls().canonical()}")
            told[name] = int(number)
        return cls(**told)

    def seconds(self, size_bytes: int, patience: float = 1) -> tuple[int, int]:
        """Of the processor and on the clock, for an upload of this size.

        Args:
            size_bytes: Of the upload.
            patience: Of the step: how often as long as decoding it may take.
        """
        factor = patience * (1 + max(0, size_bytes) / (_MB_FOR_THE_SAME_TIME_AGAIN * _MB))
        return math.ceil(self.cpu_s * factor), math.ceil(self.wall_s * factor)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Bytes of this process that nothing else shares.

    Attributes:
        mapped: That it could write to, which RLIMIT_DATA counts: what was freed and not given back is a part.
        resident: That take up memory now.
    """

    mapped: int = 0
    resident: int = 0

    def since(self, before: "_Memory") -> "_Memory":
        return _Memory(self.mapped - before.mapped, self.resident - before.resident)

    def grown(self, by: "_Memory") -> "_Memory":
        return _Memory(max(0, self.mapped + by.mapped), max(0, self.resident + by.resident))


_LEFT = _Memory()
"""What uploads left in this process: leaks, and what a library keeps for the next one."""
_IN_FORCE: ContextVar[Limits] = ContextVar("limits")


def in_force() -> Limits:
    """The limits that decoding code keeps to."""
    return _IN_FORCE.get(Limits())


@contextmanager
def kept(limits: Limits) -> Iterator[None]:
    """Have decoding code keep to these limits inside the block."""
    token = _IN_FORCE.set(limits)
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


@contextmanager
def enforced(limits: Limits, size_bytes: int, *, patience: float = 1, memory: bool = True) -> Iterator[None]:
    """As `kept`, and the kernel holds this process to them: it must be one that may die.

    Too much memory, too many files or too large a file is an error that the code inside sees. Past its seconds the process ends by SIGXCPU
    or SIGALRM, which work whatever a decoder is stuck in.

    Args:
        limits: What one upload may cost.
        size_bytes: Of the upload.
        patience: As in `Limits.seconds`.
        memory: Whether memory is bounded; not where a graphics card's driver takes what it likes.
    """
    cpu_s, wall_s = limits.seconds(size_bytes, patience)
    wanted = {"RLIMIT_CPU": math.ceil(time.process_time()) + cpu_s, "RLIMIT_FSIZE": limits.written_mb * _MB}
    wanted["RLIMIT_NOFILE"] = _highest_file() + 1 + limits.open_files
    held = _held() if memory else None
    if held is not None:  # what uploads before this one left must not add up, yet a part of it may be of no use to this one
        wanted["RLIMIT_DATA"] = held.mapped - min(_LEFT.mapped, limits.memory_mb * _MB // 2) + limits.memory_mb * _MB
    before = {name: resource.getrlimit(getattr(resource, name)) for name in _SETTABLE}
    try:
        with kept(limits):
            for name, most in wanted.items():
                _set_soft(name, most, before[name][1])
            signal.setitimer(signal.ITIMER_REAL, wall_s)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, was in before.items():
            resource.setrlimit(getattr(resource, name), was)
        if held is not None:
            _count_left(held, limits)


def worn_out(limits: Limits) -> bool:
    """Whether uploads have left so much memory taken in this process that it had better be replaced."""
    return _LEFT.resident > _tolerated(limits) or _LEFT.mapped > limits.memory_mb * _MB


def _tolerated(limits: Limits) -> int:
    return limits.memory_mb * _MB // 4


def become_expendable() -> None:
    """Set up a process that may die of an upload: no core dump, signals that end it, and the first to go where memory runs out."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if threading.current_thread() is threading.main_thread():
        for one in (signal.SIGALRM, signal.SIGXCPU):
            signal.signal(one, signal.SIG_DFL)
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("500")


def _set_soft(name: str, most: int, hard: int) -> None:
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(getattr(resource, name), (soft, hard))


def _held() -> _Memory | None:
    """Now; None where the kernel does not tell (not Linux)."""
    told = Path("/proc/self/statm")
    if not told.exists():
        return None
    _, resident, shared, _, _, mapped, *_ = map(int, told.read_text().split())
    page = resource.getpagesize()
    return _Memory(mapped * page, (resident - shared) * page)


def _count_left(before: _Memory, limits: Limits) -> None:
    """Add what has stayed since; a decoder hangs in reference cycles, so much of it goes once it is asked to."""
    global _LEFT
    now = _held() or before
    _LEFT = _LEFT.grown(now.since(before))
    if _LEFT.resident > _tolerated(limits):
        gc.collect()
        if not gc.get_freeze_count():
            gc.freeze()  # the libraries: looking through them again takes longer than decoding a picture
        _give_back()
        _LEFT = _LEFT.grown((_held() or now).since(now))


def _give_back() -> None:
    """Return freed memory to the system, where the C library can (glibc)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _highest_file() -> int:
    return max((int(name) for name in os.listdir("/dev/fd") if name.isdecimal()), default=2)  # noqa: PTH208 - a name is all there is
