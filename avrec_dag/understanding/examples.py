"""What the classifier can learn from: labelled items that have features, one class each, and what is left out and why."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.ledger import Ledger
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.fusion import BLOCK, MODALITIES
from avrec_dag.understanding.training import Examples

LEAST_SOURCES = 2
_WIDE = len(MODALITIES) * BLOCK


@dataclass(frozen=True)
class Labelled:
    """Everything that people's labels and the features say, before anything is trained.

    Attributes:
        names: Every class somebody used, sorted.
        labels: Hash of all labels and sources.
        vectors: Labelled item -> hash of its features (8 hex digits), for items that have them.
        examples: What a classifier can learn from; None when that is fewer than two classes.
        left_out: Class -> why it is not among the examples' classes.
    """

    names: tuple[str, ...]
    labels: str
    vectors: Mapping[str, str]
    examples: Examples | None
    left_out: Mapping[str, str]


def gather(ledger: Ledger) -> Labelled:
    """Join labels with features, day by day, so that only the labelled items' tokens are ever in memory together.

    An item's class is its first label; the others wait for a multi-label classifier. A class is learned when items of
    at least two sources show it: with one, nothing could be held out, and the class would be that one recording.
    """
    rows = ledger.rows("labels", columns=["labels", "source"]).to_pylist()
    first = {row["media_id"]: (row["labels"][0], row["source"]) for row in rows if row["labels"]}
    tokens, vectors = _features(ledger, set(first))
    sources = defaultdict(set)
    for media_id in tokens:
        name, source = first[media_id]
        sources[name].add(source)
    names = tuple(sorted({name for name, _ in first.values()}))
    kept = tuple(name for name in names if len(sources[name]) >= LEAST_SOURCES)
    left_out = {name: f"{len(sources[name])} source with features, {LEAST_SOURCES} needed" for name in names if name not in kept}
    ids = sorted(media_id for media_id in tokens if first[media_id][0] in kept)
    examples = None
    if len(kept) >= 2 and len({first[media_id][1] for media_id in ids}) >= 2:
        examples = Examples(
            tuple(ids),
            np.stack([tokens[media_id] for media_id in ids]).reshape(len(ids), len(MODALITIES), BLOCK),
            np.array([kept.index(first[media_id][0]) for media_id in ids], np.int64),
            kept,
            tuple(first[media_id][1] for media_id in ids),
        )
    labels = digest(text for media_id in sorted(first) for text in (media_id, *first[media_id]))
    return Labelled(names, labels, vectors, examples, left_out)


def _features(ledger: Ledger, wanted: set[str]) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Tokens and feature hashes of the wanted items that have them; features that are broken are passed over."""
    tokens, hashes = {}, {}
    for day in ledger.partitions("fused_features") if wanted else ():
        table = ledger.rows("fused_features", day, columns=["fields", "tokens"])
        for place, media_id in enumerate(table["media_id"].to_pylist()):
            if media_id not in wanted:
                continue
            row = np.asarray(table["tokens"][place].values, np.float32)
            if row.size == _WIDE and np.isfinite(row).all() and row.any():
                tokens[media_id] = row
                hashes[media_id] = dict(table["fields"][place].as_py())["vector"][:8]
    return tokens, hashes
