"""The command that compares models on a file of interactions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import SettingError

if TYPE_CHECKING:
    from avrec_dag.recommend.evaluation.reading import Reading
    from avrec_dag.recommend.evaluation.running import Outcome

# Spelled out, because what the library calls them would load numpy for `--help`; a test holds the two together.
Form = Literal["sequences", "inter"]
Kind = Literal["leave-one-out", "random", "user-time", "global-time"]
Fit = Literal["train", "train+valid"]


def evaluate(
    file: Annotated[Path, typer.Argument(help="A file of interactions.", show_default=False)],
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="sequences: a line per user, `user item item ...` in time order. inter: tab-separated, with a header that names "
            "user_id, item_id and perhaps rating and timestamp.",
            show_default=False,
        ),
    ],
    titles: Annotated[Path | None, typer.Option(help="A CSV file `item,title`: content vectors for the models that take them.")] = None,
    split: Annotated[
        Kind,
        typer.Option(
            help="leave-one-out: the last item is the test, the one before it validation. random: 8:1:1 within each user. user-time: the "
            "same shares, newest last. global-time: the same shares of all events."
        ),
    ] = "leave-one-out",
    model: Annotated[list[str] | None, typer.Option(help="A model by name, or all (the default); may be given more than once.")] = None,
    fit: Annotated[Fit, typer.Option(help="What the tested model has learned from; settings are chosen on validation.")] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    budget: Annotated[float, typer.Option(min=0, help="Seconds per model for choosing settings; the defaults are always tried.")] = 120.0,
    picture: Annotated[Path | None, typer.Option(help="Write the comparison as a PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Compare models on any file of interactions: every item ranked for everyone, settings chosen on the validation part.

    Stopped with Ctrl-C, it shows the models that are finished.
    """
    from avrec_dag.recommend.evaluation import reading, running, splits
    from avrec_dag.recommend.models import registry

    names = list(dict.fromkeys(name for one in model or ["all"] for name in registry.chosen(one)))
    with output.shown_progress():
        found = reading.read(file, form)
        _tell_broken(file, found)
        described, about = _described(found, titles)
        parts = splits.split(described, split, clock=found.clock, seed=seed)
        output.say(f"settings: at most {budget:g} s per model for choosing them on the validation part")
        outcome = running.run(parts, found.ratings, names, fit=fit, seed=seed, budget_s=budget, say=output.say)
    _show(file, found, about, outcome, {"split": split, "fit": fit, "seed": seed, "budget_s": budget}, picture, as_json)
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.failed:
        raise typer.Exit(1)


def _tell_broken(file: Path, found: "Reading") -> None:
    """The first broken lines; all of them (up to a thousand) are in the JSON."""
    for line, reason in found.found.named[:5]:
        output.say(f"{file}: line {line} is left out: {reason}")
    if found.found.broken > 5:
        output.say(f"{file}: {found.found.broken} lines are left out in all: {dict(found.found.reasons)}")
    told = {name: count for name, count in found.found.counts.items() if count}
    if told:
        output.say(f"{file}: {', '.join(f'{count} {name}' for name, count in told.items())}".replace("_", " "))


def _described(found: "Reading", path: Path | None) -> tuple[Any, dict[str, object] | None]:
    """The interactions with content vectors where titles are given, and what the titles were like."""
    if path is None:
        return found.interactions, None
    from dataclasses import replace

    from avrec_dag.recommend.evaluation import titles

    read = titles.read(path)
    from avrec_dag.encoders.registry import preset
    from resources.profiles import Settings

    items = found.interactions.items
    about = read.told(items)
    output.say(f"{path}: {about['items_with_title']} of {len(items)} items have a title, {about['broken']} lines are left out")
    encoder = preset(Settings.from_env().encoders).text.name
    return replace(found.interactions, vectors=titles.vectors(read, items, encoder=encoder)), about


def _show(
    file: Path,
    found: "Reading",
    titles: dict[str, object] | None,
    outcome: "Outcome",
    asked: dict[str, Any],
    picture: Path | None,
    as_json: bool,
) -> None:
    from avrec_dag.recommend.evaluation import told

    comparisons = outcome.comparisons(seed=asked["seed"])
    data = found.interactions
    if picture and outcome.models:
        title = f"{file.stem}: {outcome.n_evaluated} users, {len(data.items)} items, {asked['split']} (95 % intervals)"
        _write(picture, told.picture(outcome, title))
    if not as_json:
        output.show_table(*told.table(outcome, comparisons))
        output.stdout().print(told.sentence(outcome, comparisons))
        for name, why in {**outcome.skipped, **outcome.failed}.items():
            output.say(f"{name}: {why}")
        return
    output.show_json(
        {
            "dataset": file.stem.encode("utf-8", "replace").decode(),
            "users": len(data.users),
            "items": len(data.items),
            "interactions": len(data),
            **asked,
            "evaluated_users": outcome.n_evaluated,
            "left_out": outcome.left_out,
            "input": found.found.told(),
            **({} if titles is None else {"titles": titles}),
            "models": outcome.models,
            "comparisons": [one.told() for one in comparisons],
            "skipped": outcome.skipped,
            "failed": outcome.failed,
            "interrupted": outcome.interrupted,
        }
    )


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror or error}; name another file for --picture") from None
