"""Writing, deleting and small reads of objects, and what an answer that fails means."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from avrec_dag.errors import UnreachableError
from avrec_dag.s3.access import Access, client, endpoint
from avrec_dag.s3.patience import passing, patiently, status

PART_BYTES = 32 << 20
"""Larger writes go in parts of this size: a broken connection then costs one part, not the whole."""


def split(path: str) -> dict[str, str]:
    """Bucket and key of `bucket/key`."""
    bucket, _, key = path.partition("/")
    return {"Bucket": bucket, "Key": key}


def put(path: str, data: bytes | memoryview, *, new: bool = False) -> None:
    """Store an object whole or not at all, in parts where it is large.

    Args:
        path: `bucket/key`.
        data: Its bytes.
        new: Never overwrite: `If-None-Match: *`.

    Raises:
        FileExistsError: `new`, and other bytes are stored there.
        UnreachableError: S3 does not answer.
        OSError: S3 refuses.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    condition = {"IfNoneMatch": "*"} if new else {}
    try:
        patiently(lambda: _put(path, data, condition))
    except ClientError as error:
        if new and status(error) == 412:
            # The answer to an earlier attempt may have been lost on the way: then what is stored is ours.
            if get(path) == bytes(data):
                return
            raise FileExistsError(f"s3://{path} is there already and holds something else") from error
        fail(error, path, "stored")
    except BotoCoreError as error:
        fail(error, path, "stored")


def _put(path: str, data: bytes | memoryview, condition: Mapping[str, str]) -> None:
    if len(data) > PART_BYTES:
        _put_parts(path, memoryview(data), condition)
        return
    access = Access.read()
    client().put_object(**split(path), **access.asks, **access.writes, **condition, Body=bytes(data))


def _put_parts(path: str, data: memoryview, condition: Mapping[str, str]) -> None:
    access, s3, where = Access.read(), client(), split(path)
    begun = s3.create_multipart_upload(**where, **access.asks, **access.writes)["UploadId"]
    upload = {**where, **access.asks, "UploadId": begun}
    try:
        etags = []
        for number, start in enumerate(range(0, len(data), PART_BYTES), 1):
            body = bytes(data[start : start + PART_BYTES])
            etags.append({"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]})
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": etags}, **condition)
    except BaseException:
        with suppress(Exception):  # parts of an upload that is never completed are paid for until somebody aborts it
            s3.abort_multipart_upload(**upload)
        raise


def get(path: str, **conditions: str) -> bytes:
    """The bytes of a small object.

    Raises:
        botocore.exceptions.ClientError: As S3 answers, a condition that does not hold among it.
    """
    return patiently(lambda: client().get_object(**split(path), **Access.read().asks, **conditions)["Body"].read())


def delete(path: str) -> None:
    """Delete an object, which need not be there."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        patiently(lambda: client().delete_object(**split(path), **Access.read().asks))
    except (BotoCoreError, ClientError) as error:
        fail(error, path, "deleted")


def fail(error: Exception, path: str, done: str) -> NoReturn:
    """Say what a failed request means: S3 is not there for anybody, or it refuses this object.

    Raises:
        UnreachableError: S3 is busy, or does not answer at all.
        OSError: It answers, and will not have this.
    """
    if passing(error) or (not status(error) and not _answers(path)):
        raise UnreachableError(
            f"s3://{path} cannot be {done}: S3 at {endpoint() or 'AWS'} does not answer ({error}); "
            "nothing is lost, the next run goes on from here once it does"
        ) from error
    raise OSError(f"s3://{path} cannot be {done}: {error}") from error


def _answers(path: str) -> bool:
    """Whether S3 says anything about the bucket, be it no."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client().head_bucket(Bucket=split(path)["Bucket"])
    except ClientError as error:
        return not passing(error)
    except BotoCoreError:
        return False
    return True
