"""How the service is run: one process or several that share a port, and what they share besides."""

import multiprocessing
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


def run(host: str, port: int, workers: int, headers_s: float) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        host: The address.
        port: The port; 0: any.
        workers: So many processes; of several, each that dies is started again, and all end with this one.
        headers_s: The headers of a request have so long to arrive.
    """
    import uvicorn

    from avrec_dag.serving.connections import prompt

    os.environ["AVREC_CURSOR_KEY"] = os.environ.get("AVREC_CURSOR_KEY") or secrets.token_hex(32)  # the same for all workers
    with tempfile.TemporaryDirectory(prefix="avrec-serve-") as folder:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # read when the counters are made
        uvicorn.run(
            "avrec_dag.cli.serving:app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            http=prompt(headers_s),
            ws="none",
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

    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    library = opened()
    settings = library.settings
    return create_app(
        library.ledger,
        library.blobs,
        library.source,
        library.log,
        library.rules,
        settings.knobs,
        settings.limits,
        settings.experiment,
        access=library.access,
        through=settings.service.stream == "through",
        cursor_key=settings.service.cursor_key,
        body_s=settings.service.body_s,
    )


def _end_with_parent() -> None:
    """Stop where the process that started the workers was killed: an orphan would hold the port against the next start."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S + 5)
    os._exit(1)
