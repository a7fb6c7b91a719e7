"""The command by which people decide about items that moderation held."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json
from avrec_dag.errors import MissingError


def review(
    media_id: Annotated[str | None, typer.Argument(help="An item of the library; none: list what waits.")] = None,
    decision: Annotated[str | None, typer.Argument(help="allow or block.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides; kept with the decision.")] = None,
    because: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    blocked: Annotated[bool, typer.Option("--blocked", help="List what is blocked, too.")] = False,
    as_json: Json = False,
) -> None:
    """List what moderation held and what people reported, or decide about one item; what a person decides holds whatever the model says."""
    from avrec_dag.cli.library import opened

    library = opened()
    if media_id is None:
        _list(library, ("hold", "block") if blocked else ("hold",), as_json)
        return
    if decision not in ("allow", "block"):
        raise typer.BadParameter(f"the decision is allow or block, found {decision!r}")
    if not (by or "").strip():
        raise typer.BadParameter("say who decides: --by NAME")
    told = _decide(library, media_id, decision, str(by).strip(), because.strip())
    if as_json:
        output.show_json(told)
    else:
        output.stdout().print(f"{told['media_id']}: {told['decision']}, {told['reason']}", markup=False)


def _list(library: Any, decisions: tuple[str, ...], as_json: bool) -> None:
    from avrec_dag.moderation.decisions import waiting

    rows = waiting(library.ledger, decisions)
    if as_json:
        output.show_json(rows)
        return
    cells = [
        [row["media_id"], row["decision"], "" if row["score"] is None else row["score"], row["reports"] or 0, row["reason"]] for row in rows
    ]
    output.show_table(["media_id", "decision", "score", "reports", "why"], cells)
    output.say(f"{len(rows)} items; decide with `avrec review MEDIA_ID allow|block --by NAME`")


def _decide(library: Any, media_id: str, decision: Any, by: str, because: str) -> dict[str, Any]:
    from avrec_dag.moderation.decisions import TABLE, update_decisions
    from avrec_dag.moderation.reviews import Review, ReviewLog

    if library.ledger.row("raw_media", media_id) is None:
        raise MissingError(f"{media_id!r} is not in the library; `avrec review` lists what waits")
    log = ReviewLog(library.settings.feedback)
    log.add(Review(media_id, decision, by, datetime.now(UTC), because))
    # At once, so that a service that is running heeds it within seconds; the next run finds nothing left to do.
    update_decisions(library.ledger, library.steps[TABLE], library.settings.moderation_policy, log.newest())
    log.close()
    return {name: value for name, value in library.ledger.row(TABLE, media_id).items() if name not in ("fields", "partition", "version")}
