"""What changed in the media library since it was last looked at, day by day, from listings and never from a time."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

QUIET_S = 8.0
"""A day whose last upload is so old is at rest."""
PATIENCE_S = 300.0
"""A day that keeps changing is worked on after so long all the same."""


@dataclass(frozen=True)
class Seen:
    """One day as it is listed now.

    Attributes:
        digest: Of its uploads and of what their sidecars say (`media.ingest.digest`); empty when nothing is left.
        count: Uploads.
        changed_at_s: UNIX seconds at which the last of them came or changed.
    """

    digest: str = ""
    count: int = 0
    changed_at_s: float = 0.0


@dataclass(frozen=True)
class Known:
    """What was seen so far: small, and plain enough for a sensor's cursor.

    A day here is `YYYY-MM-DD`, the date in the keys of its uploads, or `@YYYY-MM-DD`, the day of uploads whose keys tell none.

    Attributes:
        epoch: When this memory began; no run that an earlier one asked for has the key of a new one.
        asked: How often runs were asked for.
        days: Day -> (digest when a run was last asked for, uploads).
        waiting: Day -> (digest that has to stand still, UNIX seconds when it began to change).
        shared: Digest of the files above the days, some of which may speak of any day.
        relisted_at_s: When every day was last listed, or began to be.
        relisted: The days listed since then; None once it was every one.
        round_took_s: How long listing them took.
        undated: Digest of the uploads whose keys tell no day.
        undated_at_s: When these were last listed.
        undated_took_s: How long that took.
        on: The day of the last look: what belongs to "today" is another day's tomorrow.
        told: Notices to take off the queue once this is stored.
    """

    epoch: str = ""
    asked: int = 0
    days: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    waiting: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    shared: str = ""
    relisted_at_s: float = 0.0
    relisted: tuple[str, ...] | None = None
    round_took_s: float = 0.0
    undated: str = ""
    undated_at_s: float = 0.0
    undated_took_s: float = 0.0
    on: str = ""
    told: tuple[str, ...] = ()

    def write(self) -> str:
        """As text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, text: str | None, at_s: float) -> "Known":
        """From text; what cannot be read starts anew, which costs at most one empty run per day."""
        anew = cls(epoch=f"{int(at_s * 1000):x}")
        try:
            written = json.loads(text or "{}")
            days = {day: (str(digest), int(count)) for day, (digest, count) in written["days"].items()}
            waiting = {day: (str(digest), float(since)) for day, (digest, since) in written["waiting"].items()}
            relisted = None if written["relisted"] is None else tuple(map(str, written["relisted"]))
            own: dict[str, Any] = {**written, "days": days, "waiting": waiting, "relisted": relisted, "told": tuple(written["told"])}
            return cls(**own) if written["epoch"] else anew
        except (ValueError, TypeError, KeyError, AttributeError):
            return anew


def settle(known: Known, seen: Mapping[str, Seen], at_s: float, *, first: bool = False) -> tuple[Known, list[str]]:
    """Which of the days that were looked at are due: changed since a run was last asked for, and at rest.

    A day is at rest when its last upload is `QUIET_S` old, or when it stood still from one look to the next, as it must
    where uploads left; one that keeps changing is due after `PATIENCE_S`. Where the clocks of this machine and of S3 differ,
    the first of these only means more runs, or the second.

    Args:
        known: What the last call returned.
        seen: Day -> its state now, for the days that were looked at.
        at_s: UNIX seconds.
        first: Nothing of `known` is stored yet: nothing is asked for before it is, or the same might be asked for twice.
    """
    days, waiting, due = dict(known.days), dict(known.waiting), []
    for day, now in sorted(seen.items()):
        last, count = days.get(day, ("", 0))
        before, since = waiting.pop(day, (None, at_s))
        if now.digest == last:
            continue
        quiet = now.count >= count and at_s - now.changed_at_s >= QUIET_S
        if before == now.digest or (quiet and not first) or at_s - since >= PATIENCE_S:
            days[day] = (now.digest, now.count)
            due.append(day)
        else:
            waiting[day] = (now.digest, since)
    left = {day: state for day, state in days.items() if state[0]}
    return replace(known, asked=known.asked + bool(due), days=left, waiting=waiting), due
