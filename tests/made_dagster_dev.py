"""`dagster dev` for a test or a bench: started, asked and stopped."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_STOP_S = 60


def recorded_in(home: Path) -> Path:
    """The folder, made where it is missing, with the settings that the project records by."""
    home.mkdir(parents=True, exist_ok=True)
    settings = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(settings.replace(".dagster", str(home / ".dagster")), encoding="utf-8")
    return home


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(port: int, log: Path, *options: str, cwd: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen]:
    """`dagster dev` until the block ends, which asks it to stop and kills it where it does not within a minute."""
    # A shell that starts this in the background has it ignore Ctrl-C; what inherits that could only be killed, and its children not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "dagster", "dev", *options, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(port: int, query: str, *, timeout_s: float = 30, **variables: object) -> Any:
    """What the page's GraphQL answers, whole."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return json.load(answer)
