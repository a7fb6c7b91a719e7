"""Held-out predictions as a trained model keeps them, so that they can be evaluated later and on the same ground."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.understanding.evaluation import Evaluation, evaluate
from avrec_dag.understanding.examples import Examples
from avrec_dag.understanding.training import HeldOut


@dataclass(frozen=True)
class Predictions:
    """held_out.json of a classifier.

    Attributes:
        names: The classes.
        media_ids: One per example.
        targets: float32 (n, n_classes) in {0, 1}.
        probs: float32 (n, n_classes).
        said: bool (n, n_classes), the classes decided on; None where an item has one class.
        fold: int64 (n,).
    """

    names: tuple[str, ...]
    media_ids: tuple[str, ...]
    targets: NDArray[np.float32]
    probs: NDArray[np.float32]
    said: NDArray[np.bool_] | None
    fold: NDArray[np.int64]

    @classmethod
    def read(cls, raw: bytes) -> "Predictions":
        """From what `to_json` made."""
        told = json.loads(raw)
        shape = len(told["media_ids"]), len(told["names"])
        targets = _matrix(told["targets"], shape).astype(np.float32)
        said = _matrix(told["said"], shape) if told["said"] is not None else None
        probs, fold = np.array(told["probs"], np.float32), np.array(told["fold"], np.int64)
        return cls(tuple(told["names"]), tuple(told["media_ids"]), targets, probs, said, fold)

    @classmethod
    def of(cls, examples: Examples, held_out: HeldOut) -> "Predictions":
        """What a training held out."""
        said = held_out.said if examples.multi_label else None
        return cls(examples.names, examples.media_ids, examples.targets, held_out.probs, said, held_out.fold)

    def to_json(self) -> bytes:
        """As JSON: classes by number, probabilities to five decimals."""
        columns = {
            "names": self.names,
            "media_ids": self.media_ids,
            "targets": [np.flatnonzero(row).tolist() for row in self.targets],
            "said": None if self.said is None else [np.flatnonzero(row).tolist() for row in self.said],
            "fold": self.fold.tolist(),
            "probs": np.round(self.probs.astype(float), 5).tolist(),
        }
        return json.dumps(columns, ensure_ascii=False).encode()

    def evaluated(self) -> Evaluation:
        """Their figures."""
        return evaluate(self.targets, self.probs, self.names, self.said)

    def mistakes(self) -> list[int]:
        """Positions of the examples whose most probable class is none of theirs, the surest first."""
        best, sure = self.probs.argmax(axis=1), self.probs.max(axis=1)
        wrong = self.targets[np.arange(len(best)), best] == 0
        return [int(i) for i in np.argsort(-sure, kind="stable") if wrong[i]]


def _matrix(rows: Sequence[Sequence[int]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    matrix = np.zeros(shape, bool)
    for number, row in enumerate(rows):
        matrix[number, list(row)] = True
    return matrix
