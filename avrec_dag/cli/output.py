"""What the command line says: JSON alone on stdout when asked for, else tables; progress and errors on stderr."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from avrec_dag import progress
from avrec_dag.media.sheet import clock

Json = Annotated[bool, typer.Option("--json", help="Print JSON alone on stdout.")]


def stdout() -> Console:
    """The console for results; what is piped into a file is not cut to the width of a terminal."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def stderr() -> Console:
    """The console for everything that is not a result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def show_json(value: object) -> None:
    """Print `value` as JSON, with Chinese text as it is."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table."""
    stdout().print(table_of(columns, rows, title=title))


def table_of(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> Table:
    """A table; numbers are set to the right, text is never read as markup."""
    numeric = [bool(rows) and all(isinstance(row[i], int | float) or row[i] == "" for row in rows) for i in range(len(columns))]
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def show_ranked(rows: Sequence[Mapping[str, object]], as_json: bool) -> None:
    """Print a ranked answer: JSON as it is, or one line per entry."""
    if as_json:
        show_json(list(rows))
        return
    columns = [name for name in rows[0] if name not in ("causes", "why")] if rows else ["media_id", "score"]
    show_table(columns, [[row[name] for name in columns] for row in rows])


def say(text: str) -> None:
    """Tell a person something that is no result."""
    stderr().print(escape(text))


@contextmanager
def shown_progress(as_json: bool = False) -> Iterator[None]:
    """Show a bar per table and day while the block works, where a person watches stderr."""
    if as_json or not sys.stderr.isatty():
        yield
        return
    # A copy of the terminal: the block may send this process's own stderr elsewhere.
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as terminal:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(file=terminal, force_terminal=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bars:
            tasks: dict[tuple[str, str], TaskID] = {}

            def listen(table: str, partition: str, done: int, total: int) -> None:
                key = (table, partition)
                if key not in tasks:
                    tasks[key] = bars.add_task(escape(f"{table} {partition}".strip()))
                bars.update(tasks[key], completed=done, total=total, visible=done < total)

            with progress.listening(listen):
                yield


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict) and {"start_s", "end_s", "kind"} <= value.keys():
        return f"{clock(value['start_s'])} to {clock(value['end_s'])}, {value['kind']}"
    if isinstance(value, list | tuple):
        return escape(", ".join(map(str, value)))
    return escape("" if value is None else str(value))
