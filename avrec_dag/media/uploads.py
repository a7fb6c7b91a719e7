"""Which uploads there are: a folder or an S3 prefix, listed completely and opened by key."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

from avrec_dag import s3
from avrec_dag.errors import MissingError, SettingError
from avrec_dag.items import Item
from avrec_dag.media.local_file import LocalFile
from avrec_dag.s3 import S3File

_T = TypeVar("_T")
_DAY_IN_KEY = re.compile(r"(?:^|/)dt=(\d{4}-\d{2}-\d{2})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of the media library as its listing tells it.

    Attributes:
        key: Path below the media library, with `/` and extension; it is the media_id.
        size_bytes: Size.
        etag: Changes whenever the bytes do: S3's ETag; for a folder, the modification time in nanoseconds.
        uploaded_at: S3's LastModified; for a folder, the modification time.
        dated: Whether `uploaded_at` tells the day of the upload; a folder's modification times survive copying.
    """

    key: str
    size_bytes: int
    etag: str
    uploaded_at: datetime
    dated: bool = False


@dataclass(frozen=True)
class MediaSource:
    """The media library: a folder (a path or file://) or s3://bucket/prefix.

    S3 is reached as `avrec_dag.s3` says: by the standard AWS variables.
    """

    uri: str

    def check(self) -> None:
        """Raise `SettingError` when the library cannot be listed."""
        if self._s3:
            bucket, prefix = self._s3
            _s3_call(self.uri, lambda client: client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1, **s3.Access.read().asks))
        elif not self._folder.is_dir():
            raise SettingError(f"AVREC_MEDIA: there is no folder {self._folder}; create it, or name the folder that holds your videos")

    def list(self) -> list[Upload]:
        """Every file, sorted by key; hidden files and what symbolic links reach outside the library are left out.

        Raises:
            SettingError: The folder or bucket is missing or unreachable; a listing is complete or fails.
        """
        self.check()
        found = self._listed_s3() if self._s3 else self._listed_folder()
        return sorted((upload for upload in found if not _hidden(upload.key)), key=lambda upload: upload.key)

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
        if self._s3:
            bucket, prefix = self._s3
            return cast("BinaryIO", BufferedReader(S3File(f"{bucket}/{prefix}{key}", etag, key), 1 << 18))
        path = (self._folder / key).resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            raise MissingError(f"{key}: there is no such upload in {self.uri}; was it removed, or is its name not UTF-8?")
        return path.open("rb") if etag is None else cast("BinaryIO", BufferedReader(LocalFile(path, etag, key), 1 << 18))

    def open_planned(self, item: Item) -> BinaryIO:
        """The bytes that an item was planned from, as its row in raw_media names them; raises what `open` does."""
        etag = item.parents.get("raw_media", {}).get("etag")
        return self.open(item.key, etag if isinstance(etag, str) else None)

    @property
    def _folder(self) -> Path:
        return Path(unquote(urlsplit(self.uri).path) if self.uri.startswith("file://") else self.uri).expanduser()

    @property
    def _s3(self) -> tuple[str, str] | None:
        if not self.uri.startswith("s3://"):
            return None
        bucket, _, prefix = self.uri[5:].partition("/")
        return bucket, prefix.strip("/") + "/" if prefix.strip("/") else ""

    def _listed_folder(self) -> Iterator[Upload]:
        root = self._folder.resolve()
        for path in root.rglob("*"):
            if not path.is_file() or not path.resolve().is_relative_to(root):
                continue
            state = path.stat()
            # A name that is no UTF-8 cannot be a key: it is listed under an escaped one, which opening refuses.
            key = os.fsencode(path.relative_to(root).as_posix()).decode(errors="backslashreplace")
            yield Upload(key, state.st_size, str(state.st_mtime_ns), datetime.fromtimestamp(state.st_mtime, UTC))

    def _listed_s3(self) -> Iterator[Upload]:
        bucket, prefix = self._s3 or ("", "")
        pages = _s3_call(
            self.uri,
            lambda client: list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **s3.Access.read().asks)),
        )
        for page in pages:
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(prefix)
                if key and not key.endswith("/"):
                    yield Upload(key, found["Size"], found["ETag"].strip('"'), found["LastModified"].astimezone(UTC), dated=True)


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
    day = _day_in_key(upload.key) or (upload.uploaded_at.date() if upload.dated else today)
    return max(start, min(day, today)).isoformat()


def _day_in_key(key: str) -> date | None:
    for match in _DAY_IN_KEY.finditer(key):
        try:
            return date.fromisoformat(match[1])
        except ValueError:
            continue
    return None


def _hidden(key: str) -> bool:
    return any(part.startswith(".") for part in key.split("/"))


def _s3_call(uri: str, call: Callable[[Any], _T]) -> _T:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(s3.client())
    except (BotoCoreError, ClientError) as error:
        raise SettingError(
            f"AVREC_MEDIA: {uri} cannot be listed ({error}); check the bucket's name, AWS_ENDPOINT_URL_S3, AWS_REGION and the credentials"
        ) from error
