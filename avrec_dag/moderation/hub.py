"""Moderation by an image classifier of the hub: transformers, safetensors alone, nothing that runs code of the model's own."""

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import devices
from avrec_dag.encoders.base import Picture
from avrec_dag.encoders.cache import cached
from avrec_dag.errors import SettingError

UNSAFE = ("nsfw", "porn", "hentai", "sexy", "explicit", "unsafe", "nudity", "violence", "gore", "hate")
"""Labels that count where a setting names none: those of the usual classifiers."""
_BATCH = 16
_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


class HubClassifier:
    """An image classifier by name or folder; its score is the sum of the probabilities of its unsafe labels.

    Args:
        name: As in AVREC_MODERATION, after `hub:`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def scores(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """See `classifiers.PictureScorer`."""
        import torch

        model, prepare, unsafe = self._loaded
        found = np.zeros(len(pictures), np.float32)
        for start in range(0, len(pictures), _BATCH):
            inputs = prepare(images=[np.asarray(one) for one in pictures[start : start + _BATCH]], return_tensors="pt")
            with torch.inference_mode():
                logits = model(pixel_values=inputs["pixel_values"].to(devices.place())).logits.float()
            found[start : start + _BATCH] = logits.softmax(-1)[:, unsafe].sum(-1).clamp(0, 1).cpu().numpy()
        return found

    @cached_property
    def _loaded(self) -> tuple[Any, Any, list[int]]:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        folder, labels = parts(self._name)
        # `folder` is on this machine already; safetensors alone, as a pickle could run anything.
        safe: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            model: Any = AutoModelForImageClassification.from_pretrained(folder, use_safetensors=True, **safe)
            prepare: Any = AutoImageProcessor.from_pretrained(folder, **safe)
        except (OSError, ValueError, KeyError) as error:
            raise SettingError(
                f"{self._name} cannot be loaded as an image classifier: {str(error).splitlines()[0]}; {_get(self._name)}"
            ) from error
        names = {int(number): str(label) for number, label in model.config.id2label.items()}
        return model.eval().to(devices.place()), prepare, unsafe_labels(self._name, names, labels)


def unsafe_labels(name: str, labels: Mapping[int, str], wanted: Sequence[str]) -> list[int]:
    """Numbers of the labels that count.

    Args:
        name: Of the model, for messages.
        labels: Number -> label.
        wanted: As the setting names them; empty: those of `UNSAFE`.

    Raises:
        SettingError: The model has none of them, or lacks one that was named.
    """
    by_name = {label.casefold(): number for number, label in labels.items()}
    chosen = [one.casefold() for one in wanted] or [one for one in UNSAFE if one in by_name]
    missing = [one for one in chosen if one not in by_name]
    if missing or not chosen:
        raise SettingError(
            f"{name} has the labels {', '.join(labels.values())}; "
            f"say which of them count: AVREC_MODERATION=hub:{name.partition('#')[0]}#LABEL+LABEL"
        )
    return sorted(by_name[one] for one in chosen)


def parts(name: str) -> tuple[Path, list[str]]:
    """The folder of a model on this machine, and the labels that the setting names.

    Raises:
        SettingError: The model is not here, has pickles alone, or the extra is not installed.
    """
    model, _, labels = name.partition("#")
    if importlib.util.find_spec("transformers") is None:
        raise SettingError("AVREC_MODERATION names a model of the hub, and transformers is not installed; pip install 'avrec_dag[hub]'")
    folder = Path(model).expanduser()
    if not folder.is_dir():
        folder = _downloaded(model)
    if not (folder / "model.safetensors").is_file():
        raise SettingError(f"{model}: there is no model.safetensors in {folder}; weights as pickles are refused. {_get(name)}")
    return folder, [label for label in labels.split("+") if label]


def _downloaded(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise SettingError(f"the image classifier {model} is not on this machine; {_get(model)}") from None


def digest_of(name: str) -> str:
    """SHA-256 over configuration, weights and preparation of a model, and the labels that count.

    Raises:
        SettingError: As `parts`.
    """
    folder, labels = parts(name)
    files = [path for file in _FILES if (path := folder / file).is_file()]
    states = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]

    def make() -> bytes:
        total = hashlib.sha256()
        for path in files:
            with path.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest().encode()

    # Hashed again only when a size or a time of change differs: weights are gigabytes, and every command asks.
    stem = f"classifier-{hashlib.sha256(chr(10).join(states).encode()).hexdigest()[:24]}"
    whole = cached(stem, ".sha256", make).read_text(encoding="ascii")
    return hashlib.sha256(json.dumps([whole, labels]).encode()).hexdigest()


def _get(name: str) -> str:
    return f"get it with `hf download {name.partition('#')[0]}`, or name a folder that holds it"
