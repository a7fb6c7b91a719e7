"""Where tables and blobs live: one folder or one S3 prefix, reached through pyarrow's file systems."""

import hashlib
import os
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from avrec_dag.errors import SettingError


@lru_cache(maxsize=16)
def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system behind a URI and the root path inside it.

    Args:
        uri: A folder, `file://...` or `s3://bucket/prefix`. For S3 the standard AWS variables name credentials, region and,
            for other services than AWS, the endpoint (`AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, addressed path style).

    Raises:
        SettingError: The scheme is none of these.
    """
    scheme, _, rest = uri.partition("://") if "://" in uri else ("file", "", uri)
    if scheme == "file":
        path = Path(unquote(urlsplit(uri).path)) if "://" in uri else Path(rest)
        return pafs.LocalFileSystem(), str(path.expanduser().absolute())
    if scheme == "s3" and rest.strip("/"):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not endpoint:
            return pafs.S3FileSystem(region=region), rest.strip("/")
        parts = urlsplit(endpoint)
        return (
            pafs.S3FileSystem(endpoint_override=parts.netloc, scheme=parts.scheme, region=region or "us-east-1"),
            rest.strip("/"),
        )
    raise SettingError(f"{uri!r} is neither a folder nor s3://bucket/prefix; set AVREC_MEDIA or AVREC_STORE to one of these")


def write(fs: pafs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    """Store `data` under `path` so that a reader sees all of it or nothing (rename in a folder, one PUT on S3)."""
    if not isinstance(fs, pafs.LocalFileSystem):
        with fs.open_output_stream(path) as out:
            out.write(data)
        return
    fs.create_dir(path.rpartition("/")[0], recursive=True)
    partial = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with fs.open_output_stream(partial) as out:
            out.write(data)
        fs.move(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


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
        return f"blobs/{table}/{hashlib.sha256(key.encode()).hexdigest()[:32]}/{version}"

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
        return cast("BinaryIO", fs.open_input_file(f"{root}/{path}"))

    def get(self, path: str) -> bytes:
        """The bytes of one blob."""
        with self.open(path) as blob:
            return blob.read()

    def exists(self, path: str) -> bool:
        """Whether a blob is stored under `path`."""
        fs, root = filesystem(self.uri)
        return fs.get_file_info(f"{root}/{path}").type == pafs.FileType.File

    def local(self, path: str) -> Path | None:
        """The blob as a file on this machine, where the store is a folder."""
        fs, root = filesystem(self.uri)
        return Path(root) / path if isinstance(fs, pafs.LocalFileSystem) else None
