"""Finding the pairs of copies among new and old items: exact by hash, the others by candidates and a look at the fingerprints."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from avrec_dag.duplicates.candidates import LEAST_COSINE, Pair, blocks, near, pair
from avrec_dag.duplicates.fingerprints import FILE, Fingerprint
from avrec_dag.duplicates.matching import Compared, Limits, Verdict, about_as_long, compared, judged
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.storing import digest
from avrec_dag.storage import Blobs

BATCH = 4096
"""New items whose vectors and candidates are in memory at once."""
_HELD = 512
"""Fingerprints in memory at once, of about 0.1 MB each."""
_REMEMBERED = 100_000
"""Measurements in memory at once."""
EXACT = Verdict("exact", 1.0, "picture and sound are the same packets")


@dataclass(frozen=True)
class Known:
    """What is known of one item without opening its fingerprint.

    Attributes:
        basis: Hash of everything that comparing it depends on.
        print: Hash of its fingerprint.
        exact: Hashes of its picture and sound packets.
        blob: Where its fingerprint is.
        duration_s: Its length; 0 for a still picture.
        pixels: Width times height; 0 without picture.
        uploaded_at: When it came.
        quality: `technical_quality.score`; None where it has not been measured.
    """

    basis: str
    print: str
    exact: tuple[str | None, str | None]
    blob: str
    duration_s: float
    pixels: int
    uploaded_at: datetime | None
    quality: float | None


def known_items(ledger: Ledger, code: str) -> dict[str, Known]:
    """Every item with a fingerprint; the vectors' hashes enter `basis`, since they decide what is compared."""
    media = _by_id(ledger, "raw_media", ["duration_s", "width", "height", "uploaded_at"])
    quality = {key: row["score"] for key, row in _by_id(ledger, "technical_quality", ["score"]).items()}
    fields = {table: _by_id(ledger, table, ["fields"]) for table in ("frame_embeddings", "audio_embeddings")}
    found = {}
    for key, row in _by_id(ledger, "fingerprints", ["fields", "video_hash", "audio_hash", "blob"]).items():
        if key not in media:
            continue
        told, mine = media[key], dict(row["fields"])["fingerprint"]
        vectors = [dict(rows[key]["fields"])["vector"] if key in rows else None for rows in fields.values()]
        found[key] = Known(
            digest(code, mine, *vectors), mine, (row["video_hash"], row["audio_hash"]), row["blob"],
            told["duration_s"] or 0.0, (told["width"] or 0) * (told["height"] or 0), told["uploaded_at"], quality.get(key),
        )  # fmt: skip
    return found


def _by_id(ledger: Ledger, table: str, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {row["media_id"]: row for row in ledger.rows(table, None, columns).to_pylist()}


@dataclass
class Search:
    """One search for copies of some new items.

    Attributes:
        ledger: The tables.
        items: Every item of the library.
        limits: What makes copies.
        n_compared: Pairs whose fingerprints were looked at so far.
    """

    ledger: Ledger
    items: Mapping[str, Known]
    limits: Limits = field(default_factory=Limits)
    n_compared: int = 0

    def copies_of(self, new: Sequence[str]) -> dict[Pair, Verdict]:
        """The copies among all pairs with a new item; which others are new changes no verdict."""
        found = self._exact(frozenset(new))
        for two, measured in self.measured(new):
            verdict = judged(measured, self.limits)
            if two not in found and verdict is not None:
                found[two] = verdict
        return found

    def measured(self, new: Sequence[str]) -> Iterator[tuple[Pair, Compared]]:
        """Every pair of `pairs`, with what was measured of the two."""
        return ((two, self.compare(two)) for two in self.pairs(new))

    def compare(self, two: Pair) -> Compared:
        """What is measured of two items."""
        a, b = (self.items[one] for one in two)
        return self._compared(a.print, b.print, a.blob, b.blob)

    def pairs(self, new: Sequence[str]) -> Iterator[Pair]:
        """Every pair of a new item and another one that may be a copy of it, each once."""
        order = sorted(new)
        batch_of = {one: number // BATCH for number, one in enumerate(order)}
        for start in range(0, len(order), BATCH):
            batch = frozenset(order[start : start + BATCH])
            pairs = {two for two in self._candidates(batch) if min(batch_of.get(one, len(order)) for one in two) == start // BATCH}
            # In order of one item, so that its neighbours find its fingerprint still in memory.
            yield from sorted(pairs)

    def _exact(self, new: frozenset[str]) -> dict[Pair, Verdict]:
        same: dict[tuple[str | None, str | None], list[str]] = {}
        for one, known in self.items.items():
            same.setdefault(known.exact, []).append(one)
        groups = (same[key] for key in {self.items[one].exact for one in new})
        return {pair(a, b): EXACT for group in groups for a in group if a in new for b in group if a != b}

    def _candidates(self, batch: frozenset[str]) -> Iterator[Pair]:
        for space, least in LEAST_COSINE.items():
            for a, b in near(blocks(self.ledger, space, batch), blocks(self.ledger, space), least):
                if a in self.items and b in self.items and about_as_long(self.items[a].duration_s, self.items[b].duration_s):
                    yield a, b

    @cached_property
    def _compared(self) -> Callable[[str, str, str, str], Compared]:
        """Exact copies have equal fingerprints, so that what was measured of one of them holds for the others."""
        blobs = Blobs(self.ledger.uri)
        read = lru_cache(maxsize=_HELD)(lambda blob: Fingerprint.read(blobs.get(f"{blob}/{FILE}")))
        measured: dict[tuple[str, str], Compared] = {}

        def both(a: str, b: str, blob_a: str, blob_b: str) -> Compared:
            if (a, b) not in measured:
                if len(measured) >= _REMEMBERED:
                    measured.clear()
                measured[a, b] = compared(read(blob_a), read(blob_b))
                self.n_compared += 1
            return measured[a, b]

        return both
