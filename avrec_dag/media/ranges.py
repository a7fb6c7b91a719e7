"""An S3 object as a seekable file, read in ranges and pinned to one version of its bytes."""

import io
import os
from functools import lru_cache
from typing import Any

from avrec_dag.errors import MissingError


def s3_client() -> Any:
    """This process's S3 client, made from the standard variables; a custom endpoint is spoken to in path style."""
    return _client(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_REGION"))


@lru_cache(maxsize=4)
def _client(endpoint: str | None, region: str | None) -> Any:
    import boto3
    from botocore.config import Config

    style = Config(s3={"addressing_style": "path" if endpoint else "auto"}, retries={"mode": "standard"})
    return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=style)


class S3Ranges(io.RawIOBase):
    """Reads what is asked for and no more; wrap it in `io.BufferedReader`.

    Every range carries `If-Match`, so an object that is replaced while it is read fails instead of giving a mixture.

    Raises:
        MissingError: There is no such object.
    """

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        from botocore.exceptions import ClientError

        self._client, self._where = client, {"Bucket": bucket, "Key": key}
        try:
            head = client.head_object(**self._where)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                raise MissingError(f"{key}: there is no such upload in s3://{bucket}") from error
            raise
        self._size, self._etag = int(head["ContentLength"]), head["ETag"]
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the object; nothing is fetched."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fetch one range."""
        target = memoryview(buffer)
        size = min(len(target), self._size - self._at)
        if size <= 0:
            return 0
        span = f"bytes={self._at}-{self._at + size - 1}"
        data = self._client.get_object(**self._where, Range=span, IfMatch=self._etag)["Body"].read()
        target[: len(data)] = data
        self._at += len(data)
        return len(data)
