"""One look at the uploads: which days to list, what of them changed, and which partitions that concerns."""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from avrec_dag.arrivals import Known, Seen, settle
from avrec_dag.ledger import Ledger
from avrec_dag.media.ingest import known_days
from avrec_dag.media.layout import Layout, layout
from avrec_dag.media.listing import Upload
from avrec_dag.media.spoken import digest, is_media, spoken_of
from avrec_dag.media.uploads import MediaSource, day_in_key, day_of

FEW_DAYS = 4
"""So few are all listed at every look."""
RECENT_DAYS = 2
"""Today and so many days before it, less one, are listed at every look."""
BUDGET_S = 15.0
"""No further day is listed when a look has taken so long; the next look goes on from there."""
_CHEAP_S, _HINTED_S = 0.5, 60.0
_UNDATED = "@"
_MOST_DIGESTS = 4_000
_DIGESTS: dict[tuple[str, str, str], str] = {}

Recorded = Callable[[Collection[str]], Mapping[str, str]]
"""Partitions -> the digest that the last ingest of each saw, for those that had one."""


@dataclass(frozen=True)
class Look:
    """What a look found.

    Attributes:
        known: To be remembered.
        due: Partition -> digest of what is to be worked on.
        listed: Days that were listed.
        cost: What listing everything costs, where keys tell no day; empty otherwise.
    """

    known: Known
    due: Mapping[str, str] = field(default_factory=dict)
    listed: int = 0
    cost: str = ""


