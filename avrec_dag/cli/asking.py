"""Commands that ask a library that is there."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError, SettingError
from avrec_dag.recommend import context
from avrec_dag.recommend.reranking.knobs import MOST_PER_CREATOR, Changes

Count = Annotated[int, typer.Option("-k", "--count", min=1, max=1000, help="How many.")]


def status(
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until Ctrl-C; into a pipe, whenever something changed.")
    ] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.1, metavar="S", help="Seconds between two looks.")] = 5.0,
    as_json: Json = False,
) -> None:
    """How many items there are, what is stale, what failed and what the checks say."""
    from avrec_dag.cli import state, watching
    from avrec_dag.cli.library import opened

    if watch:
        watching.watch(lambda: state.status(opened()), state.shown, as_json=as_json, every_s=every_s)
        return
    found = state.status(opened())
    output.show_json(found) if as_json else output.stdout().print(state.shown(found))


def checks(
    day: Annotated[str | None, typer.Option(help="Only this day, YYYY-MM-DD.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only where a promise is broken.")] = False,
    as_json: Json = False,
) -> None:
    """How every check ended when it last ran: passed and failed by table and day, newest day first."""
    from avrec_dag.cli import state
    from avrec_dag.cli.library import opened

    found = [one for one in state.checks(opened()) if day in (None, one["day"]) and (one["broken"] or not failed)]
    if as_json:
        output.show_json(found)
        return
    rows = [[one["day"], one["table"], one["passed"], one["failed"], one["broken"]] for one in found]
    output.show_table(["day", "table", "passed", "failed", "broken promises"], rows)


File = Annotated[Path | None, typer.Option(help="A file, of the library or not, that shows or sounds like what you look for.")]


def search(
    text: Annotated[str, typer.Argument(help="What to look for, in English or Chinese.")] = "",
    picture: File = None,
    sound: File = None,
    clip: File = None,
    user: Annotated[str | None, typer.Option(help="Whose taste re-ranks what is found.")] = None,
    taste: Annotated[
        float | None, typer.Option(min=0, max=1, help="0: only what fits; 1: of what fits, what the user likes best. Needs --user.")
    ] = None,
    k: Count = 10,
    as_json: Json = False,
) -> None:
    """Find items by words, a picture, a sound or a clip, alone or together: what is seen, heard, said and named at once."""
    from avrec_dag.cli import outside
    from avrec_dag.cli.library import opened

    files = {part: file for part, file in (("picture", picture), ("sound", sound), ("clip", clip)) if file is not None}
    if not text.strip() and not files:
        raise typer.BadParameter("say what to look for: words, --picture, --sound or --clip")
    if taste is not None and user is None:
        raise typer.BadParameter("--taste needs --user: whose taste?")
    library = opened()
    query = outside.query(library, text, files)
    events = library.log.of_user(user, impressions=False) if user is not None else ()
    output.show_ranked([asdict(one) for one in library.recommender.search(query, k, user_id=user, taste=taste, events=events)], as_json)


def similar(media_id: Annotated[str, typer.Argument(help="An item of the library.")], k: Count = 10, as_json: Json = False) -> None:
    """Items that look, sound or read like one item."""
    from avrec_dag.cli.library import opened

    output.show_ranked([asdict(one) for one in opened().recommender.similar(media_id, k)], as_json)


def recommend(
    user: Annotated[str, typer.Argument(help="A person; somebody unknown gets what suits most people.")],
    k: Count = 10,
    relevance: Annotated[float | None, typer.Option(min=0, max=1, help="How much their taste counts; 0: nothing about them does.")] = None,
    quality: Annotated[float | None, typer.Option(min=0, max=1, help="How much the quality of an item counts.")] = None,
    diversity: Annotated[float | None, typer.Option(min=0, max=1, help="0: only what fits best; 1: as varied as can be.")] = None,
    calibration: Annotated[float | None, typer.Option(min=0, max=1, help="How much the list keeps to their own mix of classes.")] = None,
    per_creator: Annotated[int | None, typer.Option(min=1, max=MOST_PER_CREATOR, help="At most so many items of one creator.")] = None,
    method: Annotated[str | None, typer.Option(help="How the list is spread over content: mmr, msd, dpp, ssd or swap.")] = None,
    exploration: Annotated[float | None, typer.Option(min=0, max=1, help="At most this share of the list is new items; 0: none.")] = None,
    language: Annotated[
        str | None, typer.Option(help="What they speak, such as en or pt-BR; counts while little is known of them.")
    ] = None,
    referrer: Annotated[str | None, typer.Option(help="The item they came from; counts while little is known of them.")] = None,
    interest: Annotated[list[str] | None, typer.Option(help="A class they chose; may be given more than once.")] = None,
    as_json: Json = False,
) -> None:
    """What a person should watch next, and why; nothing they have met already."""
    from avrec_dag.cli.library import opened

    changes = Changes(
        relevance=relevance,
        quality=quality,
        diversity=diversity,
        calibration=calibration,
        per_creator=per_creator,
        method=method,
        exploration=exploration,
    )
    library = opened()
    try:
        about = context.asked(language, referrer, interest or ())
        knobs = library.settings.knobs.turned(**changes)
    except ValueError as error:
        raise SettingError(str(error)) from None
    found = library.recommender.recommend(user, k, events=library.log.of_user(user, impressions=False), context=about, **changes)
    output.show_ranked([asdict(one) for one in found], as_json)
    for note in library.recommender.usable(about)[1]:
        output.say(f"not used: {note}")
    output.say(f"made with {knobs.canonical().replace(',', ', ')}")


def classify(path: Annotated[str, typer.Argument(help="A media file, or an item of the library.")], as_json: Json = False) -> None:
    """The classes of one item or of any media file, best first; a file outside the library leaves nothing behind."""
    from avrec_dag.cli import outside
    from avrec_dag.cli.library import opened

    library = opened()
    row = library.ledger.row("content_classes", path)
    if row is None:
        if not Path(path).is_file():
            raise MissingError(f"{path} is neither a file nor an item with classes in this library; `avrec status` counts what there is")
        row = outside.classes(library, Path(path))
    pairs: list[tuple[str, float]] = list(zip(cast("Any", row["class_names"]), cast("Any", row["class_probs"]), strict=True))
    output.show_ranked(
        [{"media_id": path, "label": name, "score": float(score), "method": row["method"]} for name, score in pairs], as_json
    )
