"""Which items to ask people about next: those the library is least sure of, without asking five times about one thing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import MissingError
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs

ALIKE = 0.95
"""Cosine of two items' fused vectors from which on a person would see the same thing twice."""
_POOL = 10
"""So many times the wanted number are looked at for variety."""


@dataclass(frozen=True, slots=True)
class Question:
    """One item worth asking about.

    Attributes:
        media_id: Which.
        title: As uploaded; empty without one.
        margin: Probability of its best class less that of the second, in [0, 1]; the smaller, the less sure.
        classes: Its best classes with their probabilities, best first, at most three.
        method: Who says so: classifier or zero_shot.
        picture: Path of its contact sheet, or of its spectrogram; empty without either.
    """

    media_id: str
    title: str
    margin: float
    classes: tuple[tuple[str, float], ...]
    method: str
    picture: str


def questions(ledger: Ledger, blobs: Blobs, answered: Collection[str], count: int) -> list[Question]:
    """The items without labels whose two best classes lie closest together, least sure first.

    Uncertainty is the margin of the two best classes ("best versus second best"; Joshi, Porikli and Papanikolopoulos 2009), which
    unlike entropy does not grow with classes that nobody would confuse. An item whose fused vector is alike (`ALIKE`) to one chosen
    before comes only when nothing else is left.

    Args:
        ledger: The tables.
        blobs: Where pictures are.
        answered: Items that need no question, beside those in table labels.
        count: How many at most.

    Raises:
        MissingError: Nothing has been classified.
    """
    rows = ledger.rows("content_classes", None, ["class_names", "class_probs", "method"]).to_pylist()
    if not rows:
        raise MissingError("there is nothing to ask about yet: no item has classes; run `avrec materialize`")
    done = {*answered, *ledger.rows("labels", None, [])["media_id"].to_pylist()}
    unsure = sorted((_margin(row["class_probs"]), row["media_id"]) for row in rows if row["media_id"] not in done)[: _POOL * count]
    chosen = _varied([media_id for _, media_id in unsure], _vectors(ledger, {media_id for _, media_id in unsure}), count)
    margins, by_id = {media_id: margin for margin, media_id in unsure}, {row["media_id"]: row for row in rows}
    titles, pictures = _titles(ledger, set(chosen)), _pictures(ledger, blobs, set(chosen))
    return [
        Question(
            one,
            titles.get(one) or "",
            margins[one],
            tuple(zip(by_id[one]["class_names"], by_id[one]["class_probs"], strict=True))[:3],
            by_id[one]["method"],
            pictures.get(one, ""),
        )
        for one in chosen
    ]


def _margin(probs: Sequence[float] | None) -> float:
    best = sorted(probs or (), reverse=True)[:2]
    return best[0] - best[1] if len(best) == 2 else 1.0 if best else 0.0


def _varied(order: Sequence[str], vectors: dict[str, NDArray[np.float32]], count: int) -> list[str]:
    """The first `count` of the order, where what is alike to one before it waits until the rest has been through."""
    first: list[str] = []
    for media_id in order:
        vector = vectors.get(media_id)
        seen = [vectors[one] for one in first if one in vectors]
        if vector is None or not any(len(one) == len(vector) and float(one @ vector) >= ALIKE for one in seen):
            first.append(media_id)
        if len(first) == count:
            return first
    waiting = [media_id for media_id in order if media_id not in set(first)]
    return (first + waiting)[:count]


def _vectors(ledger: Ledger, wanted: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Fused vectors of the wanted items, read day by day."""
    found = {}
    for day in ledger.partitions("fused_features"):
        table = ledger.rows("fused_features", day, ["vector"])
        for place, media_id in enumerate(table["media_id"].to_pylist()):
            if media_id in wanted and table["vector"][place].is_valid:
                found[media_id] = np.asarray(table["vector"][place].values, np.float32)
    return found


def _titles(ledger: Ledger, wanted: Collection[str]) -> dict[str, str | None]:
    rows = ledger.rows("raw_media", None, ["title"]).to_pylist()
    return {row["media_id"]: row["title"] for row in rows if row["media_id"] in wanted}


def _pictures(ledger: Ledger, blobs: Blobs, wanted: Collection[str]) -> dict[str, str]:
    """Path of something to look at: on this machine where the store is a folder, else relative to the store."""
    found = {}
    for table, name in (("audio_spectrograms", "spectrogram.png"), ("frames", "sheet.jpg")):
        for row in ledger.rows(table, None, ["blob"]).to_pylist():
            if row["media_id"] in wanted and row["blob"]:
                path = f"{row['blob']}/{name}"
                found[row["media_id"]] = str(blobs.local(path) or path)
    return found
