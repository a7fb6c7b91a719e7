"""The command that lets people say what items are."""

import getpass
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError

if TYPE_CHECKING:
    from avrec_dag.cli.library import Library
    from avrec_dag.labelling import Added, Correction
    from avrec_dag.labelling.queue import Question

_MOST_NAMED, _ROUND = 20, 20
_KEYS = "Type labels with commas, 1-3 for a class shown, - for none of the classes, Enter to skip, q to end"


def label(
    media_id: Annotated[str | None, typer.Argument(help="An item of the library; without one, you are asked about the next.")] = None,
    labels: Annotated[list[str] | None, typer.Argument(help="All that it is; without any, what was said of it so far is shown.")] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; your login name otherwise.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Keep the labels it has and add these.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take these labels away; without LABELS all: it is none of the classes.")
    ] = False,
    file: Annotated[Path | None, typer.Option(help="Many: JSON lines or CSV with media_id, labels and perhaps by, at.")] = None,
    next_: Annotated[int | None, typer.Option("--next", min=1, max=1000, help="List so many unlabelled items, least sure first.")] = None,
    as_json: Json = False,
) -> None:
    """Say what items are; a correction beats the sidecar, and the next `avrec materialize` learns from it."""
    from avrec_dag.cli.library import opened

    _refuse_mixed(media_id, labels, file, next_, add, remove)
    library, who = opened(), by or _login()
    if file is not None:
        _told(library, _from_file(library, file, who), as_json)
    elif next_ is not None:
        _show_questions(_questions(library, next_), as_json)
    elif media_id is None:
        _converse(library, who)
    elif labels or remove:
        _told(library, [_one(library, media_id, labels or [], who, add, remove)], as_json)
    else:
        _show_history(library, media_id, as_json)


def _refuse_mixed(
    media_id: str | None, labels: Sequence[str] | None, file: Path | None, next_: int | None, add: bool, remove: bool
) -> None:
    if sum(one is not None for one in (media_id, file, next_)) > 1:
        raise typer.BadParameter("name one MEDIA_ID, or --file, or --next")
    if add and (remove or not labels):
        raise typer.BadParameter("--add takes labels to add, and not --remove")
    if remove and media_id is None:
        raise typer.BadParameter("--remove takes a MEDIA_ID")
    if media_id is None and file is None and next_ is None and not sys.stdin.isatty():
        raise typer.BadParameter("name a MEDIA_ID and its labels, --file or --next; questions are only asked at a terminal")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


def _known(library: "Library", wanted: Sequence[str]) -> None:
    known = set(library.ledger.rows("raw_media", None, ["media_id"])["media_id"].to_pylist())
    unknown = list(dict.fromkeys(one for one in wanted if one not in known))
    if unknown:
        named = ", ".join(repr(one) for one in unknown[:_MOST_NAMED])
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        raise MissingError(f"not in the library: {named}{more}; nothing was added")


def _from_file(library: "Library", file: Path, who: str) -> "list[Correction]":
    from avrec_dag.labelling.reading import read_corrections

    corrections = read_corrections(file, who)
    _known(library, [one.media_id for one in corrections])
    return corrections


def _one(library: "Library", media_id: str, labels: Sequence[str], who: str, add: bool, remove: bool) -> "Correction":
    _known(library, [media_id])
    had = _said(library, media_id) or ()
    if add:
        return _correction(media_id, [*had, *labels], who)
    given = _correction(media_id, labels, who)
    return _correction(media_id, [one for one in had if labels and one not in given.labels], who) if remove else given


def _correction(media_id: str, labels: Sequence[str], who: str) -> "Correction":
    from pydantic import ValidationError

    from avrec_dag.labelling import Correction

    try:
        return Correction(media_id=media_id, labels=tuple(labels), by=who)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}") from None


def _said(library: "Library", media_id: str) -> Sequence[str] | None:
    """What an item is said to be now: by the newest correction, else by table labels."""
    history = library.labels.history(media_id)
    row: dict[str, Any] | None = None if history else library.ledger.row("labels", media_id)
    return history[-1].labels if history else row["labels"] if row else None


