"""Reading a file of a folder from one and the same version of its bytes."""

import io
import os
from pathlib import Path
from typing import Any

from avrec_dag.errors import ReplacedError


class LocalFile(io.RawIOBase):
    """Refuses bytes that were written after the file was listed; wrap it in `io.BufferedReader`.

    Args:
        path: The file.
        etag: Its modification time in nanoseconds, as listed.
        name: What messages call it.

    Raises:
        ReplacedError: It was written to since.
    """

    def __init__(self, path: Path, etag: str, name: str) -> None:
        self._file, self._etag, self._name = path.open("rb", buffering=0), etag, name
        try:
            self._hold()
        except ReplacedError:
            self._file.close()
            raise

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the file."""
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        """Read, then look whether somebody wrote meanwhile."""
        n = self._file.readinto(buffer)
        self._hold()
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _hold(self) -> None:
        if str(os.fstat(self._file.fileno()).st_mtime_ns) != self._etag:
            raise ReplacedError(f"{self._name}: was written to after it was listed; the next run takes what is there now")
