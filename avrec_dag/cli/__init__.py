"""The `avrec` command."""

import atexit
import os
import sys


def main() -> None:
    """Run the command line; the process ends with 0, 1 (failed), 2 (wrong setting or usage) or 130 (Ctrl-C)."""
    from avrec_dag.cli.app import app

    status = 1
    # Registered first, so run last: after everything has been closed and written, before the interpreter takes its modules
    # apart, in which DuckDB's bindings, loaded beside torch, fill the terminal with reports of leaks.
    atexit.register(lambda: _leave(status))
    try:
        app(prog_name="avrec")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever was reading has gone
            continue
    os._exit(status)
