"""Listing a folder on this machine."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from avrec_dag.errors import SettingError
from avrec_dag.media.listing import Level, Upload


@dataclass(frozen=True)
class Folder:
    """The uploads in a folder and those below it; what symbolic links reach outside it is left out.

    Attributes:
        uri: As in AVREC_MEDIA: a path or file://.
    """

    uri: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(unquote(urlsplit(self.uri).path) if self.uri.startswith("file://") else self.uri).expanduser()

    def check(self) -> None:
        """Raise `SettingError` when it is not there."""
        if not self.path.is_dir():
            raise SettingError(f"AVREC_MEDIA: there is no folder {self.path}; create it, or name the folder that holds your videos")

    def below(self, folder: str) -> Iterator[Upload]:
        """Every upload below a folder of the library; all of them for an empty one."""
        self.check()
        root = self.path.resolve()
        for path in (root / folder).rglob("*"):
            if upload := _upload(root, path):
                yield upload

    def level(self, folder: str) -> Level:
        """What lies directly in a folder of the library."""
        self.check()
        root = self.path.resolve()
        folders, uploads, complete = [], [], True
        for path in (root / folder).iterdir():
            if path.is_dir() and not path.is_symlink():
                key = _key(root, path)
                complete = complete and (root / key).is_dir()  # a name that is no UTF-8 leads nowhere
                folders.append(f"{key}/")
            elif upload := _upload(root, path):
                uploads.append(upload)
        return Level(tuple(sorted(folders)), tuple(uploads), complete)


def _key(root: Path, path: Path) -> str:
    """A name that is no UTF-8 cannot be a key: it is listed under an escaped one, which opening refuses."""
    return os.fsencode(path.relative_to(root).as_posix()).decode(errors="backslashreplace")


def _upload(root: Path, path: Path) -> Upload | None:
    try:
        if not path.is_file() or (path.is_symlink() and not path.resolve().is_relative_to(root)):
            return None
        state = path.stat()
    except OSError:  # removed between the listing of its folder and the look at it
        return None
    changed = max(state.st_mtime, state.st_ctime)  # copying keeps the first, nothing sets the second back
    written = datetime.fromtimestamp(state.st_mtime, UTC)
    return Upload(_key(root, path), state.st_size, str(state.st_mtime_ns), written, changed_at_s=changed)
