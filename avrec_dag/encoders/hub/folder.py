"""What a model's files say of it, read without torch or transformers, and refused where they cannot be trusted."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avrec_dag.encoders.base import EncoderSpec, Modality
from avrec_dag.encoders.cache import cached
from avrec_dag.errors import SettingError

EXTRA = "pip install 'avrec_dag[hub]'"
WANTED: Mapping[Modality, str] = {
    "frame": "a picture-text model (SigLIP 2, SigLIP, CLIP)",
    "audio": "a sound-text model (CLAP)",
    "text": "a text model (E5, BGE-M3, Qwen3-Embedding)",
    "speech": "a speech recogniser (Whisper)",
}
_TYPES: Mapping[str, Modality] = {
    "siglip": "frame",
    "siglip2": "frame",
    "clip": "frame",
    "metaclip_2": "frame",
    "chinese_clip": "frame",
    "clap": "audio",
    "whisper": "speech",
}
_WIDTH: Mapping[str, tuple[str, int]] = {
    "siglip": ("vision_model.post_layernorm.weight", 0),
    "siglip2": ("vision_model.post_layernorm.weight", 0),
    "clip": ("visual_projection.weight", 0),
    "metaclip_2": ("visual_projection.weight", 0),
    "chinese_clip": ("visual_projection.weight", 0),
    "clap": ("audio_projection.linear2.weight", 0),
    "whisper": ("decoder.embed_tokens.weight", 1),
}
"""Tensor whose size along one axis is the length of the model's vectors. Weights do not lie; configurations leave defaults out."""
_WORDS = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
_PREPARATIONS = ("preprocessor_config.json", "processor_config.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_MOST_JSON_BYTES = 100 << 20
_FORMAT = 1


class MissingModelError(SettingError):
    """A model of the hub that was never downloaded to this machine.

    Attributes:
        name: As settings name it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the model {name} is not on this machine; get it with `{download(name)}`")
        self.name = name


@dataclass(frozen=True)
class ModelFolder:
    """One model's files, looked through.

    Attributes:
        name: As settings name it.
        path: Where they are.
        modality: What it encodes.
        model_type: The architecture, as transformers calls it.
        spec: What the registry knows of it.
    """

    name: str
    path: Path
    modality: Modality
    model_type: str
    spec: EncoderSpec

    @property
    def kind(self) -> str:
        """What it is, for messages."""
        return f"{WANTED[self.modality].split(' (')[0]} ({self.model_type})"

    def json(self, file: str) -> dict[str, Any]:
        """One of its JSON files; empty where there is none."""
        return read_json(self.path / file) if (self.path / file).is_file() else {}


def model_folder(name: str) -> ModelFolder:
    """Find a model on this machine and look through its files.

    Raises:
        SettingError: As `hub.spec`.
    """
    path = located(name)
    config = read_json(path / "config.json")
    weights = _weights(name, path)
    _refuse_code(name, path)
    model_type = str(config.get("model_type", ""))
    shapes = dict(_shapes(weights))
    modality = _modality(name, config, shapes)
    _whole(name, path, modality)
    spec = EncoderSpec(
        name=name,
        modality=modality,
        dim=_dim(name, config, shapes),
        digest=_digest(path, weights),
        package="transformers",
        install=download(name),
        paired=modality in ("frame", "audio"),
    )
    return ModelFolder(name, path, modality, model_type, spec)


def located(name: str) -> Path:
    """The folder of a model: named itself, or where the hub's client keeps what it downloaded.

    Raises:
        SettingError: It is not on this machine, or the extra is not installed.
    """
    if any(importlib.util.find_spec(package) is None for package in ("transformers", "huggingface_hub")):
        raise SettingError(f"{name}: models of the hub need transformers, which is not installed; {EXTRA}")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _with_config(name, folder.absolute())
    if name.startswith((".", "/", "~")):
        raise SettingError(f"there is no folder {name}; name one that holds a model, or fill it with `hf download NAME --local-dir {name}`")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return _with_config(name, Path(snapshot_download(repository, revision=revision or None, local_files_only=True)))
    except LocalEntryNotFoundError:
        raise MissingModelError(name) from None
    except HFValidationError:
        raise SettingError(f"{name} is no name of a model; the hub's are like google/siglip2-base-patch16-224") from None


def download(name: str) -> str:
    """The command that gets a model, or fills a folder with one."""
    if name.startswith((".", "/", "~")):
        return f"hf download NAME --local-dir {name}"
    repository, _, revision = name.partition("@")
    return f"hf download {repository}{f' --revision {revision}' if revision else ''}"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model that holds an object.

    Raises:
        SettingError: It does not.
    """
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} cannot be read as JSON ({error}); get the model anew") from None
    if not isinstance(told, dict):
        raise SettingError(f"{path} holds no JSON object; get the model anew")
    return told