def _keep(library: "Library", corrections: "Sequence[Correction]") -> "Added":
    rows = library.ledger.rows("labels", None, ["labels"])
    return library.labels.add(corrections, dict(zip(rows["media_id"].to_pylist(), rows["labels"].to_pylist(), strict=True)))


def _told(library: "Library", corrections: "Sequence[Correction]", as_json: bool) -> None:
    added = _keep(library, corrections)
    if as_json:
        output.show_json(asdict(added))
    else:
        output.stdout().print(f"{added.added} added, {added.unchanged} were there already; `avrec materialize` learns from them")


def _questions(library: "Library", count: int) -> "list[Question]":
    from avrec_dag.labelling.queue import questions

    return questions(library.ledger, library.blobs, library.labels.newest().keys(), count)


def _show_questions(found: "Sequence[Question]", as_json: bool) -> None:
    if as_json:
        output.show_json([{**asdict(one), "classes": [{"label": name, "score": prob} for name, prob in one.classes]} for one in found])
        return
    rows = [[one.media_id, one.title, one.margin, _classes(one), one.method, one.picture] for one in found]
    output.show_table(["media_id", "title", "margin", "classes", "by", "picture"], rows)


def _classes(question: "Question") -> str:
    return ", ".join(f"{name} {prob:.0%}" for name, prob in question.classes)


def _show_history(library: "Library", media_id: str, as_json: bool) -> None:
    _known(library, [media_id])
    history = [asdict(event) for event in library.labels.history(media_id)]
    said = _said(library, media_id)
    if as_json:
        output.show_json({"media_id": media_id, "labels": None if said is None else list(said), "history": history})
        return
    rows = [[f"{one['at']:%Y-%m-%d %H:%M:%S}", one["by"], _named(one["labels"]), _named(one["previous"])] for one in history]
    output.show_table(["when (UTC)", "who", "said", "before"], rows)
    output.stdout().print(f"now: {_named(said)}", markup=False)


def _named(labels: Sequence[str] | None) -> str:
    return "unlabelled" if labels is None else ", ".join(labels) or "none of the classes"


class _EndedError(Exception):
    """Somebody wants no more questions."""


def _converse(library: "Library", who: str) -> None:
    """Ask about one unsure item after the other; every answer is durable before the next question."""
    skipped: set[str] = set()
    kept = 0
    output.say(_KEYS)
    try:
        while asked := [one for one in _questions(library, _ROUND + len(skipped)) if one.media_id not in skipped]:
            for question in asked[:_ROUND]:
                answer = _answer(question)
                if answer is None:
                    skipped.add(question.media_id)
                else:
                    kept += _keep(library, [_correction(question.media_id, answer, who)]).added
        output.say("every item that has classes is labelled or was skipped")
    except (_EndedError, EOFError):
        return
    finally:
        output.say(f"{kept} labelled; `avrec materialize` learns from them")


def _answer(question: "Question") -> Sequence[str] | None:
    """The labels that were typed; None: skipped."""
    options = ", ".join(f"{place} {name} {prob:.0%}" for place, (name, prob) in enumerate(question.classes, 1))
    output.say(f"\n{question.title or question.media_id}\n  {question.media_id}\n  {question.picture}\n  {options}")
    while True:
        typed = output.stderr().input("labels: ").strip()
        if typed == "q":
            raise _EndedError
        if not typed:
            return None
        names = [] if typed == "-" else [_chosen(part.strip(), question) for part in typed.replace("，", ",").split(",")]
        try:
            return _correction(question.media_id, names, "you").labels
        except typer.BadParameter as error:
            output.say(error.message)


def _chosen(typed: str, question: "Question") -> str:
    place = int(typed) - 1 if typed.isascii() and typed.isdigit() else -1
    return question.classes[place][0] if 0 <= place < len(question.classes) else typed
