"""Who asks: what a key or a token says of them."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException, Request

from avrec_dag.serving.access.scopes import SCOPES, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose key or token was found good.

    Attributes:
        name: Of the key, or the subject of the token; for logs and for whom to blame.
        scopes: What they may do; admin may do everything.
        user_id: The one person they may ask about and speak for; None: anybody.
        per_second: Requests that they may send on average; None: as many as the service is set to.
    """

    name: str
    scopes: frozenset[Scope]
    user_id: str | None = None
    per_second: float | None = None

    def may(self, scope: Scope) -> bool:
        """Whether they may do what needs this scope."""
        return scope in self.scopes or "admin" in self.scopes

    def may_be(self, user_id: str) -> bool:
        """Whether they may ask about, or speak for, this person."""
        return self.user_id is None or self.user_id == user_id


ANYBODY = Caller("anybody on this machine", frozenset(SCOPES))
"""Who asks while there are no keys."""
_WHERE = "avrec_caller"


def caller_of(request: Request) -> Caller:
    """Who sent a request; the door has let them in."""
    return request.scope.get(_WHERE, ANYBODY)


def remember(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Note who sent a request."""
    scope[_WHERE] = caller


def refuse_stranger(request: Request, user_id: str) -> None:
    """403 unless the caller may ask about this person."""
    caller = caller_of(request)
    if not caller.may_be(user_id):
        raise HTTPException(403, f"this key speaks for one person, who is not {user_id[:60]!r}: use a key of theirs")
