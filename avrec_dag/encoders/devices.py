"""Which device encoders compute on, found without importing torch where there is no graphics card."""

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
