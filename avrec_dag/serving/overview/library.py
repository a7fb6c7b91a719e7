"""What is in a library, for those who run it: uploads by day, classes, quality, copies, moderation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avrec_dag.ledger import Ledger
from avrec_dag.moderation.decisions import waiting, withheld
from avrec_dag.report.copies import copies
from avrec_dag.report.technical import BINS, measured

_FAILURES, _CLASSES, _HELD = 50, 30, 100


@dataclass(frozen=True)
class Day:
    """One upload day: how many items of each kind it has, and how many uploads could not be read."""

    day: str
    video: int
    audio: int
    image: int
    failed: int


@dataclass(frozen=True)
class Failure:
    """One upload that could not be read, and why."""

    media_id: str
    day: str
    error: str


@dataclass(frozen=True)
class Inventory:
    """What there is; at most 50 of `n_failed` failures are named, newest day first."""

    days: tuple[Day, ...]
    n_items: int
    n_failed: int
    n_warned: int
    duration_s: float
    n_people: int
    n_events: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class OfClass:
    """One class: how many items it is the likeliest of, how many of those by the classifier and not zero-shot, and the surest of them."""

    name: str
    items: int
    classified: int
    surest: str


@dataclass(frozen=True)
class Quality:
    """How quality is distributed.

    Attributes:
        histogram: How many items have a score in each of 20 equal parts of [0, 1].
        technical: The same of the technical part.
        defects: What spoils items most often: signal, and in how many items.
        worst: Items with the lowest technical score, with what spoils them.
    """

    histogram: tuple[int, ...]
    technical: tuple[int, ...]
    defects: tuple[tuple[str, int], ...]
    worst: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Copy:
    """One item of a group of copies; `still` says whether it has a picture that may be shown."""

    media_id: str
    title: str
    kind: str
    similarity: float
    evidence: str
    still: bool


@dataclass(frozen=True)
class Duplicates:
    """Groups of copies, the largest ones with their members, the item that stands for them first."""

    n_groups: int
    n_items: int
    by_kind: dict[str, int]
    largest: tuple[tuple[Copy, ...], ...]


@dataclass(frozen=True)
class Held:
    """One item that waits for a person or is kept back."""

    media_id: str
    title: str
    decision: str
    origin: str
    score: float | None
    worst_s: float | None
    reports: int
    reason: str


@dataclass(frozen=True)
class Moderation:
    """How many items by decision, and what waits: most reported first, at most 100."""

    decided: dict[str, int]
    by_people: int
    queue: tuple[Held, ...]


def inventory(ledger: Ledger) -> Inventory:
    """Read raw_media and what people did."""
    columns = ["partition", "status", "error", "kind", "duration_s", "warnings"]
    rows = ledger.rows("raw_media", None, columns, status=None).to_pylist()
    good, bad = [row for row in rows if row["status"] == "ok"], [row for row in rows if row["status"] == "failed"]
    kinds = Counter((row["partition"], row["kind"]) for row in good)
    failed = Counter(row["partition"] for row in bad)
    days = sorted({row["partition"] for row in rows})
    bad.sort(key=lambda row: row["media_id"])
    bad.sort(key=lambda row: row["partition"], reverse=True)
    return Inventory(
        tuple(Day(day, kinds[day, "video"], kinds[day, "audio"], kinds[day, "image"], failed[day]) for day in days),
        len(good),
        len(bad),
        sum(bool(row["warnings"]) for row in good),
        sum(row["duration_s"] or 0 for row in good),
        ledger.counts("interactions").ok,
        ledger.counts("feedback_events").ok,
        tuple(Failure(row["media_id"], row["partition"], row["error"] or "") for row in bad[:_FAILURES]),
    )


def classes_of(ledger: Ledger) -> tuple[OfClass, ...]:
    """Read content_classes."""
    best: dict[str, list[tuple[float, str, bool]]] = {}
    for row in ledger.rows("content_classes", None, ["class_names", "class_probs", "method"]).to_pylist():
        if row["class_names"]:
            best.setdefault(row["class_names"][0], []).append((row["class_probs"][0], row["media_id"], row["method"] == "classifier"))
    ordered = sorted(best.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_CLASSES]
    return tuple(OfClass(name, len(items), sum(one[2] for one in items), max(items)[1]) for name, items in ordered)


def quality_of(ledger: Ledger) -> Quality:
    """Read quality_scores and technical_quality."""
    scores = ledger.rows("quality_scores", None, ["score"])["score"].to_pylist()
    bins = Counter(min(int(score * BINS), BINS - 1) for score in scores if score is not None)
    technical = measured(ledger)
    return Quality(
        tuple(bins[place] for place in range(BINS)), technical.histogram, technical.defects, tuple(asdict(one) for one in technical.items)
    )


def duplicates_of(ledger: Ledger) -> Duplicates:
    """Read duplicates."""
    found = copies(ledger)
    titles, stills = _titles(ledger, [row["media_id"] for members in found.largest for row in members]), _stills(ledger)

    def member(row: Mapping[str, Any]) -> Copy:
        key = row["media_id"]
        return Copy(key, titles.get(key, ""), row["kind"], row["similarity"] or 0.0, row["evidence"] or "", key in stills)

    groups = tuple(tuple(member(row) for row in members) for members in found.largest)
    return Duplicates(found.n_groups, found.n_items, dict(found.by_kind), groups)


def moderation_of(ledger: Ledger) -> Moderation:
    """Read moderation_decisions."""
    rows = waiting(ledger, ("hold", "block"))[:_HELD]
    every = ledger.rows("moderation_decisions", None, ["decision", "origin"]).to_pylist()
    titles = _titles(ledger, [row["media_id"] for row in rows])
    queue = (
        Held(row["media_id"], titles.get(row["media_id"], ""), row["decision"], row["origin"] or "", row["score"], row["worst_s"],
             row["reports"] or 0, row["reason"] or "")
        for row in rows
    )  # fmt: skip
    counts, by_people = Counter(row["decision"] for row in every), sum(row["origin"] == "person" for row in every)
    return Moderation({name: counts[name] for name in ("allow", "hold", "block")}, by_people, tuple(queue))


def _titles(ledger: Ledger, media_ids: Sequence[str]) -> dict[str, str]:
    wanted = set(media_ids)
    rows = ledger.rows("raw_media", None, ["title"]).to_pylist() if wanted else []
    return {row["media_id"]: row["title"] or "" for row in rows if row["media_id"] in wanted}


def _stills(ledger: Ledger) -> set[str]:
    hidden = withheld(ledger)
    rows = ledger.rows("frames", None, ["n_frames"]).to_pylist()
    return {row["media_id"] for row in rows if row["n_frames"] and row["media_id"] not in hidden}
