"""Whether so much of a library vanished at once that the listing, not the uploads, must have gone wrong."""

from avrec_dag.errors import AvrecError
from avrec_dag.incremental import GUARD_ROWS
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.media.ingest import known_days
from avrec_dag.media.spoken import is_media
from avrec_dag.media.uploads import MediaSource


def vanished(ledger: Ledger, source: MediaSource) -> dict[str, str]:
    """Key -> day of everything that was ingested and is not listed any more; lists all uploads."""
    listed = {upload.key for upload in source.list() if is_media(upload.key)}
    return {key: day for key, day in known_days(ledger).items() if key not in listed}


def refuse_mass_vanishing(ledger: Ledger, source: MediaSource, day: str, plan: Plan, guard: float) -> None:
    """Refuse to remove a day's uploads where more than a share of the whole library is gone.

    A day's own guard (`incremental.advance`) lets a handful go, so that a library of small days could be emptied day by day by a
    listing that went wrong. So whenever a day would lose more than its share, all uploads are listed once, and the library is judged.

    Args:
        ledger: Knows everything ingested so far.
        source: The uploads.
        day: The day that is worked on.
        plan: What of it would be removed.
        guard: The share, 0 to 1.

    Raises:
        AvrecError: More than that share of the library would vanish.
    """
    if not plan.gone:
        return
    known = known_days(ledger)
    if len(plan.gone) <= guard * sum(at == day for at in known.values()):
        return
    gone = len(vanished(ledger, source))
    if gone >= GUARD_ROWS and gone > guard * len(known):
        raise AvrecError(
            f"raw_media {day}: {gone} of {len(known)} items of the library are not listed any more, more than the {guard:.0%} that is "
            "taken for normal, so nothing is removed; check that the whole of AVREC_MEDIA is readable, or set AVREC_GUARD=1 to remove them "
            "all the same"
        )
