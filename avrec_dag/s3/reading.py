"""Reading objects of S3 by ranges, as they are decoded, from one and the same version of their bytes."""

import io
import re
from collections import OrderedDict
from typing import Any, NoReturn

from avrec_dag.errors import MissingError, ReplacedError
from avrec_dag.s3.access import Access, client
from avrec_dag.s3.objects import fail, split
from avrec_dag.s3.patience import patiently, status

BLOCK_BYTES = 1 << 20
MOST_BLOCKS = 16
"""Kept per open file: films whose sound lies far from their pictures jump to and fro between the two."""
_MOST_AHEAD = 8


class S3File(io.RawIOBase):
    """Fetches what is asked for in blocks, more at once the longer it is read in order; wrap it in `io.BufferedReader`.

    A small object is one request. Every range carries `If-Match`, and the version where the bucket keeps versions, so that an
    object that is replaced while it is read either stays what it was or fails, and never gives a mixture.

    Args:
        path: `bucket/key`.
        etag: Of the bytes that are wanted; None takes what is there.
        name: What messages call it.

    Raises:
        MissingError: There is no such object.
        ReplacedError: Its bytes are other ones.
        UnreachableError: S3 does not answer.
        OSError: S3 refuses.
    """

    def __init__(self, path: str, etag: str | None = None, name: str | None = None) -> None:
        self._path, self._name = path, name or path
        self._pin: dict[str, str] = {"IfMatch": f'"{etag}"'} if etag else {}
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._at, self._size = 0, BLOCK_BYTES
        self._next, self._ahead = 0, 1
        answer, data = self._get(0, BLOCK_BYTES - 1)
        told = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.get("ContentRange", ""))
        self._size = int(told[1]) if told else len(data)
        self._pin = {"IfMatch": answer["ETag"]} if answer.get("ETag") else {}
        if answer.get("VersionId", "null") != "null":
            self._pin = {"VersionId": answer["VersionId"]}
        self._keep(0, data)

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
        """Fill the buffer as far as the block reaches."""
        target = memoryview(buffer)
        if self._at >= self._size or not target:
            return 0
        number, start = divmod(self._at, BLOCK_BYTES)
        data = self._block(number)[start : start + len(target)]
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Everything that is left."""
        parts = []
        while self._at < self._size:
            number, start = divmod(self._at, BLOCK_BYTES)
            parts.append(self._block(number)[start:])
            self._at += len(parts[-1])
        return b"".join(parts)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._ahead = min(2 * self._ahead, _MOST_AHEAD) if number == self._next else 1
            first = number * BLOCK_BYTES
            last = min(first + self._ahead * BLOCK_BYTES, self._size) - 1
            _, data = self._get(first, last)
            if len(data) != last - first + 1:
                raise OSError(f"{self._name}: S3 gave {len(data)} of {last - first + 1} bytes from {first} on")
            self._keep(number, data)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _keep(self, number: int, data: bytes) -> None:
        for start in range(0, len(data), BLOCK_BYTES):
            self._blocks[number + start // BLOCK_BYTES] = data[start : start + BLOCK_BYTES]
        self._next = number + -(-len(data) // BLOCK_BYTES)
        while len(self._blocks) > MOST_BLOCKS:
            oldest = next(one for one in self._blocks if one != number)
            del self._blocks[oldest]

    def _get(self, first: int, last: int) -> tuple[dict[str, Any], bytes]:
        """One range; a body that breaks off is asked for again, which botocore's own retries do not do."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return patiently(lambda: self._ranged(first, last))
        except ClientError as error:
            if status(error) == 416 and first == 0:
                return self._empty()
            self._fail(error)
        except BotoCoreError as error:
            self._fail(error)

    def _ranged(self, first: int, last: int) -> tuple[dict[str, Any], bytes]:
        where = {**split(self._path), **Access.read().asks, **self._pin}
        answer = client().get_object(**where, Range=f"bytes={first}-{last}")
        # A store that ignores If-Match is found out here.
        if self._pin.get("IfMatch", answer.get("ETag")) != answer.get("ETag"):
            raise self._replaced()
        return answer, answer["Body"].read()

    def _empty(self) -> tuple[dict[str, Any], bytes]:
        """An object of no bytes has no first byte to ask for."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return patiently(lambda: client().get_object(**split(self._path), **Access.read().asks, **self._pin)), b""
        except (BotoCoreError, ClientError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        if status(error) == 404:
            raise MissingError(f"{self._name}: there is no such upload in s3://{self._path.partition('/')[0]}; was it removed?") from error
        if status(error) == 412:
            raise self._replaced() from error
        fail(error, self._path, "read")

    def _replaced(self) -> ReplacedError:
        return ReplacedError(f"{self._name}: was replaced after it was listed; the next run takes what is there now")
