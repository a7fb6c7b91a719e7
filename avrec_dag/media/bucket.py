"""Listing a bucket below a prefix."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any, TypeVar

from avrec_dag import s3
from avrec_dag.errors import SettingError
from avrec_dag.media.listing import Level, Upload

_T = TypeVar("_T")
_LEVEL_PAGES = 2
"""A folder with more entries than two answers hold is not looked into any further."""


@dataclass(frozen=True)
class Bucket:
    """The uploads below s3://bucket/prefix.

    Attributes:
        uri: As in AVREC_MEDIA.
    """

    uri: str

    @property
    def name(self) -> str:
        """The bucket."""
        return self.uri[5:].partition("/")[0]

    @property
    def prefix(self) -> str:
        """Of every key: empty, or with `/` at its end."""
        prefix = self.uri[5:].partition("/")[2].strip("/")
        return f"{prefix}/" if prefix else ""

    def check(self) -> None:
        """Raise `SettingError` when it cannot be listed; at once, as a wrong setting is likelier than a network that is gone."""
        with s3.at_once():
            self._call(lambda client: client.list_objects_v2(**self._where(""), MaxKeys=1))

    def below(self, folder: str) -> Iterator[Upload]:
        """Every upload below a folder of the library; all of them for an empty one."""
        for page in self._call(lambda client: list(client.get_paginator("list_objects_v2").paginate(**self._where(folder)))):
            yield from self._uploads(page)

    def level(self, folder: str) -> Level:
        """What lies directly in a folder of the library."""
        folders: list[str] = []
        uploads: list[Upload] = []
        more: dict[str, str] = {}
        for _ in range(_LEVEL_PAGES):
            where = {**self._where(folder), **more}
            page = self._call(lambda client, where=where: client.list_objects_v2(**where, Delimiter="/"))
            folders += [one["Prefix"].removeprefix(self.prefix) for one in page.get("CommonPrefixes", ())]
            uploads += self._uploads(page)
            if not page.get("IsTruncated"):
                return Level(tuple(folders), tuple(uploads))
            more = {"ContinuationToken": page["NextContinuationToken"]}
        return Level(tuple(folders), tuple(uploads), complete=False)

    def address(self, key: str, kind: str, seconds: int) -> str:
        """A presigned address of one upload (AWS Signature Version 4, query parameters), worked out without asking the bucket.

        Args:
            key: Of the listing.
            kind: The media type that the bucket answers with, whatever it has stored.
            seconds: For so long it is good.

        Raises:
            SettingError: There are no credentials to sign with.
        """
        wanted = {"Bucket": self.name, "Key": self.prefix + key, "ResponseContentType": kind, **s3.Access.read().asks}
        return str(self._call(lambda client: client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds)))

    def _where(self, folder: str) -> dict[str, str]:
        return {"Bucket": self.name, "Prefix": self.prefix + folder, **s3.Access.read().asks}

    def _uploads(self, page: dict[str, Any]) -> Iterator[Upload]:
        for found in page.get("Contents", ()):
            key = found["Key"].removeprefix(self.prefix)
            if key and not key.endswith("/"):
                at = found["LastModified"].astimezone(UTC)
                yield Upload(key, found["Size"], found["ETag"].strip('"'), at, dated=True)

    def _call(self, call: Callable[[Any], _T]) -> _T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return s3.patiently(lambda: call(s3.client()))
        except (BotoCoreError, ClientError) as error:
            raise SettingError(
                f"AVREC_MEDIA: {self.uri} cannot be listed ({error}); "
                "check the bucket's name, AWS_ENDPOINT_URL_S3, AWS_REGION and the credentials"
            ) from error
