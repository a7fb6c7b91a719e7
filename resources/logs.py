"""What the library logs, as lines of text or JSON on stderr, without secrets."""

import json
import logging
import os
import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

FORMS = ("text", "json")
NAME = "avrec"
_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|WEBHOOK|_KEY$|_KEY_ID$|_DSN$")
_IN_URLS = re.compile(r"(?P<before>://)[^/\s@]+(?=@)|(?P<name>X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s]+", re.IGNORECASE)
_LEAST = 6
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """The values of an environment that must be told to nobody, longest first."""
    found = {value for name, value in environ.items() if _SECRET_NAMES.search(name.upper()) and len(value) >= _LEAST}
    return sorted(found, key=len, reverse=True)


def redacted(text: str, secrets: Collection[str] = ()) -> str:
    """The text without these secrets, without user and password of any URL, and without the signature of a signed one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _IN_URLS.sub(lambda found: f"{found['before'] or found['name']}***", text)


class Lines(logging.Formatter):
    """A record as one line.

    Args:
        form: `text`, or `json`: an object with at, level, logger, message, error and whatever the record carries besides.
        secrets: What is left out.
    """

    def __init__(self, form: str, secrets: Collection[str]) -> None:
        super().__init__()
        self._form, self._secrets = form, secrets

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        error = self.formatException(record.exc_info) if record.exc_info else ""
        if self._form == "text":
            line = f"{at} {record.levelname} {record.name}: {record.getMessage()}{' ' + error if error else ''}"
            return redacted(line, self._secrets).replace("\r", "\\r").replace("\n", "\\n")
        told = {name: value for name, value in vars(record).items() if name not in _PLAIN and not name.startswith("_")}
        told |= {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        told |= {"error": error} if error else {}
        clean = {name: redacted(value, self._secrets) if isinstance(value, str) else value for name, value in told.items()}
        return redacted(json.dumps(clean, ensure_ascii=False, default=str), self._secrets)


def configure(form: str, environ: Mapping[str, str] | None = None) -> None:
    """Let the library log from INFO on, once per process however often this is called; no form: as before.

    Lines go to the process's own stderr, wherever Dagster or the command line send it meanwhile.
    """
    logger = logging.getLogger(NAME)
    if not form or any(isinstance(handler.formatter, Lines) for handler in logger.handlers):
        return
    try:
        stream = os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1)
    except OSError:  # a process without stderr
        stream = sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(form, secrets_of(os.environ if environ is None else environ)))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
