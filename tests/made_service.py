"""The service on a small library, started by the real command on a free port and stopped again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.small_library import Small


@contextmanager
def serving(small: Small, **env: str) -> Iterator[str]:
    """Its address, with a slash at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("avrec")), "serve", "--port", str(port)]
    running = subprocess.Popen(command, env={**os.environ, **small.env, **env}, cwd=small.folder, stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            try:
                urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                break
            except (URLError, OSError):
                assert running.poll() is None
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}/"
    finally:
        running.terminate()
        running.wait(timeout=30)
