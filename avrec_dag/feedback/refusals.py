"""What a database says when it refuses, as one sentence that names no password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from avrec_dag.errors import AvrecError, SettingError, UnreachableError


class AwayError(UnreachableError):
    """No server answers at all."""


INSTALL = "pip install 'avrec_dag[postgres]'"
_KEPT = "nothing of this call was kept; send it again"
# libpq gives a refused connection no code, only the server's words. In another language than English they are told as they are.
_CONNECTING: tuple[tuple[str, type[AvrecError], str], ...] = (
    (
        r"password authentication failed|no password supplied",
        SettingError,
        "refuses user {user} with this password; correct it in AVREC_FEEDBACK (@ : / % as %40 %3A %2F %25), PGPASSWORD or ~/.pgpass",
    ),
    (r'database ".*" does not exist', SettingError, "has no such database; make it: createdb --encoding UTF8 --owner {user} {database}"),
    (
        r'role ".*" does not exist',
        SettingError,
        "knows no user {user}; make one (createuser --pwprompt {user}) or name another in AVREC_FEEDBACK",
    ),
    (r"no pg_hba\.conf entry", SettingError, "lets user {user} not in from this machine; add a line to its pg_hba.conf"),
    (r"starting up|shutting down|recovery mode", AwayError, "is starting or stopping; try again"),
    (r"too many|remaining connection slots", UnreachableError, "has no free connection; try again, or raise its max_connections"),
)
_STATEMENTS: dict[str, tuple[type[AvrecError], str]] = {
    "42501": (SettingError, "does not allow user {user} this ({said}); GRANT it, or name the owner of the tables in AVREC_FEEDBACK"),
    "25006": (SettingError, "is read-only, so it is a standby; name the primary in AVREC_FEEDBACK"),
    "42P01": (SettingError, "has lost a table of the log ({said}); start again to make it anew, or bring back what was dropped"),
    "40": (UnreachableError, f"was asked for the same by others at once ({{said}}); {_KEPT}"),
    "53": (UnreachableError, f"is out of room or memory ({{said}}); {_KEPT}"),
}


@contextmanager
def told(url: sa.URL) -> Iterator[None]:
    """Turn what the database refuses within the block into one sentence.

    Raises:
        UnreachableError: It does not answer, or not now: the same call may work later.
        SettingError: It will go on refusing until somebody changes something.
    """
    try:
        yield
    except sa.exc.TimeoutError:
        raise UnreachableError(f"{place(url)} answers too slowly: all connections of this process are in use; {_KEPT}") from None
    except sa.exc.DBAPIError as error:
        raise _refusal(error, url) or error from None


def _refusal(error: sa.exc.DBAPIError, url: sa.URL) -> AvrecError | None:
    said = _said(error)
    code = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)
    if code:
        found = _STATEMENTS.get(code) or _STATEMENTS.get(code[:2])
        if found:
            return found[0](f"{place(url)} {found[1].format(user=url.username, said=said)}")
    if error.connection_invalidated:
        return AwayError(f"{place(url)} went away; {_KEPT}")
    if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return None
    for pattern, kind, sentence in _CONNECTING:
        if re.search(pattern, said):
            return kind(f"{place(url)} {sentence.format(user=url.username, database=url.database)}")
    if url.get_backend_name() == "sqlite":
        return UnreachableError(f"{place(url)} cannot be used ({said}); {_KEPT}")
    return AwayError(f"{place(url)} does not answer ({said}); check that it runs, and its address in AVREC_FEEDBACK")


def place(url: sa.URL) -> str:
    """Where the log is, in words and without the password."""
    if url.get_backend_name() == "sqlite":
        return f"the feedback log in {url.database}"
    hosts = url.host or url.query.get("host", "localhost")
    return f"the feedback log, database {url.database} at {hosts if isinstance(hosts, str) else ', '.join(hosts)}:{url.port or 5432},"


def _said(error: sa.exc.DBAPIError) -> str:
    """The first line of the database's own words."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return re.sub(r"^.*? failed: (FATAL: +)?", "", lines[0])[:200]
