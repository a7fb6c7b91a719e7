"""The hashes under which understanding and quality expose their results to later steps."""

import hashlib
from collections.abc import Iterable


def digest(parts: Iterable[str | bytes]) -> str:
    """SHA-256 over the parts, each led by its length so that no two lists collide; the first 32 hex digits."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "big"))
        total.update(raw)
    return total.hexdigest()[:32]
