"""Bearer tokens of an OpenID provider: JWTs (RFC 7519), verified by the provider's published keys (RFC 7517)."""

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from avrec_dag.errors import SettingError
from avrec_dag.serving.access.callers import Caller
from avrec_dag.serving.access.scopes import SCOPES

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones alone: with a shared secret, whoever may verify may also sign, and `none` is no signature."""
_LEEWAY_S, _TIMEOUT_S, _LONGEST = 30, 5, 8_000
_WITHOUT_SCOPE = ("read", "feedback")


class Tokens:
    """Tokens of one issuer; its keys are fetched with the first token and again when one names a key that is not known.

    Args:
        issuer: Its address, as tokens name it (`iss`); https, or http on this machine.
        audience: Who tokens must be for (`aud`).

    Raises:
        SettingError: The address cannot be, no audience is set, or PyJWT is not installed.
    """

    def __init__(self, issuer: str, audience: str) -> None:
        parts = urlsplit(issuer)
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise SettingError(f"AVREC_OIDC_ISSUER is {issuer!r}, expected an address with https://")
        if not audience:
            raise SettingError(
                "AVREC_OIDC_AUDIENCE must say for whom tokens are: without it, those for any other service would open this one"
            )
        try:
            import jwt
        except ImportError:
            raise SettingError("AVREC_OIDC_ISSUER needs PyJWT: pip install 'avrec_dag[oidc]'") from None
        self._jwt, self.issuer, self.audience = jwt, issuer, audience
        self._lock = threading.Lock()
        self._keys: Any = None

    def find(self, token: str) -> Caller | None:
        """Who a token speaks for; None where it is not good, whatever the reason.

        The person is its subject (`sub`), unless it has the scope admin. Scopes are the words of `scope` (RFC 8693), also with `avrec:`
        before them; without any of ours, read and feedback.
        """
        if len(token) > _LONGEST or token.count(".") != 2:
            return None
        try:
            key = self._client().get_signing_key_from_jwt(token)
            claims = self._jwt.decode(
                token, key, algorithms=list(ALGORITHMS), audience=self.audience, issuer=self.issuer, leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )  # fmt: skip
        except (self._jwt.PyJWTError, ValueError, OSError):
            return None
        return _caller(claims)

    def _client(self) -> Any:
        with self._lock:
            if self._keys is None:
                self._keys = self._jwt.PyJWKClient(self._published(), timeout=_TIMEOUT_S)
            return self._keys

    def _published(self) -> str:
        """Where the provider's keys are, by its own description (OpenID Connect Discovery 1.0)."""
        with urlopen(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration", timeout=_TIMEOUT_S) as answer:
            found = json.loads(answer.read(1_000_000))
        if not isinstance(found, dict) or found.get("issuer") != self.issuer or not isinstance(found.get("jwks_uri"), str):
            raise ValueError("the description of the provider names another issuer, or no keys")
        return found["jwks_uri"]


def _caller(claims: Mapping[str, Any]) -> Caller | None:
    subject, said = claims.get("sub"), claims.get("scope", "")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 200 or not subject.isprintable():
        return None
    words = {word.removeprefix("avrec:") for word in (said.split() if isinstance(said, str) else ())}
    scopes = frozenset(scope for scope in SCOPES if scope in words) or frozenset(_WITHOUT_SCOPE)
    return Caller(f"token of {subject}", scopes, None if "admin" in scopes else subject)
