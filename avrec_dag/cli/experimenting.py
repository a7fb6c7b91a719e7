"""Commands that look at experiments."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError, SettingError

if TYPE_CHECKING:
    from avrec_dag.cli.library import Library
    from avrec_dag.experiments.arms import Experiment
    from avrec_dag.experiments.impressions import ImpressionLog
    from avrec_dag.experiments.items import Catalogued
    from avrec_dag.experiments.reporting import Report

Name = Annotated[str | None, typer.Option("--name", help="Of the experiment; that of AVREC_EXPERIMENT, or the one that was logged last.")]
Day = Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="A UTC day.")]
Hours = Annotated[
    float, typer.Option("--window-h", min=0.01, max=720, help="An event counts for the last list before it, for so many hours.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]


def report(
    name: Name = None,
    since: Day = "",
    until: Day = "",
    window_h: Hours = 24.0,
    seed: Seed = 0,
    picture: Annotated[Path | None, typer.Option(help="Write the differences as a PNG.")] = None,
    as_json: Json = False,
) -> None:
    """What each arm showed and what came of it, with intervals that draw whole people, and how that differs from the control.

    Ends with 1 where the people are not spread over the arms as they should be.
    """
    from avrec_dag.cli.library import opened
    from avrec_dag.experiments.comparing import LEAST_RATIO_P
    from avrec_dag.experiments.reporting import report as made

    library = opened()
    log, named, experiment = chosen(library, name)
    with output.shown_progress(as_json):
        found = made(named, log, library.log, _known(library), experiment, since=day(since), until=day(until), window_h=window_h, seed=seed)
    if picture:
        from avrec_dag.experiments.pictures import picture as drawn

        _write(picture, drawn(found))
    if as_json:
        output.show_json(found.told())
    else:
        _show(found)
    if found.ratio_p is not None and found.ratio_p < LEAST_RATIO_P:
        raise typer.Exit(1)


def chosen(library: "Library", name: str | None) -> "tuple[ImpressionLog, str, Experiment | None]":
    """The log, the name of the experiment, and its configuration where that is at hand."""
    from avrec_dag.experiments.impressions import ImpressionLog

    log, set_up = ImpressionLog(library.settings.feedback), library.settings.experiment
    logged = log.experiments()
    if not logged:
        raise MissingError("no list of an experiment was shown yet: set AVREC_EXPERIMENT and run `avrec serve`; see the README")
    names = {str(one["experiment"]) for one in logged}
    named = name or (set_up.name if set_up else str(max(logged, key=lambda one: one["last"])["experiment"]))
    if named not in names:
        raise MissingError(f"no list of the experiment {named!r} was shown, only of {', '.join(sorted(names))}")
    return log, named, set_up if set_up and set_up.name == named else None


def _known(library: "Library") -> "Catalogued":
    from avrec_dag.experiments.items import Catalogued

    try:
        return Catalogued(library.recommender.catalogue)
    except MissingError:
        return Catalogued(None)


def day(text: str) -> str:
    """A UTC day as given; SettingError for what is none."""
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise SettingError(f"{text!r} is no day such as 2026-03-02") from None


def _show(found: "Report") -> None:
    columns = ["arm", "users", "lists", "reward", "per list", "per user", "difference per list", "p"]
    rows = []
    for arm in found.arms:
        for reward, means in arm.rewards.items():
            less = arm.differences.get(reward, {}).get("per_list")
            per = [f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})" for one in (means["per_list"], means["per_user"])]
            told = f"{less.value:+.4f} ({less.low:+.4f} to {less.high:+.4f})" if less else ""
            rows.append([arm.name, arm.users, arm.lists, reward, *per, told, f"{less.p:.3g}" if less else ""])
    output.show_table(columns, rows, title=f"{found.experiment}, against {found.control}; 95 % intervals")
    lists = [(one.name, one.lists, one.shown, "") for one in found.arms]
    lists += [(f"{one.name} (shadow)", one.lists, one.shown, f"{one.shared:.2f}") for one in found.shadows]
    kinds = [[name, n, what.items, _number(what.distance), _number(what.quality), shared] for name, n, what, shared in lists]
    output.show_table(["arm", "lists", "different items", "distance within a list", "quality", "shared with what was shown"], kinds)
    if found.ratio_p is not None:
        output.say(f"people by arm against their shares: chi-square p = {found.ratio_p:.3g}")
    for note in found.notes:
        output.say(note)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror or error}; name another file for --picture") from None
