"""Which scope a request needs. What is not named here needs admin, so that a new route under /v1/ is closed until somebody opens it."""

from typing import Literal, get_args

Scope = Literal["read", "feedback", "label", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""read: lists, search, media, profiles; feedback: send events; label: ask what to label and say what items are; admin: everything."""
_CLOSED = ("/v1/", "/metrics")
"""Below these addresses something is told; elsewhere are pages, which hold nothing, and whether the service lives."""
_READING = ("/v1/recommendations/", "/v1/similar/", "/v1/search", "/v1/media/", "/v1/users/", "/v1/explain", "/v1/session", "/metrics")


def required(method: str, path: str) -> Scope | None:
    """The scope that a request needs; None where anybody may ask.

    Args:
        method: Of HTTP.
        path: Decoded, without the query.
    """
    if method == "OPTIONS" or (method in ("GET", "HEAD") and not path.startswith(_CLOSED)):
        return None
    if path == "/v1/feedback":
        return "feedback"
    if path == "/v1/labels":
        return "label"
    return "read" if path.startswith(_READING) else "admin"
