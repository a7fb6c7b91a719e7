"""Items that moderation keeps back, for Dagster's page: pixelated, because whoever opens the page did not ask to see them."""

import base64
import io
import zipfile
from typing import Any

from assets.pictures import plain, table
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs

_ITEMS, _COARSE_PX, _SHOWN_PX = 12, 10, 120


def kept_back(ledger: Ledger, blobs: Blobs, partition: str) -> str:
    """What waits for a person and what is blocked, the highest scores first."""
    rows = ledger.rows("moderation_decisions", partition, ["decision", "score", "reason"]).to_pylist()
    rows = [row for row in rows if row["decision"] != "allow"]
    rows.sort(key=lambda row: (row["decision"] != "hold", -(row["score"] or 0), row["media_id"]))
    if not rows:
        return ""
    places = {row["media_id"]: row for row in ledger.rows("moderation", None, ["frame"]).to_pylist()}
    frames = ledger.rows("frames", None, ["blob"])
    prefixes = dict(zip(frames["media_id"].to_pylist(), frames["blob"].to_pylist(), strict=True))
    lines = [_line(blobs, row, prefixes.get(row["media_id"]), places.get(row["media_id"])) for row in rows[:_ITEMS]]
    return table(["", "item", "decision", "score", "why"], lines)


def _line(blobs: Blobs, row: dict[str, Any], prefix: str | None, scored: dict[str, Any] | None) -> list[str]:
    picture = pixelated(blobs, prefix, scored["frame"]) if prefix and scored else ""
    score = "" if row["score"] is None else f"{row['score']:.2f}"
    return [picture, plain(row["media_id"]), plain(row["decision"]), score, plain(row["reason"], 200)]


def pixelated(blobs: Blobs, prefix: str, frame: int) -> str:
    """One stored frame as Markdown, ten coarse squares wide; empty where it is not there."""
    from PIL import Image

    if not blobs.exists(f"{prefix}/frames.zip"):
        return ""
    with blobs.open(f"{prefix}/frames.zip") as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        data = archive.read(names[min(frame, len(names) - 1)])
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    height = max(1, round(_COARSE_PX * picture.height / picture.width))
    coarse = picture.resize((_COARSE_PX, height), Image.Resampling.BOX)
    shown = coarse.resize((_SHOWN_PX, _SHOWN_PX * height // _COARSE_PX or 1), Image.Resampling.NEAREST)
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=75)
    return f"![pixelated](data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()})"
