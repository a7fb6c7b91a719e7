"""Files made once from pinned weights (exported graphs, encoded class names) and kept between runs."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from avrec_dag.errors import SettingError


def folder() -> Path:
    """The cache folder: AVREC_CACHE, by default ./var/cache."""
    return Path(os.environ.get("AVREC_CACHE") or "var/cache").expanduser().absolute()


def cached(stem: str, suffix: str, make: Callable[[], bytes]) -> Path:
    """The cached file of this name, made where it is absent.

    The file's name ends with the hash of its content, and a file that does not match its name is never used: a copy that
    was cut short or changed is made anew. Processes that make it at the same time do the work twice, and both succeed.

    Args:
        stem: Everything the content depends on: name, digest of the weights, version of the maker.
        suffix: Of the file, with the dot.
        make: Gives the content.

    Raises:
        SettingError: The cache folder cannot be written.
    """
    for path in sorted(folder().glob(f"{stem}.*{suffix}")):
        if path.name == f"{stem}.{_digest(path.read_bytes())}{suffix}":
            return path
    content = make()
    path = folder() / f"{stem}.{_digest(content)}{suffix}"
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise SettingError(f"the cache folder {folder()} cannot be written ({error}); set AVREC_CACHE to one that can") from error
    return path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
