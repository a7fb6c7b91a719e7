# ruff: noqa: TID253
"""Running transformers models: loading without code, mixed precision, batches that halve when memory runs out."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers

from avrec_dag.encoders import devices
from avrec_dag.encoders.base import Matrix, unit_rows
from avrec_dag.encoders.hub.folder import ModelFolder, model_folder
from avrec_dag.errors import AvrecError, SettingError

SAFE: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_CPU_MEMORY = "can't allocate memory"

Forward = Callable[..., Any]


def precision(device: str) -> torch.dtype:
    """What to compute in: bfloat16 on a graphics card that has it, float16 on another, float32 on a processor."""
    if not device.startswith("cuda"):
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def loaded(folder: ModelFolder, device: str, kind: str = "AutoModel") -> Any:
    """The model on its device, in float32, for inference; autocast computes in `precision` where that is another.

    Args:
        folder: Its files.
        device: `cpu` or `cuda:0`.
        kind: The class of transformers that it is read as.

    Raises:
        SettingError: The files changed since their digest was taken, cannot be read, or lack some of the model's weights.
    """
    if model_folder(folder.name).spec != folder.spec:
        raise SettingError(f"{folder.name} changed on disk while it was in use; run the same again")
    with quiet():
        try:
            model, told = getattr(transformers, kind).from_pretrained(
                folder.path, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **SAFE
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise SettingError(f"{folder.name} cannot be loaded from {folder.path} ({reason}); {folder.spec.install}") from error
    lacking = sorted(key for key in told["missing_keys"] if folder.modality != "text" or "pooler" not in key)
    if lacking:
        raise SettingError(f"{folder.name} lacks {len(lacking)} of its weights, the first is {lacking[0]}; {folder.spec.install}")
    return model.eval().requires_grad_(False).to(device)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and remarks off the terminal."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()


def compiled(forward: Forward) -> Forward:
    """The same, through torch.compile where AVREC_COMPILE asks for it: 1, or the name of a backend of torch.compile."""
    wanted = os.environ.get("AVREC_COMPILE", "").strip()
    if wanted in ("", "0"):
        return forward
    return torch.compile(forward, dynamic=True, backend="inductor" if wanted == "1" else wanted)


class Network:
    """One function of a model, over batches.

    Args:
        name: Of the model, for messages.
        dim: Length of its vectors.
        forward: Takes the prepared inputs by name and gives vectors (n, dim), or what has them as `pooler_output`.
        prepare: A part of a batch -> tensors by name, on the processor.
        device: Where `forward` computes: `cpu` or `cuda:0`.
        batch: At most so many at once; halved for good when memory runs out.
    """

    def __init__(
        self, name: str, dim: int, forward: Forward, prepare: Callable[[Sequence[Any]], Mapping[str, Any]], device: str, batch: int
    ) -> None:
        self.name, self.dim, self.device, self.batch = name, dim, device, batch
        self._forward, self._prepare = compiled(forward), prepare

    def __call__(self, inputs: Sequence[Any]) -> Matrix:
        """Vectors of all inputs: float32 (n, dim), unit length.

        Raises:
            AvrecError: Memory does not suffice for a single one, or a vector is not finite.
            SettingError: The vectors have another length than the model's files say.
        """
        parts, start = [np.zeros((0, self.dim), np.float32)], 0
        while start < len(inputs):
            some = inputs[start : start + self.batch]
            try:
                parts.append(self._vectors(some))
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not isinstance(error, torch.OutOfMemoryError) and _CPU_MEMORY not in str(error):
                    raise
                self._halve(len(some))
            else:
                start += len(some)
        return np.concatenate(parts)

    def _halve(self, tried: int) -> None:
        if tried == 1:
            raise AvrecError(f"{self.name}: memory of {self.device} does not suffice for one input; use a smaller model or another device")
        self.batch = max(1, tried // 2)
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _vectors(self, inputs: Sequence[Any]) -> Matrix:
        cuda = self.device.startswith("cuda")
        with torch.inference_mode(), torch.autocast("cuda", dtype=precision(self.device), enabled=cuda):
            found = self._forward(**moved(self._prepare(inputs), self.device))
            vectors = getattr(found, "pooler_output", found).float().cpu().numpy()
        if vectors.shape != (len(inputs), self.dim):
            raise SettingError(
                f"{self.name} gives vectors {vectors.shape}, but its files promise {(len(inputs), self.dim)}; get the model anew"
            )
        spoilt = int((~np.isfinite(vectors).all(axis=1)).sum())
        if spoilt:
            raise AvrecError(f"{self.name} gives NaN or infinity for {spoilt} of {len(inputs)} inputs; its weights are damaged or overflow")
        return unit_rows(vectors)


def moved(inputs: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The tensors on the device; to a graphics card from pinned memory, so that copying does not wait for computing."""
    if not device.startswith("cuda"):
        return dict(inputs)
    return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in inputs.items()}


def most_at_once(on_cpu: int, on_card: int) -> int:
    """How many inputs to begin with."""
    return on_cpu if devices.device() == "cpu" else on_card
