"""Labelled items' tokens straight from their embeddings, for what is trained before anything is fused."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from avrec_dag.ledger import Ledger
from avrec_dag.understanding.examples import Found, copy_groups, creators_of
from avrec_dag.understanding.fusion import MODALITIES, PARENTS, checked, tokens_of, vector_of


class Embedded:
    """Reads embeddings day by day, so that only the wanted items are ever in memory together.

    Attributes:
        vectors: Item -> its fused vector by the untrained recipe, float32 (768,), after a call.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.vectors: dict[str, NDArray[np.float32]] = {}

    def __call__(self, wanted: set[str]) -> Found:
        """Tokens of the wanted items that have embeddings; embeddings that are broken are passed over."""
        tokens, hashes, creators, sizes = {}, {}, {}, Counter[int]()
        for day in self.ledger.partitions("raw_media") if wanted else ():
            creators |= creators_of(self.ledger, day)
            for media_id, vectors, joints, hashed in self._day(day, wanted):
                try:
                    tokens[media_id], self.vectors[media_id] = tokens_of(vectors, joints).ravel(), vector_of(vectors)
                except ValueError:
                    continue
                hashes[media_id] = hashed
                sizes.update(vector.size for vector in joints.values())
        return Found(tokens, hashes, creators, sizes.most_common(1)[0][0] if sizes else 0, copy_groups(self.ledger))

    def _day(self, day: str, wanted: set[str]) -> list[tuple[str, dict[str, NDArray], dict[str, NDArray], str]]:
        vectors: dict[str, dict[str, NDArray]] = {}
        joints: dict[str, dict[str, NDArray]] = {}
        hashed: dict[str, str] = {}
        for modality in MODALITIES:
            table = self.ledger.rows(PARENTS[modality], day, ["fields", "vector", "joint"])
            for place, media_id in enumerate(table["media_id"].to_pylist()):
                if media_id not in wanted:
                    continue
                try:
                    vector = checked(table["vector"][place].values, modality)
                    joint = table["joint"][place].values
                    if joint is not None:
                        joints.setdefault(media_id, {})[modality] = checked(joint, modality)
                except ValueError:
                    continue
                vectors.setdefault(media_id, {})[modality] = vector
                hashed[media_id] = hashed.get(media_id, "") + dict(table["fields"][place].as_py()).get("vector", "")[:4]
        return [(one, found, joints.get(one, {}), hashed[one]) for one, found in vectors.items()]
