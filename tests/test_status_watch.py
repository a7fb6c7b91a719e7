import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from rich.text import Text

from avrec_dag.cli import state, watching
from avrec_dag.cli.runs import Checked

WATCH = """
import itertools
from rich.text import Text
from avrec_dag.cli import watching
count = itertools.count()
watching.watch(lambda: {"n": next(count) // 2}, lambda found: Text(f"n is {found['n']}"), as_json=False, every_s=0.02)
print("over", flush=True)
"""


def looks(*found: object) -> Callable[[], object]:
    """What is found, and then somebody stops it."""
    some = iter(found)

    def read() -> object:
        for one in some:
            return one
        raise KeyboardInterrupt

    return read


@pytest.mark.parametrize("as_json", [True, False])
def test_a_pipe_gets_what_changed_and_nothing_else(as_json):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        watching.watch(looks(1, 1, 2, 2, 2, 1), lambda found: Text(f"{found}"), as_json=as_json, every_s=0.0)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [1, 2, 1]


def test_a_terminal_is_drawn_anew_until_ctrl_c():
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", WATCH], stdout=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    seen, until = b"", time.monotonic() + 60
    while b"n is 3" not in seen:
        assert time.monotonic() < until
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    while b"over" not in seen:
        seen += os.read(ours, 4096)
    assert process.wait(30) == 0
    os.close(ours)


def test_checks_are_counted_by_day_and_table_newest_day_first(monkeypatch):
    ended = [
        Checked("frames", "a", "2026-03-02", True),
        Checked("raw_media", "b", "2026-03-02", False),
        Checked("raw_media", "c", "2026-03-02", True),
        Checked("raw_media", "b", "2026-03-03", True),
        Checked("recommender", "d", "", False),
    ]

    class Made:
        steps = ("raw_media", "frames", "recommender")

        def checks(self) -> list[Checked]:
            return ended

    made = Made()
    monkeypatch.setattr(state, "Runner", lambda _: made)
    assert [tuple(one.values()) for one in state.checks(made)] == [
        ("2026-03-03", "raw_media", 1, 0, []),
        ("2026-03-02", "raw_media", 1, 1, ["b"]),
        ("2026-03-02", "frames", 1, 0, []),
        ("", "recommender", 0, 1, ["d"]),
    ]
