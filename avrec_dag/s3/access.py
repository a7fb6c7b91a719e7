"""How S3 is reached, and what every request and every write carries."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from avrec_dag.errors import SettingError

CONNECT_S, READ_S, ATTEMPTS = 5, 30, 6
_MOST_PATIENCE_S = 3600
_ADDRESSING, _YES, _NO = ("auto", "path", "virtual"), ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class Access:
    """What the standard AWS variables do not say.

    Attributes:
        addressing: AVREC_S3_ADDRESSING: `path`, `virtual`, or `auto`: path style wherever an endpoint is named.
        encryption: AVREC_S3_ENCRYPTION: what writes ask for: nothing, `AES256`, `aws:kms` or `aws:kms:KEY`.
        requester_pays: AVREC_S3_REQUESTER_PAYS: whether requests agree to be charged for.
        patience_s: AVREC_S3_PATIENCE_S: seconds for which a work under way waits for an S3 that does not answer.
    """

    addressing: str = "auto"
    encryption: str = ""
    requester_pays: bool = False
    patience_s: float = 120.0

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> "Access":
        """From this process's environment, or a given one.

        Raises:
            SettingError: A value cannot be what its name says.
        """
        env = os.environ if environ is None else environ
        addressing = env.get("AVREC_S3_ADDRESSING", "").strip().lower() or "auto"
        if addressing not in _ADDRESSING:
            raise _wrong("AVREC_S3_ADDRESSING", addressing, "auto, path or virtual")
        encryption = env.get("AVREC_S3_ENCRYPTION", "").strip()
        if encryption not in ("", "AES256", "aws:kms") and not encryption.removeprefix("aws:kms:") != encryption:
            raise _wrong("AVREC_S3_ENCRYPTION", encryption, "AES256, aws:kms or aws:kms:KEY")
        pays = env.get("AVREC_S3_REQUESTER_PAYS", "").strip().lower()
        if pays not in (*_YES, *_NO):
            raise _wrong("AVREC_S3_REQUESTER_PAYS", pays, "1 or 0")
        return cls(addressing, encryption, pays in _YES, _seconds(env, "AVREC_S3_PATIENCE_S", cls.patience_s))

    @property
    def asks(self) -> dict[str, str]:
        """What every request carries."""
        return {"RequestPayer": "requester"} if self.requester_pays else {}

    @property
    def writes(self) -> dict[str, str]:
        """What every write carries besides."""
        if self.encryption.startswith("aws:kms:"):
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.encryption.removeprefix("aws:kms:")}
        return {"ServerSideEncryption": self.encryption} if self.encryption else {}


def _seconds(env: Mapping[str, str], name: str, usual: float) -> float:
    text = env.get(name, "").strip()
    try:
        found = float(text or usual)
    except ValueError:
        found = -1.0
    if not 0 <= found <= _MOST_PATIENCE_S:  # also refuses NaN
        raise _wrong(name, text, f"seconds from 0 to {_MOST_PATIENCE_S}")
    return found


def _wrong(name: str, found: str, expected: str) -> SettingError:
    return SettingError(f"{name} is {found!r}, expected {expected}; correct it or leave it out")


def endpoint() -> str | None:
    """Where S3 is, if not at AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def identity() -> tuple[str | None, ...]:
    """What a client depends on: another environment needs another client."""
    names = (
        "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_RETRY_MODE",
        "AWS_MAX_ATTEMPTS",
    )  # fmt: skip
    return endpoint(), *(os.environ.get(name) for name in names)


def region() -> str | None:
    """AWS_REGION, else AWS_DEFAULT_REGION; None leaves it to the profile."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def attempts() -> int:
    """How often a request is tried: AWS_MAX_ATTEMPTS, else 6."""
    text = os.environ.get("AWS_MAX_ATTEMPTS", "")
    return max(1, int(text)) if text.isdigit() else ATTEMPTS


def client(service: str = "s3") -> Any:
    """This process's client, with credentials from wherever boto3 finds them."""
    return _client(service, Access.read().addressing, os.getpid(), *identity())


@lru_cache(maxsize=8)
def _client(service: str, addressing: str, _process: int, where: str | None, *_who: str | None) -> Any:
    import boto3
    from botocore.config import Config

    own = {} if where is None else _for_other_stores()
    style = ("path" if where else "auto") if addressing == "auto" else addressing
    options: dict[str, Any] = {
        "s3": {"addressing_style": style},
        # Both modes wait with jitter; `adaptive` also slows down before it is told to.
        "retries": {"mode": os.environ.get("AWS_RETRY_MODE") or "standard", "total_max_attempts": attempts()},
        "connect_timeout": CONNECT_S,
        "read_timeout": READ_S,
        "max_pool_connections": 32,
        **own,
    }
    if service == "s3":
        options["signature_version"] = "s3v4"  # else boto3 signs addresses (`Bucket.address`) the way of 2006, which newer regions refuse
    at = {"endpoint_url": where} if service == "s3" else {}
    session: Any = boto3.Session()
    return session.client(service, region_name=region() or ("us-east-1" if where else None), config=Config(**options), **at)


def _for_other_stores() -> dict[str, Any]:
    """Not every store takes the checksum that boto3 sends behind a body; what a body says is signed in any case."""
    names = ("request_checksum_calculation", "response_checksum_validation")
    return {name: "when_required" for name in names if not os.environ.get(f"AWS_{name.upper()}")}