@dataclass(frozen=True)
class Watch:
    """How a library is looked at.

    Attributes:
        source: The uploads.
        ledger: Knows the day of everything ingested so far.
        start: The first day of the library.
        relist_s: Every day is listed once in so many seconds, and uploads whose keys tell no day are.
        recorded: What was worked on without having been asked for.
    """

    source: MediaSource
    ledger: Ledger
    start: date
    relist_s: float
    recorded: Recorded

    def look(self, known: Known, hinted: Collection[str], today: date, at_s: float, *, first: bool = False) -> Look:
        """Look at the recent days, those that hints name, and in turn at all others.

        Args:
            known: What the last look left.
            hinted: Keys that something is said to have happened to.
            today: The current day, UTC.
            at_s: UNIX seconds.
            first: As in `settle`.

        Raises:
            SettingError: The uploads cannot be listed.
        """
        began = time.monotonic()
        shape = layout(self.source)
        known = self._turned(known, shape, today, at_s)
        seen: dict[str, Seen] = {}
        media: dict[str, list[Upload]] = {}
        for day in self._in_turn(known, shape, hinted, today, began):
            uploads = self.source.list(shape.days[day])
            seen[day] = self._seen(uploads, [*shape.loose, *uploads])
            media[day] = [upload for upload in uploads if is_media(upload.key)]
        listed = len(seen)
        seen |= {day: Seen() for day in known.days.keys() | known.waiting.keys() if day[0] != _UNDATED and day not in shape.days}
        known = _passed(known, seen, shape, time.monotonic() - began)
        known, undated, cost = self._undated(known, shape, hinted, today, at_s)
        known = self._without_recorded(known, seen | undated)
        known, due = settle(known, seen | undated, at_s, first=first)
        return Look(known, self._partitions(due, seen | undated, media, today), listed, cost)

    def _turned(self, known: Known, shape: Layout, today: date, at_s: float) -> Known:
        """A new round of all days, where it is time or a file that may speak of any day changed; a new day, where one began."""
        shared = _plain(upload for upload in shape.loose if not is_media(upload.key))
        cheap = len(shape.days) <= FEW_DAYS or (not self.source.metered and known.round_took_s < _CHEAP_S)
        if shared != known.shared or not 0 <= at_s - known.relisted_at_s < (0 if cheap else self.relist_s):
            known = replace(known, shared=shared, relisted=(), relisted_at_s=at_s, round_took_s=0.0)
        if known.on == today.isoformat():
            return known
        # What has no day yet, or one still to come, belongs to the day on which it is ingested: that may be another one by now.
        days = {day: state for day, state in known.days.items() if day[0] == _UNDATED or day <= known.on}
        return replace(known, on=today.isoformat(), days=days, undated="")

    def _in_turn(self, known: Known, shape: Layout, hinted: Collection[str], today: date, began: float) -> Iterable[str]:
        recent = (today - timedelta(days=RECENT_DAYS - 1)).isoformat()
        told = {day.isoformat() for key in hinted if (day := day_in_key(key))}
        newest_first = sorted(shape.days, reverse=True)
        must = [day for day in newest_first if day >= recent or day in told]
        new = [day for day in newest_first if day in known.waiting or day not in known.days]
        turn = [] if known.relisted is None else [day for day in newest_first if day not in known.relisted]
        yield from must
        for day in dict.fromkeys(day for day in (*new, *turn) if day not in must):
            if time.monotonic() - began > BUDGET_S:
                return
            yield day

    def _seen(self, uploads: Iterable[Upload], around: Iterable[Upload]) -> Seen:
        every = list(uploads)
        media = [upload for upload in every if is_media(upload.key)]
        if not media:
            return Seen()
        beside = [upload for upload in around if not is_media(upload.key)]
        return Seen(
            _digest(self.source.uri, _plain(media), _plain(beside), lambda: digest(spoken_of(self.source, media, beside))),
            len(media),
            max(upload.at_rest_since_s for upload in every),
        )

    def _undated(
        self, known: Known, shape: Layout, hinted: Collection[str], today: date, at_s: float
    ) -> tuple[Known, dict[str, Seen], str]:
        """Uploads whose keys tell no day, by the day they belong to; nothing where they are as they were."""
        every, cost = list(shape.loose), ""
        if shape.others:
            hint = any(day_in_key(key) is None for key in hinted)
            wait_s = 0.0 if known.undated_took_s < _CHEAP_S else _HINTED_S if hint else self.relist_s
            if 0 <= at_s - known.undated_at_s < wait_s:
                return known, {}, ""
            began = time.monotonic()
            every += self.source.list(shape.others)
            took_s = time.monotonic() - began
            known = replace(known, undated_at_s=at_s, undated_took_s=took_s)
            if took_s >= _CHEAP_S:
                cost = (
                    f"{len(every)} files lie in no folder dt=YYYY-MM-DD: listing them takes {took_s:.1f} s and {-(-len(every) // 1000)} "
                    f"requests, once in {self.relist_s:.0f} s"
                )
        plain = _plain(every)
        waiting = [day for day in known.waiting if day[0] == _UNDATED]
        if plain == known.undated and not waiting:
            return known, {}, cost
        days: dict[str, list[Upload]] = {}
        where = known_days(self.ledger)
        for upload in every:
            if is_media(upload.key):
                days.setdefault(f"{_UNDATED}{day_of(upload, where, today, self.start)}", []).append(upload)
        before = {day for day in (*known.days, *waiting) if day[0] == _UNDATED}
        seen = {day: self._seen(days.get(day, ()), every) for day in before | days.keys()}
        return replace(known, undated=plain), seen, cost

    def _without_recorded(self, known: Known, seen: Mapping[str, Seen]) -> Known:
        """Days seen for the first time, and worked on already, by the command line or before the memory was lost."""
        fresh = {day: self._clamped(day, date.fromisoformat(known.on)) for day in seen.keys() - known.days.keys() - known.waiting.keys()}
        if not fresh:
            return known
        worked_on = self.recorded(set(fresh.values()))
        same = {day: (seen[day].digest, seen[day].count) for day, at in fresh.items() if worked_on.get(at) == seen[day].digest != ""}
        return replace(known, days={**known.days, **same})

    def _clamped(self, day: str, today: date) -> str:
        return max(self.start, min(date.fromisoformat(day.removeprefix(_UNDATED)), today)).isoformat()

    def _partitions(self, due: Collection[str], seen: Mapping[str, Seen], media: Mapping[str, list[Upload]], today: date) -> dict[str, str]:
        """Where the uploads of due days are or were: mostly the day itself, but once ingested an upload keeps its day."""
        if not due:
            return {}
        where, found = known_days(self.ledger), dict[str, set[str]]()
        dated = {day for day in due if day[0] != _UNDATED}
        for key, partition in where.items():
            if (day := day_in_key(key)) and day.isoformat() in dated:
                found.setdefault(partition, set()).add(day.isoformat())
        for day in due:
            partitions = {day_of(upload, where, today, self.start) for upload in media.get(day, ())} if day in dated else {day[1:]}
            for partition in partitions:
                found.setdefault(partition, set()).add(day)
        return {at: _joined(seen[day].digest for day in sorted(days)) for at, days in sorted(found.items())}


def _digest(uri: str, media: str, beside: str, work_out: Callable[[], str]) -> str:
    """The digest of a day, worked out once for one state of its listing, as a look without news has no other work."""
    if (uri, media, beside) not in _DIGESTS:
        if len(_DIGESTS) >= _MOST_DIGESTS:
            _DIGESTS.clear()
        _DIGESTS[uri, media, beside] = work_out()
    return _DIGESTS[uri, media, beside]


def _passed(known: Known, seen: Mapping[str, Seen], shape: Layout, took_s: float) -> Known:
    """The round of all days, as far as it has come."""
    if known.relisted is None:
        return known
    passed = {*known.relisted, *seen} & shape.days.keys()
    left = None if passed == shape.days.keys() else tuple(sorted(passed))
    return replace(known, relisted=left, round_took_s=known.round_took_s + took_s)


def _joined(digests: Iterable[str]) -> str:
    several = list(digests)
    return several[0] if len(several) == 1 else hashlib.sha256(" ".join(several).encode()).hexdigest()[:12]


def _plain(uploads: Iterable[Upload]) -> str:
    """Hash of keys, sizes and ETags, whatever their order."""
    sha = hashlib.sha256()
    for upload in sorted(uploads, key=lambda upload: upload.key):
        sha.update(f"{upload.key}\0{upload.size_bytes}\0{upload.etag}\n".encode())
    return sha.hexdigest()[:12]
