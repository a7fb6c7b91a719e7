"""The classes of every item: from the classifier where people's labels trained one and it knows the like, zero-shot otherwise."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.items import Item, Row
from avrec_dag.storage import Blobs
from avrec_dag.understanding import zero_shot
from avrec_dag.understanding.classifier import Classifier, load, ranked
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.fusion import BLOCK, SLOTS, WIDE
from avrec_dag.understanding.topics import TOPICS, Prompts

_TOP = 10


@dataclass(frozen=True)
class AssignClasses:
    """Task of table content_classes. Field `classes` is the hash of names and probabilities (to 1/1000).

    `labels` holds the class decided on, or every class that reached its threshold where items may have several. `method` says how:

    - `classifier`: the trained classifier knows the like.
    - `none_of_these`: it does not; `labels` is empty, and the ranking is what zero-shot makes of the item among the prompts.
    - `zero_shot`: there is no classifier.

    Attributes:
        store_uri: Where the classifier is stored.
        classifier_blob: Its blob prefix; None: zero-shot against the prompts.
        prompts: Classes and the phrases that stand for them, for zero-shot.
        encoders: Name of the preset in whose joint space the items are, for zero-shot.
    """

    store_uri: str
    classifier_blob: str | None = None
    prompts: Prompts = TOPICS
    encoders: str = "packaged"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item, of which it is a function; an item whose features cannot be read fails with the reason.

        Each is classified by itself: a product of matrices differs in the seventh decimal with the rows that are multiplied together,
        and an item whose batch was broken off would come out as another.
        """
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Row:
        try:
            vector = _column(item, "joint" if self.classifier_blob is None else "tokens")
        except ValueError as error:
            return item.failed(str(error), permanent=True)
        return self._zero_shot(item, vector) if self.classifier_blob is None else self._known(item, vector)

    def _known(self, item: Item, vector: NDArray[np.float32]) -> Row:
        """The classifier's answer; for an item that is like none of its classes, what zero-shot makes of it."""
        classifier = _classifier(self.store_uri, self.classifier_blob or "")
        (chances,) = classifier.predict(vector.reshape(1, len(SLOTS), BLOCK))
        decided = classifier.decided(chances)
        if not decided and item.parents["fused_features"].get("joint") is not None:
            return self._zero_shot(item, _column(item, "joint"), "none_of_these")
        best, best_probs = ranked(classifier.names, chances, _TOP)
        return _row(item, decided, best, best_probs, "classifier" if decided else "none_of_these")

    def _zero_shot(self, item: Item, vector: NDArray[np.float32], method: str = "zero_shot") -> Row:
        (chances,) = zero_shot.probabilities(vector[None], _class_vectors(self.prompts, self.encoders))
        best, best_probs = ranked([name for name, _ in self.prompts], chances, _TOP)
        return _row(item, best[:1] if method == "zero_shot" else [], best, best_probs, method)


def _row(item: Item, labels: list[str], best: list[str], probs: NDArray[np.float32], method: str) -> Row:
    parts = [method, *labels, "ranked", *(f"{name}={prob:.3f}" for name, prob in zip(best, probs, strict=True))]
    values = {"labels": labels, "class_names": best, "class_probs": probs, "method": method}
    return item.done({"classes": digest(parts)}, values)


def _column(item: Item, name: str) -> NDArray[np.float32]:
    values = item.parents.get("fused_features", {}).get(name)
    if values is None:
        raise ValueError(f"classifying: fused_features.{name} is missing; no modality of this item has a place in the joint space")
    vector = np.asarray(values, np.float32)
    if name == "tokens" and vector.size != WIDE:
        raise ValueError(f"classifying: fused_features.tokens has {vector.size} numbers, expected {WIDE}; recompute it")
    if not np.isfinite(vector).all() or not vector.any():
        raise ValueError(f"classifying: fused_features.{name} is not finite or is all zeros; recompute it")
    return vector


@functools.lru_cache(maxsize=2)
def _classifier(store_uri: str, prefix: str) -> Classifier:
    return load(Blobs(store_uri), prefix)


@functools.lru_cache(maxsize=4)
def _class_vectors(prompts: Prompts, encoders: str) -> NDArray[np.float32]:
    from avrec_dag.encoders.joint import JointSpace

    return JointSpace(encoders).classes([phrases for _, phrases in prompts])
