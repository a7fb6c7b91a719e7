"""Where tables and blobs live: one folder or one S3 prefix, reached through pyarrow's file systems."""

import errno
import hashlib
import io
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from avrec_dag import s3
from avrec_dag.errors import MissingError, SettingError, UnreachableError

_T = TypeVar("_T")
_FULL = (errno.ENOSPC, errno.EDQUOT)
PARTIAL = ".tmp"
"""Ending of a file that is still being written."""


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system behind a URI and the root path inside it.

    Args:
        uri: A folder, `file://...` or `s3://bucket/prefix`. For S3 the standard AWS variables name credentials, region and,
            for other services than AWS, the endpoint (`AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, addressed path style).

    Raises:
        SettingError: The scheme is none of these.
    """
    scheme, _, rest = uri.partition("://") if "://" in uri else ("file", "", uri)
    if scheme == "file" and rest:
        path = Path(unquote(urlsplit(uri).path)) if "://" in uri else Path(rest)
        return pafs.LocalFileSystem(), str(path.expanduser().absolute())
    if scheme == "s3" and rest.strip("/"):
        return _s3(s3.Access.read().addressing, *s3.identity()), rest.strip("/")
    raise SettingError(f"{uri!r} is neither a folder nor s3://bucket/prefix; set AVREC_MEDIA or AVREC_STORE to one of these")


@lru_cache(maxsize=16)
def _s3(addressing: str, endpoint: str | None, *_who: str | None) -> pafs.S3FileSystem:
    """One client per endpoint and credentials, since each opens its own connections; it reads and lists, `s3` writes."""
    common = {
        "connect_timeout": s3.CONNECT_S,
        "request_timeout": s3.READ_S,
        "retry_strategy": pafs.AwsStandardS3RetryStrategy(max_attempts=s3.attempts()),
        "tls_ca_file_path": os.environ.get("AWS_CA_BUNDLE"),
        "region": s3.region(),
        "force_virtual_addressing": addressing == "virtual",
    }
    if not endpoint:
        return pafs.S3FileSystem(**common)
    parts = urlsplit(endpoint)
    return pafs.S3FileSystem(**common | {"endpoint_override": parts.netloc, "scheme": parts.scheme, "region": s3.region() or "us-east-1"})


def check(uri: str) -> None:
    """Make sure that a store can be reached and is fit for it; a folder is created.

    Raises:
        SettingError: The folder cannot be made, or the bucket does not exist, does not answer or ignores conditions.
    """
    fs, root = filesystem(uri)
    if isinstance(fs, pafs.LocalFileSystem):
        try:
            fs.create_dir(root, recursive=True)
        except OSError as error:
            raise SettingError(f"the store {uri!r} cannot be created ({error}); set AVREC_STORE to a folder that can be written") from error
        return
    bucket = root.partition("/")[0]
    try:
        found = fs.get_file_info(bucket).type
    except OSError as error:
        raise SettingError(f"the store {uri!r} does not answer ({error}); check AWS_ENDPOINT_URL, credentials and region") from error
    if found != pafs.FileType.Directory:
        raise SettingError(f"the store {uri!r}: there is no bucket {bucket!r}; create it or set AVREC_STORE to another one")
    s3.refuse_without_conditions(root)


def asked(fs: pafs.FileSystem, path: str, call: Callable[[], _T]) -> _T:
    """What a look at a store gives; an S3 that does not answer is waited for (`s3.patiently`).

    Args:
        fs: As `filesystem` gives it.
        path: Inside it: what is looked at.
        call: Looks, by way of `fs`.

    Raises:
        UnreachableError: S3 does not answer.
        OSError: Whatever else `call` raises.
    """
    if isinstance(fs, pafs.LocalFileSystem):
        return call()
    try:
        return s3.patiently(call)
    except OSError as error:
        if s3.passing(error):
            s3.fail(error, path, "read")
        raise


def write(fs: pafs.FileSystem, path: str, data: bytes | pa.Buffer, *, new: bool = False) -> None:
    """Store `data` under `path` so that a reader sees all of it or nothing: rename in a folder, one object on S3.

    In a folder the bytes reach the disk before the name does: an empty file left by a power cut would break every later read.

    Args:
        fs: As `filesystem` gives it.
        path: Inside it.
        data: The bytes.
        new: On S3, fail where something is stored under `path` already; in a folder, names are the writer's own.

    Raises:
        OSError: It cannot be stored.
        UnreachableError: S3 does not answer, or the disk is full: no item's fault.
    """
    if not isinstance(fs, pafs.LocalFileSystem):
        s3.put(path, memoryview(data), new=new)
        return
    target = Path(path)
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise UnreachableError(
                f"{path} cannot be stored: the disk is full ({error.strerror}); free some of it, then the next run goes on from here"
            ) from error
        raise


def remove(fs: pafs.FileSystem, path: str) -> None:
    """Delete a file; somebody else may have been faster."""
    if not isinstance(fs, pafs.LocalFileSystem):
        s3.delete(path)
        return
    Path(path).unlink(missing_ok=True)


@dataclass(frozen=True)
class Blobs:
    """JPEGs, arrays and models beside the tables: `blobs/<table>/<digest of key>/<version>/<name>`.

    A key comes from an upload's name and is hostile, so only its digest enters a path.

    Attributes:
        uri: The store, as in `filesystem`.
    """

    uri: str

    def prefix(self, table: str, key: str, version: str) -> str:
        """Folder of one version of one item, relative to the store."""
        return f"{self.home(table, key)}/{version}"

    def home(self, table: str, key: str) -> str:
        """Folder of every version of one item, relative to the store."""
        return f"blobs/{table}/{hashlib.sha256(key.encode()).hexdigest()[:32]}"

    def put(self, table: str, key: str, version: str, name: str, data: bytes) -> str:
        """Store one blob atomically; returns its path relative to the store."""
        path = f"{self.prefix(table, key, version)}/{name}"
        fs, root = filesystem(self.uri)
        write(fs, f"{root}/{path}", data)
        return path

    def open(self, path: str) -> BinaryIO:
        """A seekable binary file of one blob.

        Raises:
            FileNotFoundError: Nothing is stored under `path`.
        """
        fs, root = filesystem(self.uri)
        if isinstance(fs, pafs.LocalFileSystem):
            return cast("BinaryIO", fs.open_input_file(f"{root}/{path}"))
        try:
            return cast("BinaryIO", io.BufferedReader(s3.S3File(f"{root}/{path}"), 1 << 16))
        except MissingError as error:
            raise FileNotFoundError(f"nothing is stored under {path}") from error

    def get(self, path: str) -> bytes:
        """The bytes of one blob."""
        with self.open(path) as blob:
            return blob.read()

    def exists(self, path: str) -> bool:
        """Whether a blob is stored under `path`."""
        fs, root = filesystem(self.uri)
        return asked(fs, f"{root}/{path}", lambda: fs.get_file_info(f"{root}/{path}")).type == pafs.FileType.File

    def local(self, path: str) -> Path | None:
        """The blob as a file on this machine, where the store is a folder."""
        fs, root = filesystem(self.uri)
        return Path(root) / path if isinstance(fs, pafs.LocalFileSystem) else None
