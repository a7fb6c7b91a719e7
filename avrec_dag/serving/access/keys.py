"""Keys of the service: made once, shown once, kept as a hash in a small SQLite file.

A key is `avrec_ID_SECRET`: 48 bits by which it is found and 256 random bits that prove it. A secret that long cannot be guessed, so its
SHA-256 is as safe at rest as a slow salted hash, which passwords need (NIST SP 800-63B, 5.1.2.2), and costs a request nothing.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.serving.access.callers import Caller
from avrec_dag.serving.access.scopes import SCOPES, Scope

PREFIX = "avrec"
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_LOOK_EVERY_S = 0.5
"""A key that was revoked is good for so long at most, in every process."""
_TABLE = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL, scopes TEXT NOT NULL, user_id TEXT, per_second REAL,
    made_at TEXT NOT NULL, revoked_at TEXT)
"""
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret.

    Attributes:
        key_id: By which it is found; not secret.
        name: What it was called when it was made.
        scopes: What it may do.
        user_id: The one person it speaks for; None: anybody.
        per_second: Requests that it may send on average; None: as the service is set.
        made_at: ISO 8601 in UTC.
        revoked_at: The same; None while it is good.
    """

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    user_id: str | None
    per_second: float | None
    made_at: str
    revoked_at: str | None


class Keyring:
    """The keys of one service, for many threads and processes.

    Args:
        path: The SQLite file; made with the first key, readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._callers: dict[str, tuple[bytes, Caller]] = {}
        self._any = False

    def add(self, name: str, scopes: Collection[str], *, user_id: str | None = None, per_second: float | None = None) -> str:
        """Make a key; returns it with its secret, which is kept nowhere.

        Args:
            name: Of 1 to 100 characters; no other good key may bear it.
            scopes: At least one of `SCOPES`.
            user_id: The one person that it speaks for.
            per_second: Requests that it may send on average.

        Raises:
            SettingError: A name, scope or number cannot be, or the file cannot be written.
        """
        wanted = _checked(name, scopes, user_id, per_second)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = (key_id, name, _hash(secret), " ".join(wanted), user_id, per_second, datetime.now(UTC).isoformat())
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM keys WHERE name = ? AND revoked_at IS NULL", (name,)).fetchone():
                raise SettingError(f"there is a key {name!r} already: give this one another name, or revoke that one first")
            connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
        return f"{PREFIX}_{key_id}_{secret}"

    def revoke(self, name: str) -> Key:
        """Have a key open nothing any more, by its name or id.

        Raises:
            MissingError: No good key is called so.
        """
        with self._writing() as connection:
            found = connection.execute("SELECT id FROM keys WHERE (name = ? OR id = ?) AND revoked_at IS NULL", (name, name)).fetchone()
            if found is None:
                raise MissingError(f"there is no good key {name!r}; `avrec keys list` shows which there are")
            connection.execute("UPDATE keys SET revoked_at = ? WHERE id = ?", (datetime.now(UTC).isoformat(), found[0]))
        return next(one for one in self.every() if one.key_id == found[0])

    def every(self) -> list[Key]:
        """Every key there ever was, oldest first; without secrets and hashes."""
        columns = "id, name, scopes, user_id, per_second, made_at, revoked_at"
        rows = self._read(f"SELECT {columns} FROM keys ORDER BY made_at, id")
        return [Key(key_id, name, tuple(scopes.split()), *rest) for key_id, name, scopes, *rest in rows]

    @property
    def any(self) -> bool:
        """Whether a key was ever made: from then on nothing is open."""
        self._look()
        return self._any

    def find(self, token: str) -> Caller | None:
        """Whose good key this is; None for anything else, in the same time whether its id is known or not."""
        match = _KEY.fullmatch(token)
        if match is None:
            return None
        self._look()
        kept, caller = self._callers.get(match[1], (_NOBODY, None))
        return caller if hmac.compare_digest(kept, _hash(match[2])) else None

    def _look(self) -> None:
        """Read the file again where that was a while ago; a few kilobytes, and one process makes keys for all."""
        with self._lock:
            if time.monotonic() - self._looked_s < _LOOK_EVERY_S:
                return
            rows = self._read("SELECT id, name, hash, scopes, user_id, per_second, revoked_at FROM keys")
            self._any = bool(rows)
            self._callers = {
                key_id: (kept, Caller(name, frozenset(scopes.split()), user_id, per_second))
                for key_id, name, kept, scopes, user_id, per_second, revoked_at in rows
                if revoked_at is None
            }
            self._looked_s = time.monotonic()

    def _read(self, statement: str) -> list[tuple]:
        if not self.path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
                return connection.execute(statement).fetchall()
        except sqlite3.Error as error:
            raise SettingError(f"AVREC_KEYS: {self.path} cannot be read as a file of keys ({error})") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            with closing(sqlite3.connect(self.path, timeout=10, isolation_level=None)) as connection:
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise SettingError(f"AVREC_KEYS: {self.path} cannot be written ({error})") from error
        self._looked_s = float("-inf")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _checked(name: str, scopes: Collection[str], user_id: str | None, per_second: float | None) -> list[Scope]:
    if not _NAME.fullmatch(name):
        raise SettingError(f"a key's name has 1 to 100 characters, none of them a control character; found {name[:40]!r}")
    wanted = [scope for scope in SCOPES if scope in scopes]
    if not wanted or len(wanted) < len(set(scopes)):
        raise SettingError(f"a key needs one or more of the scopes {', '.join(SCOPES)}; found {', '.join(sorted(scopes)) or 'none'}")
    if user_id is not None and ("admin" in wanted or not 1 <= len(user_id) <= 200 or not user_id.isprintable()):
        raise SettingError("a key for one person cannot be admin, and names them in 1 to 200 printable characters")
    if per_second is not None and not 0 < per_second <= 1e6:
        raise SettingError(f"requests a second must lie in (0, 1000000], found {per_second}")
    return wanted
