"""Waiting for an S3 that does not answer for a while.

The clients' own retries are over in a second or two (botocore waits 50 ms, 100 ms ... between them); a network that is gone for a
minute, or a server that answers 500 while it is overloaded, lasts longer, and is no reason to give up hours of work.
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from avrec_dag.s3.access import Access, endpoint

BUSY = (429, 500, 502, 503, 504)
"""HTTP statuses that say nothing about what was asked for."""
_BUSY_CODES = ("SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError", "Throttling", "ThrottlingException")
_BUSY_IN_ARROW = re.compile(
    r"AWS Error (?:NETWORK_CONNECTION|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT"
    r"|UNKNOWN \(HTTP status (?:429|50[0234])\))"
)
_FIRST_S, _MOST_S = 0.5, 10.0
_AT_ONCE: ContextVar[bool] = ContextVar("at_once", default=False)
_T = TypeVar("_T")
log = logging.getLogger("avrec")


@contextmanager
def at_once() -> Iterator[None]:
    """Have nothing wait for S3 inside the block: for a look that tests a setting, or that is taken again in a moment anyway."""
    token = _AT_ONCE.set(True)
    try:
        yield
    finally:
        _AT_ONCE.reset(token)


def patiently(call: Callable[[], _T]) -> _T:
    """What the call returns, which is made again while S3 does not answer or says that it is busy.

    Waits up to 0.5 s, 1 s, 2 s ... 10 s, by chance, so that many processes do not return at once, for AVREC_S3_PATIENCE_S seconds in
    all; then the last error stands.

    Args:
        call: A request, and the reading of its answer; making it twice must do no harm.
    """
    patience_s, began, attempt = 0.0 if _AT_ONCE.get() else Access.read().patience_s, time.monotonic(), 0
    while True:
        try:
            return call()
        except Exception as error:
            left_s = began + patience_s - time.monotonic()
            if left_s <= 0 or not passing(error):
                raise
            if not attempt:
                log.warning("S3 at %s does not answer (%s); it is waited for, at most %.0f s", endpoint() or "AWS", error, patience_s)
        time.sleep(min(left_s, random.uniform(0.5, 1) * min(_MOST_S, _FIRST_S * 2**attempt)))
        attempt += 1


def passing(error: BaseException) -> bool:
    """Whether an error of boto3 or pyarrow says that S3 is not there just now, and nothing about what was asked for."""
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, SSLError

    if isinstance(error, ClientError):
        return status(error) in BUSY or error.response.get("Error", {}).get("Code") in _BUSY_CODES
    if isinstance(error, (HTTPClientError, IncompleteReadError)):
        return not isinstance(error, SSLError)
    return isinstance(error, OSError) and bool(_BUSY_IN_ARROW.search(str(error)))


def status(error: BaseException) -> int:
    """The HTTP status of what S3 answered; 0 where it did not answer."""
    answer = getattr(error, "response", None) or {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
