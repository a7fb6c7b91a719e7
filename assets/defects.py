"""What spoils the worst items of a day, and the worst item of every signal, for Dagster's page."""

from collections.abc import Iterable
from typing import Any

from assets.pictures import plain, table, thumbnail
from avrec_dag.ledger import Ledger
from avrec_dag.quality.signals import BAD, worst
from avrec_dag.storage import Blobs

_ITEMS, _REASONS = 6, 3


def weakest(ledger: Ledger, blobs: Blobs, day: str) -> str:
    """The worst items with what takes most of their scores; then, for every signal, where it is worst and how often it is bad."""
    rows = ledger.rows("technical_quality", day, ["score", "picture_score", "sound_score", "signals"]).to_pylist()
    if not rows:
        return ""
    frames = ledger.rows("frames", day, ["blob"])
    prefixes = dict(zip(frames["media_id"].to_pylist(), frames["blob"].to_pylist(), strict=True))
    shown = sorted(rows, key=lambda row: (row["score"], row["media_id"]))[:_ITEMS]
    lines = [
        [thumbnail(blobs, prefixes.get(row["media_id"])), plain(row["media_id"])]
        + [f"{row[name]:.2f}" if row[name] is not None else "–" for name in ("score", "picture_score", "sound_score")]
        + ["<br>".join(f"{one['score']:.2f} {plain(one['reason'], 200)}" for one in worst(row["signals"] or (), _REASONS))]
        for row in shown
    ]
    items = table(["", "item", "score, worst first", "picture", "sound", "what spoils it most"], lines)
    return f"{items}\n\n{table(['signal', f'items below {BAD}', 'lowest', 'where', 'why'], _signals(rows))}"


def _signals(rows: Iterable[dict[str, Any]]) -> list[list[str]]:
    by_name: dict[str, list[tuple[float, str, str]]] = {}
    for row in rows:
        for one in row["signals"] or ():
            by_name.setdefault(one["name"], []).append((one["score"], row["media_id"], one["reason"]))
    lowest = sorted((min(found), name, found) for name, found in by_name.items())
    return [
        [plain(name), f"{sum(score < BAD for score, _, _ in found)} of {len(found)}", f"{score:.2f}", plain(media_id), plain(reason, 200)]
        for (score, media_id, reason), name, found in lowest
    ]
