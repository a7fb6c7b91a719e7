"""How a database is opened for the logs: its connections, its tables and whether this code may use them."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from avrec_dag.errors import SettingError
from avrec_dag.feedback.refusals import INSTALL, told
from avrec_dag.feedback.tables import LOG, METADATA, SCHEMA, SCHEMA_VERSION, add

CONNECTIONS = 10
"""At most so many of one process to a server; a server knows a hundred unless told otherwise."""
_WAIT_S = 10.0
"""A call waits at most so long for one of them."""
LOCK = 0x61767265
"""The advisory lock of whoever makes tables, or reads before writing, in PostgreSQL ("avre")."""
_BUSY_S = 60
_HINT = "set AVREC_FEEDBACK to an SQLAlchemy URL such as sqlite:///var/feedback.db or postgresql://USER:PASSWORD@HOST/DATABASE"
_BACKENDS = ("sqlite", "postgresql", "mysql")
_TCP = {"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""Of libpq, in seconds and milliseconds: a machine that vanished is noticed within half a minute instead of two hours."""


def parsed(text: str) -> sa.URL:
    """The address of a log; SettingError, which does not show it, where it is none."""
    try:
        url = sa.make_url(text.replace("postgres://", "postgresql://", 1) if text.startswith("postgres://") else text)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingError(
            f"the address of the feedback log cannot be read (it is not shown, as it may hold a password): {_HINT}"
        ) from None
    backend = url.get_backend_name()
    if backend not in _BACKENDS:
        raise SettingError(f"the feedback log cannot live in {backend}, only in {', '.join(_BACKENDS)}: {_HINT}")
    if url.host is not None and "@" in url.host:
        raise SettingError("the password of the feedback log holds an @: write it as %40 in AVREC_FEEDBACK (and : / % as %3A %2F %25)")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise SettingError(f"the feedback log would be lost at exit, as {text} lives in memory: {_HINT}")
    # The driver that dagster-postgres brings; SQLAlchemy's own choice would need a second one beside it.
    return url.set(drivername="postgresql+psycopg2") if url.drivername == "postgresql" else url


def connect(url: sa.URL) -> sa.Engine:
    """Open the database and make the tables where they are missing.

    Raises:
        SettingError: The driver is missing, or the database refuses this user, or was made by newer code.
        UnreachableError: No server answers.
    """
    try:
        engine = sa.create_engine(url, **_options(url))
    except ModuleNotFoundError as error:
        raise SettingError(f"the feedback log at a {url.get_backend_name()} server needs {error.name}: {_install(url)}") from None
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise SettingError(f"the feedback log does not open ({type(error).__name__} for {url.drivername}): {_HINT}") from None
    if url.get_backend_name() == "sqlite":
        return _file(engine, url)
    with told(url):
        if engine.dialect.name == "postgresql":
            sa.event.listen(engine, "connect", _durably)
            with engine.begin() as connection:
                _encoding(connection)
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
                _make(connection)
        else:
            with engine.begin() as connection:
                _make(connection)
    return engine


def _install(url: sa.URL) -> str:
    return INSTALL if url.drivername == "postgresql+psycopg2" else f"install the driver that {url.drivername} names"


def _options(url: sa.URL) -> dict[str, Any]:
    # Parameters of a statement are what people did and said: none of it belongs into an error message.
    options: dict[str, Any] = {"hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        return options
    options |= {
        "pool_pre_ping": True,
        "pool_size": CONNECTIONS // 2,
        "max_overflow": CONNECTIONS // 2,
        "pool_timeout": _WAIT_S,
        "pool_recycle": 1800,
    }
    if url.drivername in ("postgresql+psycopg2", "postgresql+psycopg"):
        ours = {**_TCP, "application_name": "avrec"}
        options["connect_args"] = {name: value for name, value in ours.items() if name not in url.query}
    return options


def _file(engine: sa.Engine, url: sa.URL) -> sa.Engine:
    sa.event.listen(engine, "connect", _configure_sqlite)
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        with engine.begin() as connection:
            _check_version(connection)
        with engine.begin() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
        _add_columns_of_a_file(engine)
        with engine.begin() as connection:
            _note_version(connection)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise SettingError(f"the feedback log does not open: {type(error).__name__}: {str(error).splitlines()[0]}; {_HINT}") from error
    return engine


def _make(connection: sa.Connection) -> None:
    """Tables, indexes and columns that a server lacks. Nothing is asked of one that has all: a user without CREATE may use it."""
    _check_version(connection)
    METADATA.create_all(connection)
    for column in _missing(connection):
        _add(connection, column)
    _note_version(connection)


def _check_version(connection: sa.Connection) -> None:
    if not sa.inspect(connection).has_table(SCHEMA.name):
        return
    version = connection.scalar(sa.select(sa.func.max(SCHEMA.c.version)))
    if version is not None and version > SCHEMA_VERSION:
        raise SettingError(
            f"the feedback log was made by a newer avrec_dag (its tables are of version {version}, this code knows {SCHEMA_VERSION}), "
            "and nothing in it was touched: install that version here, or name another log in AVREC_FEEDBACK"
        )


def _note_version(connection: sa.Connection) -> None:
    held = connection.scalar(sa.select(SCHEMA.c.version).where(SCHEMA.c.part == "log"))
    if held is None:
        add(connection, SCHEMA, [{"part": "log", "version": SCHEMA_VERSION}])
    elif held < SCHEMA_VERSION:
        connection.execute(sa.update(SCHEMA).where(SCHEMA.c.part == "log").values(version=SCHEMA_VERSION))


def _add_columns_of_a_file(engine: sa.Engine) -> None:
    """Columns that a log of an older version lacks; another process may be adding them too."""
    with engine.connect() as connection:
        missing = _missing(connection)
    for column in missing:
        try:
            with engine.begin() as connection:
                _add(connection, column)
        except sa.exc.SQLAlchemyError:
            with engine.connect() as connection:
                if column.name in {one.name for one in _missing(connection)}:
                    raise


def _add(connection: sa.Connection, column: sa.Column) -> None:
    kind = column.type.compile(connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {LOG.name} ADD COLUMN {column.name} {kind}")


def _missing(connection: sa.Connection) -> list[sa.Column]:
    there = {column["name"] for column in sa.inspect(connection).get_columns(LOG.name)}
    return [column for column in LOG.columns if column.name not in there]


def _encoding(connection: sa.Connection) -> None:
    encoding = connection.scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8":
        database = connection.engine.url.database
        raise SettingError(
            f"the feedback log cannot live in the database {database}, whose encoding {encoding} lacks most names: "
            "make another (createdb --encoding UTF8 --template template0 NAME) and name it in AVREC_FEEDBACK"
        )


def _durably(connection: Any, _record: object) -> None:
    """What `add` acknowledged has to be on the server's disk, whatever the server's default."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
    connection.commit()


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Pragmas of every new connection. The switch to WAL ignores the busy timeout, so a race of first openers is retried here."""
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