def _with_config(name: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise SettingError(f"{name}: there is no config.json in {folder}, so no model; get one with `{download(name)}`")
    return folder


def _weights(name: str, path: Path) -> tuple[Path, ...]:
    """The safetensors files of a model: one, or as many as its index names."""
    if (path / "model.safetensors").is_file():
        return (path / "model.safetensors",)
    index = path / "model.safetensors.index.json"
    if index.is_file():
        files = sorted({str(file) for file in read_json(index).get("weight_map", {}).values()})
        missing = [file for file in files if Path(file).name != file or not (path / file).is_file()]
        if missing or not files:
            raise SettingError(f"{name}: {len(missing)} of {len(files)} files of weights are missing in {path}; `{download(name)}`")
        return tuple(path / file for file in files)
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickles:
        raise SettingError(
            f"{name} has its weights as pickles only ({pickles[0]}), which run code when they are read and are refused; use a revision "
            "or a model with safetensors, such as one of those in `avrec doctor --encoders hub`"
        )
    raise SettingError(f"{name}: there are no weights (model.safetensors) in {path}; get them with `{download(name)}`")


def _refuse_code(name: str, path: Path) -> None:
    for file in ("config.json", "tokenizer_config.json", *_PREPARATIONS):
        if (path / file).is_file() and "auto_map" in read_json(path / file):
            raise SettingError(f"{name} wants to run code of its own ({file} has auto_map), which is refused; use a model without")


def _shapes(weights: tuple[Path, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors, from the headers alone (https://huggingface.co/docs/safetensors: 8 bytes of length, JSON)."""
    for path in weights:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= _MOST_JSON_BYTES else b""
        try:
            told = json.loads(header)
            yield from ((tensor, tuple(map(int, about["shape"]))) for tensor, about in told.items() if tensor != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SettingError(f"{path} is no file of safetensors, or was cut short; get the model anew") from None


def _modality(name: str, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Modality:
    model_type = str(config.get("model_type", ""))
    if model_type in _TYPES:
        return _TYPES[model_type]
    towers = [part for part in ("vision_config", "audio_config") if part in config]
    if towers or config.get("is_encoder_decoder") or not any(tensor.endswith(_WORDS) for tensor in shapes):
        known = ", ".join(sorted(_TYPES))
        raise SettingError(f"{name} is a model of type {model_type!r}, which is none of those known here ({known}, and text encoders)")
    return "text"


def _whole(name: str, path: Path, modality: Modality) -> None:
    """Refuse a folder that lacks what turns words, pictures or sound into numbers."""
    wanted: list[tuple[str, tuple[str, ...]]] = [("a tokenizer", _TOKENIZERS)]
    if modality != "text":
        wanted.append(("preprocessor_config.json", _PREPARATIONS))
    for what, files in wanted:
        if not any((path / file).is_file() for file in files):
            raise SettingError(f"{name}: there is no {what.removeprefix('a ')} in {path}; get the whole model with `{download(name)}`")


def _dim(name: str, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> int:
    ending, axis = _WIDTH.get(str(config.get("model_type", "")), ("", 1))
    if not ending and config.get("hidden_size"):
        return int(config["hidden_size"])
    fitting = [shape for tensor, shape in shapes.items() if tensor.endswith(ending or _WORDS)]
    if not fitting or len(fitting[0]) <= axis:
        raise SettingError(
            f"{name}: its weights have no tensor {ending}; they belong to another model: get it anew with `{download(name)}`"
        )
    return fitting[0][axis]


def _digest(path: Path, weights: tuple[Path, ...]) -> str:
    """SHA-256 over weights, configuration, tokenizer and preparation; hashed again only when a size or a time of change differs."""
    files = sorted({*weights, *path.glob("*.json"), *path.glob("*.txt"), *path.glob("*.model"), *path.glob("*_*/config.json")})
    states = [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]

    def make() -> bytes:
        whole = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                whole.update(f"{file.relative_to(path)} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return whole.hexdigest().encode()

    stem = f"hub-{_FORMAT}-{hashlib.sha256(chr(10).join(states).encode()).hexdigest()[:24]}"
    return cached(stem, ".sha256", make).read_text(encoding="ascii")
