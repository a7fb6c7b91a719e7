"""Which device encoders compute on, found without importing torch where there is no graphics card."""

import os
import shutil
from functools import cache
from pathlib import Path

_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")
"""What NVIDIA's driver leaves on Linux, and on Windows' Linux subsystem."""


@cache
def device() -> str:
    """`cuda` where torch can use a graphics card, else `cpu`."""
    if not any(Path(path).exists() for path in _DRIVERS) and shutil.which("nvidia-smi") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


ORDINAL = "WORKER_ORDINAL"
"""Which of an engine's workers a process is, counted from 0; the engine sets it, nobody else."""


@cache
def cards() -> int:
    """Graphics cards that torch can use."""
    if device() == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


@cache
def place() -> str:
    """Where this process computes: `cpu`, or `cuda:N`, so that an engine's workers take the cards in turn."""
    return f"cuda:{int(os.environ.get(ORDINAL, '0')) % cards()}" if cards() else "cpu"
