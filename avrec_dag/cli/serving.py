"""How the service is run: one process or several that share a port, and what they share besides."""

import os
import secrets
import signal
import tempfile
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

GRACE_S = 20
"""After SIGTERM nothing new is accepted, and what was accepted has so long to be answered."""
_PARENT = "AVREC_SERVE_PARENT"


def run(host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        host: The address.
        port: The port; 0: any.
        workers: So many processes; of several, each that dies is started again, and all end with this one.
    """
    import uvicorn

    from avrec_dag.serving import cursors

    os.environ.setdefault(cursors.KEY, secrets.token_hex(32))
    with tempfile.TemporaryDirectory(prefix="avrec-serve-") as folder:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # read when the counters are made
            os.environ[_PARENT] = str(os.getpid())
        uvicorn.run(
            "avrec_dag.cli.serving:app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_worker_healthcheck=60,  # a busy machine answers late; who is dead is seen at once
        )


def app() -> "FastAPI":
    """The application over the library of the environment, in a worker."""
    from avrec_dag.cli.library import opened
    from avrec_dag.serving.app import create_app

    parent = os.environ.get(_PARENT)
    if parent:
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    library = opened()
    return create_app(
        library.ledger, library.blobs, library.source, library.log, library.rules, library.settings.knobs, library.settings.limits
    )


def _end_with(parent: int) -> None:
    """Stop where the process that started the workers was killed: an orphan would hold the port against the next start."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S + 5)
    os._exit(1)
