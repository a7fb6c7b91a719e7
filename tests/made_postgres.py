"""A real PostgreSQL server on a free port of this machine, in a folder of its own; never run by root, whom it refuses."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.made_dagster_dev import free_port

OWNER = "avrec"
_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "shared_buffers=16MB",
    "max_connections=40",
    "logging_collector=off",
    "restart_after_crash=on",
)


@dataclass(frozen=True)
class Postgres:
    """Where it is, and who owns everything in it.

    Attributes:
        programs: Folder of initdb and pg_ctl.
        folder: Everything it writes.
        port: On 127.0.0.1.
        password: Of `OWNER`.
        fsync: Whether what it keeps outlives the machine. Off, a killed server still loses nothing that it had written, and starts
            again without asking the disk about every file.
    """

    programs: Path
    folder: Path
    port: int
    password: str
    fsync: bool = False

    def url(self, database: str = "postgres", user: str = OWNER, password: str | None = None) -> str:
        """The address of a database, as AVREC_FEEDBACK takes it."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, more: str = "") -> str:
        """Make a database; its name."""
        name = f"log_{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {more}")
        return name

    def run(self, *statements: str, database: str = "postgres") -> list[tuple]:
        """Run statements, each by itself; the rows of the last."""
        import psycopg2

        connection = psycopg2.connect(self.url(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = " ".join(
            f"-c {one}"
            for one in (*_SETTINGS, f"fsync={'on' if self.fsync else 'off'}", f"port={self.port}", f"unix_socket_directories={self.folder}")
        )
        self._call("pg_ctl", "start", "-w", "-t", "60", "-s", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, how: str = "fast") -> None:
        """Stop it: `fast` ends every connection, `immediate` is as if the power failed."""
        self._call("pg_ctl", "stop", "-w", "-t", "60", "-s", "-m", how)

    def init(self) -> None:
        """Make its files."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        access = ("-A", "scram-sha-256", "-U", OWNER, f"--pwfile={secret}")
        self._call("initdb", *access, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        # To a file: the server inherits what it is given, and a pipe would never end.
        with (self.folder / "said").open("ab") as said:
            done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, **_not_root())
        if done.returncode:
            log = [path.read_text(errors="replace")[-2000:] for path in (self.folder / "said", self.folder / "log") if path.exists()]
            raise RuntimeError(f"{program} failed with {done.returncode}: {log}")


def programs() -> Path | None:
    """The folder of the newest server that is installed here, where this user may run one."""
    if os.geteuid() == 0 and not _user():
        return None
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


MISSING = "needs a PostgreSQL server (apt-get install postgresql) and, for root, the user postgres that comes with it"


@contextmanager
def serving(*, fsync: bool = False) -> Iterator[Postgres]:
    """A server for the block, and nothing left of it afterwards."""
    where = programs()
    if where is None:
        raise RuntimeError(MISSING)
    # Not below pytest's own folder, which is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="avrec-postgres-"))
    server = Postgres(where, folder, free_port(), secrets.token_hex(12), fsync)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server.init()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _not_root() -> dict:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _user() -> bool:
    import pwd

    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True
