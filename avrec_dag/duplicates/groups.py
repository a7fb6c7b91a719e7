"""What others ask of the duplicates: who is in which group, what must not be split, and a list without repetitions."""

from collections.abc import Mapping, Sequence

from avrec_dag.duplicates.grouping import families as linked
from avrec_dag.duplicates.stage import TABLE
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE


def groups(ledger: Ledger) -> dict[str, str]:
    """Item -> its group, for items of which there are copies; every member was compared with the group's canonical item."""
    rows = ledger.rows(TABLE, WHOLE, ["group_id"])
    return {one: group for one, group in zip(rows["media_id"].to_pylist(), rows["group_id"].to_pylist(), strict=True) if group}


def canonicals(ledger: Ledger) -> dict[str, str]:
    """Item -> the item that stands for its group, for items of which there are copies."""
    rows = ledger.rows(TABLE, WHOLE, ["canonical"])
    return {one: best for one, best in zip(rows["media_id"].to_pylist(), rows["canonical"].to_pylist(), strict=True) if best}


def families(ledger: Ledger) -> dict[str, str]:
    """Item -> the family it is linked with by any chain of copies: what must stay on one side of a split into training and test."""
    rows = ledger.rows(TABLE, WHOLE, ["media_ids"]).to_pylist()
    return linked((row["media_id"], other) for row in rows for other in row["media_ids"])


def collapsed(media_ids: Sequence[str], group_of: Mapping[str, str]) -> list[str]:
    """A list in which each group stands once, by whichever of its items comes first; items without a group all stay.

    Args:
        media_ids: Best first.
        group_of: As `groups` gives it.
    """
    met: set[str] = set()
    kept = []
    for one in media_ids:
        group = group_of.get(one)
        if group is None or group not in met:
            kept.append(one)
        if group is not None:
            met.add(group)
    return kept
