"""The demo from beginning to end: clips, people, every table, the report, and whether what was learnt clears the bars."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from avrec_dag import report
from avrec_dag.cli import flow, output, summary
from avrec_dag.cli.flow import Flow
from avrec_dag.cli.library import Library, opened
from avrec_dag.demo import on_s3, people
from avrec_dag.demo.bars import Bar, measured
from avrec_dag.demo.library import lay_out
from avrec_dag.errors import SettingError
from avrec_dag.feedback import Event
from avrec_dag.ledger import Ledger

PACKAGES, REPORT = Path("var/packages"), Path("var/report.html")


def run(*, real: bool, seed: int, verbose: bool, as_json: bool, s3: bool = False) -> dict[str, Any]:
    """Do everything `avrec demo` does; returns what it prints with `--json`.

    Args:
        real: Fetch the real clips.
        seed: Decides the made clips and the made people.
        verbose: Let Dagster's log through.
        as_json: Show no progress.
        s3: Uploads and store on an S3 server that is started for it, whatever the settings say.

    Raises:
        SettingError: The settings name a library of somebody's own, or uploads on S3.
        MissingError: The S3 server cannot be started.
    """
    if not s3:
        library = opened()
        return _run(library, _folder(library), REPORT, None, real=real, seed=seed, verbose=verbose, as_json=as_json)
    with on_s3.settings() as clips:
        report_at = on_s3.FOLDER / "report.html"
        return _run(opened(), clips, report_at, on_s3.upload, real=real, seed=seed, verbose=verbose, as_json=as_json)


def _run(
    library: Library,
    media: Path,
    report_at: Path,
    upload: Callable[[Path], int] | None,
    *,
    real: bool,
    seed: int,
    verbose: bool,
    as_json: bool,
) -> dict[str, Any]:
    parts: dict[str, float] = {}
    uploaded = 0
    with output.shown_progress(as_json):
        with _timed(parts, "clips"):
            laid = lay_out(media, PACKAGES, seed=seed, real=real)
        if upload is not None:
            with _timed(parts, "uploads"):
                uploaded = upload(media)
        with _timed(parts, "people"):
            added = library.log.add(people.events(seed))
        with _timed(parts, "tables"):
            ran = flow.bring_up_to_date(library, verbose=verbose)
        with _timed(parts, "dislike"):
            dislike = disliked(library, lambda: flow.bring_up_to_date(library, verbose=verbose)) if ran.ok else None
        with _timed(parts, "report"):
            report.write(library.ledger, library.blobs, report_at)
    told = summary.of(library, ran, sum(parts.values()))
    bars = measured(library.ledger)
    return {
        **told,
        "library": {
            "items": library.ledger.counts("raw_media").ok, "real": len(laid.real), "made": len(laid.made),
            "people": library.ledger.counts("interactions").ok, "written": laid.written, "events_added": added, "trouble": laid.trouble,
            "media": library.settings.media, "store": library.settings.store, "uploaded": uploaded,
        },
        "lists": lists(library.ledger),
        "dislike": dislike,
        "bars": [_told(bar) for bar in bars],
        "parts": {name: round(seconds, 1) for name, seconds in parts.items()},
        "report": str(report_at),
        "ok": ran.ok and all(bar.cleared for bar in bars) and (dislike is None or dislike["ok"]),
    }  # fmt: skip


def lists(ledger: Ledger, people: int = 2, places: int = 3) -> list[dict[str, Any]]:
    """The beginning of the lists of some people, each place with its reason."""
    rows = ledger.rows("recommendations", None, ["media_ids", "reasons"]).to_pylist()
    return [
        {
            "user_id": row["user_id"],
            "items": [
                {"media_id": media_id, "reason": reason}
                for media_id, reason in zip(row["media_ids"][:places], row["reasons"][:places], strict=True)
            ],
        }
        for row in sorted(rows, key=lambda row: row["user_id"])[:people]
    ]


def disliked(library: Library, bring_up_to_date: Callable[[], Flow]) -> dict[str, Any] | None:
    """Somebody dislikes the first item of their list, and the whole graph follows: whose lists change?

    Returns:
        user_id, media_id, how many lists there are and how many changed, and whether that is theirs alone; None where an earlier run has
            shown it, as a dislike is said once.
    """
    before = _places(library.ledger)
    if not before:
        return None
    person = min(before)
    newest = max((event.happened_at for event in library.log.of_user(person)), default=datetime.now(UTC))
    at = newest + timedelta(seconds=1)
    event = Event(user_id=person, media_id=before[person][0], kind="dislike", happened_at=at, event_id=f"demo-dislike-{person}")
    if not library.log.add([event]):
        return None
    ran, after = bring_up_to_date(), _places(library.ledger)
    changed = [user_id for user_id in before if after.get(user_id) != before[user_id]]
    ok = ran.ok and changed == [person] and len(after) == len(before)
    return {"user_id": person, "media_id": event.media_id, "lists": len(after), "changed": len(changed), "ok": ok}


def _places(ledger: Ledger) -> dict[str, list[str]]:
    rows = ledger.rows("recommendations", None, ["media_ids"]).to_pylist()
    return {row["user_id"]: row["media_ids"] for row in rows if row["media_ids"]}


def show(told: dict[str, Any]) -> None:
    """Print it for people."""
    print_ = output.stdout().print
    summary.show(told)
    library = told["library"]
    print_(
        f"\n{library['items']} items: {library['real']} real clips from packages, {library['made']} made; {library['people']} made people"
    )
    if library["trouble"]:
        print_(f"Some real clips are missing and the demo goes on without them: {library['trouble']}", markup=False)
    for one in told["lists"]:
        print_(f"\nWhat {one['user_id']} should watch next, and why:", markup=False)
        output.show_table(["media_id", "reason"], [[place["media_id"], place["reason"]] for place in one["items"]])
    print_()
    if one := told["dislike"]:
        lists_of = "1 list" if one["changed"] == 1 else f"{one['changed']} lists"
        verdict = "ok" if one["ok"] else "MISSED"
        print_(f"{verdict:6} {one['user_id']} disliked {one['media_id']}: {lists_of} of {one['lists']} changed", markup=False)
    for bar in told["bars"]:
        verdict = "ok" if bar["cleared"] else "MISSED"
        times = f"{bar['times']:.1f}x" if bar["times"] is not None else "not measured"
        against = f"{bar['value']:.3f} against {bar['baseline']:.3f} of {bar['baseline_name']}"
        print_(f"{verdict:6} {bar['name']}: {against}: {times}, at least {bar['least']:g}x")
    print_("time: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told["parts"].items()))
    if str(library["media"]).startswith("s3://"):
        where = f"{library['media']} and {library['store']}"
        print_(f"\nOn S3: {where}, {library['uploaded']} files uploaded; the server is stopped again", markup=False)
        print_(f"Look at it: {told['report']} (a page in one file); run it again, and it goes on from here", markup=False)
        return
    print_(f"\nLook at it: {told['report']} (a page in one file), `make serve` (watch, like, search), `make ui` (Dagster's graph)")


def _folder(library: Library) -> Path:
    uri = library.settings.media
    if uri.startswith("s3://"):
        raise SettingError(f"avrec demo writes its clips into a folder, and AVREC_MEDIA is {uri}: unset it, or name an empty folder")
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file://") else uri).expanduser()


@contextmanager
def _timed(parts: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    parts[name] = time.monotonic() - began


def _told(bar: Bar) -> dict[str, Any]:
    return {
        "name": bar.name, "value": bar.value, "baseline_name": bar.baseline_name, "baseline": bar.baseline, "least": bar.least,
        "times": bar.times, "cleared": bar.cleared,
    }  # fmt: skip
