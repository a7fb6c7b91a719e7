"""Who may ask the service, and how it sends films."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from resources.environment import one_of, read, within

_STREAMS = ("redirect", "through")


@dataclass(frozen=True)
class Service:
    """What the environment says of `avrec serve`.

    Attributes:
        keys: AVREC_KEYS: the file of its keys.
        cursor_key: AVREC_CURSOR_KEY: what its cursors are signed with; a secret; empty: a key that ends with the service.
        per_second: AVREC_RATE: requests a second that one key may send to one process; 0: as many as it likes.
        origins: AVREC_CORS: whose pages may ask from a browser.
        issuer: AVREC_OIDC_ISSUER: whose tokens open it, too; empty: nobody's.
        audience: AVREC_OIDC_AUDIENCE: for whom those must be.
        stream: AVREC_STREAM: how uploads on S3 are sent: redirect, or through.
        headers_s: AVREC_HEADERS_S: the headers of a request have so long to arrive.
        body_s: AVREC_BODY_S: and so long its body.
    """

    keys: str = "var/keys.db"
    per_second: float = 100.0
    origins: tuple[str, ...] = ()
    issuer: str = ""
    audience: str = ""
    stream: str = "redirect"
    cursor_key: str = field(default="", repr=False)
    headers_s: float = 10.0
    body_s: float = 60.0

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Service":
        """From an environment.

        Raises:
            SettingError: A value cannot be what its name says.
        """
        return cls(
            env.get("AVREC_KEYS") or cls.keys,
            read(env, "AVREC_RATE", within(float, 0, 1e6), "requests a second, 0 to 1000000", cls.per_second),
            read(env, "AVREC_CORS", _origins, "addresses such as https://example.org, with commas between them", ()),
            env.get("AVREC_OIDC_ISSUER", "").strip(),
            env.get("AVREC_OIDC_AUDIENCE", "").strip(),
            read(env, "AVREC_STREAM", one_of(_STREAMS), f"one of {', '.join(_STREAMS)}", cls.stream),
            env.get("AVREC_CURSOR_KEY", "").strip(),
            read(env, "AVREC_HEADERS_S", within(float, 0.1, 3600), "seconds from 0.1 to 3600", cls.headers_s),
            read(env, "AVREC_BODY_S", within(float, 0.1, 3600), "seconds from 0.1 to 3600", cls.body_s),
        )


def _origins(text: str) -> tuple[str, ...]:
    found = tuple(one.strip() for one in text.split(",") if one.strip())
    if not all(re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", one) for one in found):
        raise ValueError("an origin is a scheme, a host and perhaps a port")
    return found
