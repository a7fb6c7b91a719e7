"""Groups of copies side by side, for Dagster's page."""

from typing import Any

from assets.pictures import plain, table, thumbnail
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs

_GROUPS, _MEMBERS = 8, 6


def duplicate_groups(ledger: Ledger, blobs: Blobs, partition: str) -> str:
    """The largest groups: the canonical item first, then its copies, each with its middle frame and the evidence."""
    rows = ledger.rows("duplicates", partition, ["group_id", "kind", "similarity", "evidence"]).to_pylist()
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["group_id"] is not None:
            groups.setdefault(row["group_id"], []).append(row)
    frames = ledger.rows("frames", None, ["blob"]) if groups else None
    prefixes = dict(zip(frames["media_id"].to_pylist(), frames["blob"].to_pylist(), strict=True)) if frames else {}
    largest = sorted(groups.values(), key=lambda members: (-len(members), members[0]["media_id"]))[:_GROUPS]
    return "\n\n".join(_side_by_side(blobs, prefixes, members) for members in largest)


def _side_by_side(blobs: Blobs, prefixes: dict[str, str], members: list[dict[str, Any]]) -> str:
    shown = sorted(members, key=lambda row: (row["kind"] != "canonical", -row["similarity"], row["media_id"]))[:_MEMBERS]
    lines = [
        [thumbnail(blobs, prefixes.get(row["media_id"])) for row in shown],
        [plain(row["media_id"], 60) for row in shown],
        [f"{plain(row['kind'])} {row['similarity']:.2f}" for row in shown],
        [plain(row["evidence"], 160) for row in shown],
    ]
    return f"{len(members)} items\n\n" + table([""] * len(shown), lines)
