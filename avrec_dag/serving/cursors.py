"""Where somebody stands in an endless list: what they were shown, in a text that only the service can write.

A cursor holds a 32-bit mark of every item shown so far, when it was made, and a keyed hash (HMAC-SHA-256, RFC 2104) over both and the
person it was made for. Nothing is kept in the service, so that any worker continues any list, also with a newer model.
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
import time
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_SHOWN = 1000
"""A list ends after so many items: its cursor would outgrow an address."""
LASTS_S = 86_400
_HEAD, _MAC = struct.Struct("<BI"), 16


class BadCursorError(ValueError):
    """A cursor that the service did not write, or not for this person."""


class OldCursorError(BadCursorError):
    """One whose time is over."""


def marks(items: Sequence[str]) -> NDArray[np.uint32]:
    """(n,) of each item; two of a hundred thousand items share one once in some libraries, and then hide each other."""
    return np.array([zlib.crc32(one.encode("utf-8", "surrogatepass")) for one in items], np.uint32)


class Cursors:
    """Writes and reads them.

    Args:
        key: Secret that all workers share; empty: one that ends with this process.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or os.urandom(32)

    def write(self, user_id: str, shown: NDArray[np.uint32]) -> str:
        """The cursor behind what was shown to somebody."""
        body = _HEAD.pack(1, int(time.time())) + np.ascontiguousarray(shown, "<u4").tobytes()
        return base64.urlsafe_b64encode(self._mac(user_id, body) + body).decode().rstrip("=")

    def read(self, user_id: str, cursor: str) -> NDArray[np.uint32]:
        """The marks of what was shown.

        Raises:
            OldCursorError: It is older than `LASTS_S`.
            BadCursorError: It is none of this service's, or another person's.
        """
        try:
            content = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            content = b""
        mac, body = content[:_MAC], content[_MAC:]
        if len(body) < _HEAD.size or (len(body) - _HEAD.size) % 4 or not hmac.compare_digest(mac, self._mac(user_id, body)):
            raise BadCursorError("the cursor is none that this service wrote for this person: ask without one")
        _, made_s = _HEAD.unpack_from(body)
        if time.time() - made_s > LASTS_S:
            raise OldCursorError(f"the cursor is older than {LASTS_S // 3600} hours: ask without one")
        return np.frombuffer(body, "<u4", offset=_HEAD.size).astype(np.uint32)

    def _mac(self, user_id: str, body: bytes) -> bytes:
        who = user_id.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, struct.pack("<I", len(who)) + who + body, hashlib.sha256).digest()[:_MAC]
