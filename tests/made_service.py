"""The service over a library, started by the real command and stopped again, or in a thread: for a test or a bench."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import uvicorn

from tests.made_dagster_dev import free_port
from tests.small_library import Place

_STOP_S = 60


@contextmanager
def serving(place: Place, *options: str, port: int = 0, log: Path | None = None, route: str = "/healthz", **env: str) -> Iterator[str]:
    """Its address, with a slash at the end; RuntimeError where it ends before the block does.

    Args:
        place: The library.
        options: Further ones of `avrec serve`.
        port: Where; 0: a free one.
        log: Where what it says is kept; None: nowhere.
        route: What must answer before the block begins.
        env: Further settings.
    """
    port = port or free_port()
    running = started(place.folder, {**place.env, **env}, port, *options, log=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", running, route=route)
        yield f"http://127.0.0.1:{port}/"
        if running.poll() is not None:
            raise RuntimeError(f"avrec serve ended by itself with {running.returncode}")
    finally:
        running.terminate()
        running.wait(_STOP_S)


def started(
    folder: Path, env: Mapping[str, str], port: int, *options: str, log: Path | None = None, group: bool = False
) -> subprocess.Popen[bytes]:
    """The command on a port, in a process of its own; `group`: leading a process group, to be killed with all its workers."""
    command = [str(Path(sys.executable).with_name("avrec")), "serve", "--port", str(port), *options]
    with (log or Path(os.devnull)).open("ab") as told:
        return subprocess.Popen(command, env={**os.environ, **env}, cwd=folder, stderr=told, start_new_session=group)


def wait_until_ready(
    address: str, running: subprocess.Popen[bytes] | None = None, *, within_s: float = 300.0, route: str = "/readyz"
) -> None:
    """Until a route answers; RuntimeError where the process ends first, or takes too long."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if running and running.poll() is not None:
            raise RuntimeError(f"the service ended with {running.returncode} before it answered")
        try:
            urlopen(address + route, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the service is not ready after {within_s:.0f} s")


def workers_of(running: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the workers of a service."""
    told = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    return [int(one) for one in told if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


@contextmanager
def in_a_thread(app: Any, **options: Any) -> Iterator[str]:
    """The address of an application that uvicorn serves, with these settings of its own, for as long as the block lasts."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", **options))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=30)
