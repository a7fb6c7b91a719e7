"""Bringing `duplicates` up to date: only what is new or changed is compared, and the result is the same as from scratch."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from avrec_dag.duplicates.candidates import Pair, pair
from avrec_dag.duplicates.comparing import Known, Search, known_items
from avrec_dag.duplicates.grouping import around_canonical
from avrec_dag.duplicates.matching import Verdict
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.storing import digest, noted, write
from avrec_dag.steps import WHOLE, Step

TABLE = "duplicates"
_UNKNOWN_QUALITY = 0.5
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def update_duplicates(ledger: Ledger, step: Step, *, run_id: str = "") -> Outcome:
    """Compare new and changed items with all, group anew, and write the rows that came out differently.

    Two items are copies or not by themselves alone (`comparing.Search`), so that what was found of two unchanged items still
    holds. Grouping looks at all pairs and is cheap.
    """
    items = known_items(ledger, step.code)
    pairs, settled = _found_before(ledger, items)
    search = Search(ledger, items)
    pairs |= search.copies_of([one for one in items if one not in settled])
    rows = {row.key: row for row in _rows(items, pairs)}
    plan = ledger.wanted(step.name, WHOLE, {key: row.version for key, row in rows.items()})
    outcome = write(ledger, step, WHOLE, plan, (rows[item.key] for item in plan.todo), run_id)
    kinds = [row.values["kind"] for row in rows.values()]
    notes = {kind: kinds.count(kind) for kind in ("exact", "perceptual", "semantic")}
    return noted(outcome, {"compared": search.n_compared, "groups": kinds.count("canonical"), **notes})


def _found_before(ledger: Ledger, items: Mapping[str, Known]) -> tuple[dict[Pair, Verdict], set[str]]:
    """The copies found among items that are as they were, and those items."""
    columns = ["compared", "media_ids", "kinds", "scores", "reasons"]
    stored: list[dict[str, Any]] = ledger.rows(TABLE, WHOLE, columns).to_pylist()
    settled = {row["media_id"] for row in stored if row["media_id"] in items and row["compared"] == items[row["media_id"]].basis}
    pairs = {}
    for row in stored:
        if row["media_id"] not in settled:
            continue
        for other, kind, score, reason in zip(row["media_ids"], row["kinds"], row["scores"], row["reasons"], strict=True):
            if other in settled:
                pairs[pair(row["media_id"], other)] = Verdict(kind, score, reason)
    return pairs, settled


def _rows(items: Mapping[str, Known], pairs: Mapping[Pair, Verdict]) -> Iterator[Row]:
    canonical = around_canonical(pairs.keys(), {one: rank(known) for one, known in items.items()})
    beside: dict[str, dict[str, Verdict]] = {one: {} for one in items}
    for (a, b), verdict in sorted(pairs.items()):
        beside[a][b] = beside[b][a] = verdict
    sizes: dict[str, int] = {}
    for best in canonical.values():
        sizes[best] = sizes.get(best, 0) + 1
    for one, known in items.items():
        values = {**_place(one, known, canonical.get(one), beside[one], sizes), **_partners(beside[one]), "compared": known.basis}
        group = digest(values["group_id"], values["canonical"])
        yield Row(one, digest(*values.values()), {"group": group}, values)


def rank(known: Known) -> tuple[float, int, datetime]:
    """Best first: technical quality (to a tenth, as it is no finer), then pixels, then the earlier upload; ties go to the lesser id."""
    quality = _UNKNOWN_QUALITY if known.quality is None else known.quality
    return -round(quality, 1), -known.pixels, known.uploaded_at or _FIRST


def _place(one: str, known: Known, best: str | None, beside: Mapping[str, Verdict], sizes: Mapping[str, int]) -> dict[str, object]:
    """Where an item stands in its group."""
    if best is None or sizes[best] == 1:
        words = "a copy of items that belong to other groups, and not of their canonical items" if beside else None
        return {"group_id": None, "canonical": None, "kind": "unique", "similarity": None, "evidence": words}
    group = {"group_id": f"group-{digest(best)[:12]}", "canonical": best}
    if best == one:
        quality = "unknown" if known.quality is None else f"{known.quality:.2f}"
        words = f"the best of {sizes[best]}: technical quality {quality}, {known.pixels:,} pixels; then the earliest upload counts"
        return {**group, "kind": "canonical", "similarity": 1.0, "evidence": words}
    return {**group, "kind": beside[best].kind, "similarity": beside[best].similarity, "evidence": beside[best].evidence}


def _partners(beside: Mapping[str, Verdict]) -> dict[str, object]:
    return {
        "media_ids": list(beside),
        "kinds": [verdict.kind for verdict in beside.values()],
        "scores": [verdict.similarity for verdict in beside.values()],
        "reasons": [verdict.evidence for verdict in beside.values()],
    }
