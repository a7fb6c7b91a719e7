"""Commands that look after a library."""

from typing import TYPE_CHECKING, Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json

if TYPE_CHECKING:
    from avrec_dag.encoders.doctor import Finding


def doctor(
    encoders: Annotated[
        str | None, typer.Option(help="Look at these encoders instead of those of AVREC_ENCODERS: packaged, hub, …")
    ] = None,
    instance: Annotated[bool, typer.Option("--instance", help="Look at the runs instead: what is stuck, and why.")] = False,
    as_json: Json = False,
) -> None:
    """What is installed, which encoders and device are used, what is missing and the command that mends it."""
    if instance:
        _tell(_stuck(), as_json, bad="STUCK")
        return
    from avrec_dag.encoders import registry
    from avrec_dag.encoders.doctor import findings
    from resources.profiles import Settings

    settings = Settings.from_env()
    preset = encoders or settings.encoders
    found = [*findings(preset, settings.speech), _log(settings.feedback)]
    try:
        _tell(found, as_json, bad="MISSING")
    finally:
        registry.preset(preset)  # encoders that cannot be used are a wrong setting: one sentence, and 2


def _log(address: str) -> "Finding":
    """Whether the server of the feedback log lets us in; a file is made when it is needed."""
    from avrec_dag.encoders.doctor import Finding
    from avrec_dag.errors import SettingError, UnreachableError
    from avrec_dag.feedback import FeedbackLog
    from avrec_dag.feedback.opening import parsed
    from avrec_dag.feedback.refusals import place

    log = FeedbackLog(address)
    try:
        url = parsed(address)
        days = [] if url.get_backend_name() == "sqlite" else log.days()
    except (SettingError, UnreachableError) as error:
        found, _, remedy = str(error).partition("; ")
        return Finding("feedback log", False, found, remedy or "correct AVREC_FEEDBACK")
    finally:
        log.close()
    held = f", days with events: {len(days)}" if days else ""
    return Finding("feedback log", True, place(url).removeprefix("the feedback log").strip(" ,") + held)


def _stuck() -> "list[Finding]":
    from assets.automation import BY_DAY
    from assets.backfilling import failed_days
    from avrec_dag.cli import runs, stuck

    with runs.records() as records:
        return stuck.findings(records, failed_days(records, BY_DAY))


def _tell(found: "list[Finding]", as_json: bool, *, bad: str) -> None:
    if as_json:
        output.show_json([{"name": one.name, "ok": one.ok, "detail": one.detail, "remedy": one.remedy} for one in found])
    else:
        rows = [["ok" if one.ok else bad, one.name, one.detail, "" if one.ok else one.remedy] for one in found]
        output.show_table(["", "part", "found", "what to do"], rows)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def reap(
    older_than_min: Annotated[
        float, typer.Option("--older-than", min=0, metavar="MIN", help="Leave alone what began or changed later than so many minutes ago.")
    ] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell.")] = False,
    as_json: Json = False,
) -> None:
    """End the runs whose process was killed, and give their slots back; what they had computed is kept."""
    from dataclasses import asdict

    from avrec_dag.cli import runs
    from resources import workers

    with runs.records() as records:
        ended = workers.reap(records, older_than_min=older_than_min, dry_run=dry_run)
    if as_json:
        output.show_json([{**asdict(run), "worker": run.worker.value} for run in ended])
        return
    rows = [[run.run_id, run.job, run.day, run.status, f"{run.idle_min:.0f}", run.slots] for run in ended]
    output.show_table(["would be ended" if dry_run else "ended", "job", "day", "was", "minutes", "slots"], rows)


def sweep(
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without it they are only counted.")] = False,
    older_than_h: Annotated[float, typer.Option(min=0, help="Leave alone what is younger than so many hours.")] = 24.0,
    as_json: Json = False,
) -> None:
    """Find, and delete when told to, files that no row names, rows older than AVREC_RETENTION, and keys of rows that left a week ago."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from avrec_dag.cli.library import opened
    from avrec_dag.lifecycle import expire

    library = opened()
    expired = expire(library.ledger, library.log, library.settings.retention, datetime.now(UTC).date(), dry_run=not delete)
    swept = {**asdict(library.ledger.sweep(dry_run=not delete, older_than_s=older_than_h * 3600))}
    swept["bare_keys"] = library.ledger.purge(dry_run=not delete)
    if as_json:
        output.show_json({"deleted": delete, **swept, "expired": [asdict(one) for one in expired]})
        return
    rows = [[name, value] for name, value in swept.items()]
    rows += [[f"{one.place}, older than {one.kept_days} days", one.rows] for one in expired]
    output.show_table(["", "deleted" if delete else "would be deleted"], rows)
