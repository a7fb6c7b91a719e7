"""The command that replays what nobody was shown."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avrec_dag.cli import experimenting, output
from avrec_dag.cli.experimenting import Day, Hours, Name, Seed
from avrec_dag.cli.output import Json
from avrec_dag.errors import SettingError

if TYPE_CHECKING:
    from avrec_dag.cli.library import Library
    from avrec_dag.experiments.arms import Experiment
    from avrec_dag.experiments.replaying import Replay
    from avrec_dag.experiments.wanting import Question


def replay(
    arm: Annotated[str | None, typer.Option(help="A shadow, by its lists as they were logged; or another arm of AVREC_EXPERIMENT.")] = None,
    knob: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Knobs that no arm has; may be given more than once.")
    ] = None,
    name: Name = None,
    since: Day = "",
    until: Day = "",
    window_h: Hours = 24.0,
    clip: Annotated[float | None, typer.Option(min=1, help="Take larger weights for this one; biases the estimates downwards.")] = None,
    most: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of more lists than this, so many are drawn.")] = 2000,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Take lists of older models, too; the one of now has learned from what came of them.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What lists would have done that nobody was shown, from those that an arm with an epsilon drew (IPS and SNIPS, by place).

    Ends with 1, and says why, where what was logged cannot tell.
    """
    from avrec_dag.cli.library import opened
    from avrec_dag.experiments import replaying, wanting

    if (arm is None) == (not knob):
        raise typer.BadParameter("name one --arm, or give a --knob")
    library = opened()
    log, named, experiment = experimenting.chosen(library, name)
    period = wanting.Period(named, experimenting.day(since), experimenting.day(until), window_h)
    with output.shown_progress(as_json):
        many: dict[str, int] = {"most": most, "seed": seed}
        if arm is not None and any((one["experiment"], one["arm"], bool(one["shadow"])) == (named, arm, True) for one in log.experiments()):
            question = wanting.of_shadow(arm, period, log, library.log, **many)
        else:
            knobs = _changes(library, arm, knob, experiment, named)
            question = wanting.of_knobs(knobs, period, log, library.log, library.recommender, any_model=any_model, **many)
        try:
            found = replaying.replay(question.lists, clip=clip, seed=seed)
        except replaying.NoSupportError as error:
            left = ", ".join(f"{n} {why}" for why, n in question.left_out.items() if n)
            raise replaying.NoSupportError(f"{error}{f' (left out: lists {left})' if left else ''}") from None
    _show(found, question, f"{named}: {arm or ' '.join(knob or ())}", as_json)


def _changes(library: "Library", arm: str | None, knob: list[str] | None, experiment: "Experiment | None", name: str) -> dict[str, Any]:
    """All knobs of the lists in question."""
    if arm is None:
        return _turned(library, knob or ())
    if experiment is None:
        raise SettingError(f"the arms of {name} are not in AVREC_EXPERIMENT: set it, or turn its knobs with --knob")
    return asdict(experiment.arm(arm).turned(library.settings.knobs))


def _turned(library: "Library", given: "list[str] | tuple[str, ...]") -> dict[str, Any]:
    """Knobs from NAME=VALUE, as an arm would have them; BadParameter for what cannot be one."""
    from pydantic import ValidationError

    from avrec_dag.experiments.arms import Arm

    told = {one.partition("=")[0]: _value(one.partition("=")[2]) for one in given}
    try:
        return asdict(Arm(name="asked", share=1.0, knobs=told).turned(library.settings.knobs))
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _show(found: "Replay", question: "Question", title: str, as_json: bool) -> None:
    from avrec_dag.experiments.reporting import finite

    left = {why: n for why, n in question.left_out.items() if n}
    if as_json:
        output.show_json(finite({**asdict(found), "faithful": question.faithful, "left_out": left}))
        return
    rows = []
    for reward, seen in found.shown.items():
        estimates = (seen, found.ips[reward], found.snips[reward])
        rows.append([reward, *(f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})" for one in estimates)])
    output.show_table(["reward per list", "shown", "would be, IPS", "would be, SNIPS"], rows, title=f"{title}; 95 % intervals")
    clipped = "nothing was clipped" if found.clip is None else f"clipped at {found.clip:g}: {found.clipped:.1%} of them"
    output.say(
        f"{found.lists} lists of {found.users} people; {found.support:.1%} of the places in question had a chance; {found.matched} places "
        f"were shown as in question, worth {found.effective:.0f} equally weighted ones; largest weight {found.largest:.4g}, {clipped}"
    )
    if question.faithful is not None:
        output.say(f"lists made again as they were logged: {question.faithful:.1%} of their places came out the same")
    for why, n in left.items():
        output.say(f"left out: {n} lists {why}")
