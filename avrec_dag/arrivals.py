"""What changed in the media library since it was last looked at, day by day."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from avrec_dag.media.sidecar import FOLDER_FILES, SIDECAR_SUFFIX
from avrec_dag.media.uploads import Upload

PATIENCE_S = 300.0
"""A day that keeps changing is worked on after so long all the same."""


@dataclass(frozen=True)
class Due:
    """A day to bring up to date. `count` tells two arrivals of one and the same state apart (deleted and uploaded again)."""

    day: str
    digest: str
    count: int


@dataclass(frozen=True)
class Known:
    """What was seen so far; small, and plain enough for JSON.

    Attributes:
        listing: Digest of the whole listing.
        days: Day -> (digest when it was last asked for, how often it was).
        waiting: Day -> (digest that has to stand still for one look, UNIX seconds when the day began to change).
    """

    listing: str = ""
    days: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    waiting: Mapping[str, tuple[str, float]] = field(default_factory=dict)


def digest(uploads: Iterable[Upload]) -> str:
    """Hash of keys, sizes and ETags, whatever their order; 16 hex digits."""
    sha = hashlib.sha256()
    for upload in sorted(uploads, key=lambda upload: upload.key):
        sha.update(f"{upload.key}\0{upload.size_bytes}\0{upload.etag}\n".encode())
    return sha.hexdigest()[:16]


def digests(listing: Sequence[Upload], days: Mapping[str, Sequence[Upload]]) -> dict[str, str]:
    """Day -> digest of its media together with the sidecars and metadata files that speak of them.

    Args:
        listing: All uploads, sidecars included.
        days: The media by day (`media.ingest.days_of`).
    """
    by_key = {upload.key: upload for upload in listing}
    found = {}
    for day, uploads in days.items():
        beside = {key for upload in uploads for key in _sidecars(upload.key)}
        found[day] = digest([*uploads, *(by_key[key] for key in beside if key in by_key)])
    return found


def _sidecars(key: str) -> list[str]:
    path = PurePosixPath(key)
    return [f"{key}{SIDECAR_SUFFIX}", str(path.with_suffix(SIDECAR_SUFFIX)), *(str(path.with_name(name)) for name in FOLDER_FILES)]


def settle(known: Known, listing: str, now: Mapping[str, str], at_s: float) -> tuple[Known, list[Due]]:
    """Which days are due: changed since they were last asked for, and at rest for one look, or changing for `PATIENCE_S`.

    Args:
        known: What the last call returned.
        listing: Digest of the whole listing.
        now: Day -> digest; a day that is absent has no uploads any more.
        at_s: UNIX seconds.
    """
    days, waiting, due = dict(known.days), {}, []
    for day in sorted(now.keys() | days.keys()):
        seen, (last, count) = now.get(day, ""), days.get(day, ("", 0))
        if seen == last:
            continue
        before, since = known.waiting.get(day, (None, at_s))
        if before == seen or at_s - since >= PATIENCE_S:
            days[day] = (seen, count + 1)
            due.append(Due(day, seen, count + 1))
        else:
            waiting[day] = (seen, since)
    return Known(listing, days, waiting), due
