"""Looking at something again and again: a live page for a person, and for a pipe what changed."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import typer
from rich.console import RenderableType
from rich.live import Live

from avrec_dag.cli import output


def watch(read: Callable[[], Any], shown: Callable[[Any], RenderableType], *, as_json: bool, every_s: float) -> None:
    """Show what `read` finds until Ctrl-C.

    Args:
        read: Looks once.
        shown: What a person sees of it.
        as_json: A line of JSON for every change.
        every_s: Seconds between two looks.
    """
    try:
        if sys.stdout.isatty() and not as_json:
            _live(read, shown, every_s)
        else:
            _changes(read, shown, as_json, every_s)
    except KeyboardInterrupt:
        return


def _live(read: Callable[[], Any], shown: Callable[[Any], RenderableType], every_s: float) -> None:
    with Live(shown(read()), console=output.stdout(), auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            live.update(shown(read()), refresh=True)


def _changes(read: Callable[[], Any], shown: Callable[[Any], RenderableType], as_json: bool, every_s: float) -> None:
    last = None
    while True:
        found = read()
        if found != last:
            if as_json:
                typer.echo(json.dumps(found, ensure_ascii=False, default=str))
            else:
                output.stdout().print(shown(found))
            sys.stdout.flush()
        last = found
        time.sleep(every_s)
