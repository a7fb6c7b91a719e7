"""The door: every request passes it before its body is read."""

import ipaddress
import math
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.types import Scope as Connection

from avrec_dag.errors import SettingError
from avrec_dag.serving.access.callers import Caller, remember
from avrec_dag.serving.access.keys import Keyring
from avrec_dag.serving.access.rates import Rates
from avrec_dag.serving.access.scopes import required
from avrec_dag.serving.access.tokens import Tokens
from avrec_dag.serving.problems import Refusal

COOKIE = "avrec_key"
"""Holds the key of the page, for pictures and films, which a browser asks for without headers of ours."""
_WANTED = "send a key as `Authorization: Bearer ...`; `avrec keys add` makes one"


class Access:
    """Who may ask this service for what.

    Open mode: as long as no key was ever made and no issuer is set, whoever is on this machine may do everything.

    Args:
        keyring: Its keys.
        tokens: The issuer whose tokens are good, too.
        per_second: Requests a caller may send on average in each process, unless their key says otherwise; 0: as many as they like.
        origins: Whose pages may ask from a browser, beside this service's own.
    """

    def __init__(self, keyring: Keyring, tokens: Tokens | None = None, *, per_second: float = 0.0, origins: Sequence[str] = ()) -> None:
        self.keyring, self.tokens, self.per_second, self.origins = keyring, tokens, per_second, tuple(origins)
        self._rates = Rates()

    @property
    def open(self) -> bool:
        """Whether anybody who reaches it may do everything."""
        return self.tokens is None and not self.keyring.any

    def refuse_open_to_others(self, host: str) -> None:
        """Raise `SettingError` where an open service would listen to more than this machine."""
        if self.open and not loopback(host):
            raise SettingError(
                f"--host {host} would let anybody who reaches it read and change everything, as there are no keys: make one first "
                "(`avrec keys add NAME --scope read --scope feedback`), set AVREC_OIDC_ISSUER, or listen on 127.0.0.1"
            )

    async def judge(self, connection: Connection) -> Refusal | None:
        """Why a request is turned away; None where it may pass, and then `callers.caller_of` knows who sent it."""
        needed = required(connection["method"], connection["path"])
        if self.open:
            return None if loopback(_host(dict(connection["headers"]))) else Refusal(421, _MISDIRECTED)
        if needed is None:
            return None
        token = token_of(connection)
        if token is None:
            return Refusal(401, f"this service wants to know who asks: {_WANTED}", {"WWW-Authenticate": "Bearer"})
        caller = self.keyring.find(token)
        if caller is None and self.tokens is not None:
            caller = await run_sync(self.tokens.find, token)
        if caller is None:
            told = 'Bearer error="invalid_token"'
            return Refusal(401, f"this key is not known, was revoked, or has expired: {_WANTED}", {"WWW-Authenticate": told})
        if not caller.may(needed):
            told = f'Bearer error="insufficient_scope", scope="{needed}"'
            why = f"the key {caller.name!r} has no scope {needed}: `avrec keys add` makes one that has"
            return Refusal(403, why, {"WWW-Authenticate": told})
        remember(connection, caller)
        return self._too_often(caller)

    def _too_often(self, caller: Caller) -> Refusal | None:
        rate = self.per_second if caller.per_second is None else caller.per_second
        wait_s = self._rates.wait_s(caller.name, rate) if rate else 0.0
        if not wait_s:
            return None
        told = f"the key {caller.name!r} may send {rate:g} requests a second: wait {math.ceil(wait_s)} s"
        return Refusal(429, told, {"Retry-After": str(math.ceil(wait_s))})


_MISDIRECTED = (
    "this service has no keys and answers under this machine's own names alone (127.0.0.1, localhost), "
    "so that no page on the web can have a browser ask it: use such an address, or make a key"
)


def loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(headers: Mapping[bytes, bytes]) -> str:
    try:
        return urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname or ""
    except ValueError:
        return ""


def token_of(connection: Connection) -> str | None:
    """What a request brings to prove itself, by its header or else by the cookie of the page."""
    headers: dict[bytes, bytes] = dict(connection["headers"])
    kind, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    try:
        kept = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return kept.value if kept else None
