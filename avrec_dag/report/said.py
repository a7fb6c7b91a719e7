"""What is said and shown in the library, for the report: the first sentences of some items, with their seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger

_ITEMS, _SENTENCES = 12, 4


@dataclass(frozen=True)
class Said:
    """The beginning of what one item says.

    Attributes:
        media_id: The item.
        language: ISO 639-1 code; empty for text on screen.
        sentences: (second, text), in order of time.
        n_more: Sentences that are left out.
    """

    media_id: str
    language: str
    sentences: tuple[tuple[float, str], ...]
    n_more: int


@dataclass(frozen=True)
class Words:
    """What is said and shown in a library.

    Attributes:
        n_spoken: Items in which something is said.
        n_shown: Items on whose screen something stands.
        spoken: Some of the first.
        shown: Some of the second.
    """

    n_spoken: int = 0
    n_shown: int = 0
    spoken: tuple[Said, ...] = ()
    shown: tuple[Said, ...] = ()


def gather(ledger: "Ledger") -> Words:
    """Read it."""
    spoken = _worded(ledger, "transcripts", ["language", "text", "segments"])
    shown = _worded(ledger, "screen_text", ["text", "lines"])
    return Words(
        len(spoken),
        len(shown),
        tuple(_said(row, row["segments"], row["language"] or "") for row in spoken[:_ITEMS]),
        tuple(_said(row, row["lines"], "") for row in shown[:_ITEMS]),
    )


def _worded(ledger: "Ledger", table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    return [row for row in ledger.rows(table, None, columns).to_pylist() if row["text"]]


def _said(row: dict[str, Any], told: Sequence[dict[str, Any]], language: str) -> Said:
    first = tuple((float(one["start_s"]), str(one["text"])) for one in told[:_SENTENCES])
    return Said(row["media_id"], language, first, len(told) - len(first))
