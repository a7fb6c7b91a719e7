"""Whether a store honours conditions, tried on a small object."""

import os
import time
from contextlib import suppress
from functools import lru_cache

from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.s3.access import identity
from avrec_dag.s3.objects import delete, get, put
from avrec_dag.s3.patience import status


def refuse_without_conditions(root: str) -> None:
    """Try on a small object whether a store honours conditions; it is deleted afterwards.

    Args:
        root: `bucket/prefix` that may be written.

    Raises:
        SettingError: It ignores `If-None-Match` of a write, or `If-Match` of a read.
    """
    _probe(root, *identity())


@lru_cache(maxsize=16)
def _probe(root: str, *_who: str | None) -> None:
    from botocore.exceptions import ClientError

    path = f"{root}/probes/{os.getpid()}-{time.time_ns()}"
    try:
        put(path, b"first", new=True)
        with suppress(FileExistsError):
            put(path, b"second", new=True)
            raise _ignores(root, "If-None-Match", "one writer could overwrite what another has just written")
        try:
            get(path, IfMatch='"0123456789abcdef0123456789abcdef"')
        except ClientError as error:
            if status(error) != 412:
                raise AvrecError(f"s3://{path} cannot be read: {error}") from error
        else:
            raise _ignores(root, "If-Match", "a file that is replaced while it is read would give a mixture of both")
    finally:
        with suppress(OSError, AvrecError):
            delete(path)


def _ignores(root: str, header: str, danger: str) -> SettingError:
    return SettingError(
        f"the store s3://{root} ignores {header}: {danger}; keep AVREC_STORE in a folder or in a store that honours it "
        "(AWS, MinIO, SeaweedFS and Ceph do in their current versions)"
    )
