"""Which uploads there are: a folder or an S3 prefix, listed completely or in part, and opened by key."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BufferedReader
from typing import BinaryIO, cast

from avrec_dag.errors import MissingError
from avrec_dag.items import Item
from avrec_dag.media.bucket import Bucket
from avrec_dag.media.folder import Folder
from avrec_dag.media.listing import Level, Upload
from avrec_dag.media.local_file import LocalFile
from avrec_dag.s3 import S3File

_DAY_IN_KEY = re.compile(r"(?:^|/)dt=(\d{4}-\d{2}-\d{2})(?:/|$)")


@dataclass(frozen=True)
class MediaSource:
    """The media library: a folder (a path or file://) or s3://bucket/prefix.

    S3 is reached as `avrec_dag.s3` says: by the standard AWS variables.
    """

    uri: str

    @property
    def metered(self) -> bool:
        """Whether every listing costs a request that somebody pays for."""
        return self.uri.startswith("s3://")

    def check(self) -> None:
        """Raise `SettingError` when the library cannot be listed."""
        self._place.check()

    def list(self, folders: Sequence[str] = ("",)) -> list[Upload]:
        """Every file below the folders, sorted by key; hidden files and what symbolic links reach outside the library are left out.

        Args:
            folders: Relative to the library, none of them inside another, with `/` at their ends; by default all of it.

        Raises:
            SettingError: The folder or bucket is missing or unreachable; a listing is complete or fails.
        """
        return _shown(upload for folder in folders for upload in self._place.below(folder))

    def level(self, folder: str) -> Level:
        """What lies directly in a folder; raises what `list` does."""
        level = self._place.level(folder)
        return Level(tuple(one for one in level.folders if not _hidden(one)), tuple(_shown(level.uploads)), level.complete)

    def open(self, key: str, etag: str | None = None) -> BinaryIO:
        """One upload's bytes, seekable; on S3 fetched by ranges as they are read.

        Args:
            key: Of the listing.
            etag: Of the listing; given, other bytes than those that were listed are refused, also in the middle of reading.

        Raises:
            MissingError: There is no such upload.
            ReplacedError: The upload has other bytes by now.
            UnreachableError: S3 does not answer.
        """
        place = self._place
        if isinstance(place, Bucket):
            return cast("BinaryIO", BufferedReader(S3File(f"{place.name}/{place.prefix}{key}", etag, key), 1 << 18))
        path = (place.path / key).resolve()
        if not path.is_relative_to(place.path.resolve()) or not path.is_file():
            raise MissingError(f"{key}: there is no such upload in {self.uri}; was it removed, or is its name not UTF-8?")
        return path.open("rb") if etag is None else cast("BinaryIO", BufferedReader(LocalFile(path, etag, key), 1 << 18))

    def address(self, key: str, kind: str, seconds: int) -> str | None:
        """Where a browser may read one upload by itself for some seconds, as a media type; None for a folder."""
        place = self._place
        return place.address(key, kind, seconds) if isinstance(place, Bucket) else None

    def open_planned(self, item: Item) -> BinaryIO:
        """The bytes that an item was planned from, as its row in raw_media names them; raises what `open` does."""
        etag = item.parents.get("raw_media", {}).get("etag")
        return self.open(item.key, etag if isinstance(etag, str) else None)

    @property
    def _place(self) -> Bucket | Folder:
        return Bucket(self.uri) if self.uri.startswith("s3://") else Folder(self.uri)


def _shown(uploads: Iterable[Upload]) -> list[Upload]:
    return sorted((upload for upload in uploads if not _hidden(upload.key)), key=lambda upload: upload.key)


def day_of(upload: Upload, known: Mapping[str, str], today: date, start: date) -> str:
    """The day (YYYY-MM-DD) whose partition an upload belongs to; once known, it never moves.

    Args:
        upload: From the listing.
        known: media_id -> day, of everything ingested so far.
        today: The day for an upload whose own day cannot be told.
        start: The first day that exists; what is older belongs to it.
    """
    if upload.key in known:
        return known[upload.key]
    day = day_in_key(upload.key) or (upload.uploaded_at.date() if upload.dated else today)
    return max(start, min(day, today)).isoformat()


def day_in_key(key: str) -> date | None:
    """The day that a key names as `dt=YYYY-MM-DD`; the first, if several."""
    for match in _DAY_IN_KEY.finditer(key):
        try:
            return date.fromisoformat(match[1])
        except ValueError:
            continue
    return None


def _hidden(key: str) -> bool:
    return any(part.startswith(".") for part in key.split("/"))
