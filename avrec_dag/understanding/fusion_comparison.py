"""Whether a trained fusion is worth having: against every modality alone, concatenation, score averaging and the untrained recipe."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.understanding.evaluation import average_precision
from avrec_dag.understanding.examples import Examples
from avrec_dag.understanding.fusion import MODALITIES, SLOTS
from avrec_dag.understanding.fusion_model import FusionModel
from avrec_dag.understanding.settings import FusionSettings
from avrec_dag.understanding.splits import folds_of

FUSED, CONCATENATION, AVERAGING, UNTRAINED = "fused", "concatenation", "score averaging", "untrained recipe"
MOST_COMPARED = 4_000
"""Examples that the comparison looks at, drawn by chance: baselines over more would take longer than the training itself."""


@dataclass(frozen=True)
class Comparison:
    """Held-out figures of one recipe of fusion.

    Attributes:
        accuracy: Model -> share of items whose most probable class is one of theirs, by cross-validation over groups.
        similarity: `known` and `new` classes -> fused or untrained recipe -> mean average precision of finding items of the same class
            among held-out items of other groups. `new`: of classes that training never saw.
        n_examples: How many were compared.
    """

    accuracy: dict[str, float]
    similarity: dict[str, dict[str, float]]
    n_examples: int

    @property
    def why_not(self) -> str:
        """Why the trained fusion must not be used; empty where it wins."""
        best = max((name for name in self.accuracy if name != FUSED), key=lambda name: self.accuracy[name])
        if self.accuracy[FUSED] <= self.accuracy[best]:
            return f"accuracy {self.accuracy[FUSED]:.3f} does not beat {best} at {self.accuracy[best]:.3f}"
        for classes, found in self.similarity.items():
            if found[FUSED] < found[UNTRAINED]:
                return f"similar items of {classes} classes: {found[FUSED]:.3f} is below the untrained recipe's {found[UNTRAINED]:.3f}"
        return ""


def trained_fusion(
    examples: Examples, settings: FusionSettings, seed: int, rows: NDArray[np.int64] | None = None, classes: Sequence[int] | None = None
) -> FusionModel:
    """A fusion learned from some of the examples and some of the classes (default: all)."""
    from avrec_dag.understanding.fusion_network import fit

    rows = np.arange(len(examples.media_ids)) if rows is None else rows
    kept = list(range(len(examples.names))) if classes is None else list(classes)
    anchors = None if examples.anchors is None else examples.anchors[kept]
    weights = fit(examples.tokens[rows], examples.targets[rows][:, kept], settings, seed, anchors)
    return FusionModel(len(kept), settings.share, settings, weights)


def compare(examples: Examples, vectors: NDArray[np.float32], settings: FusionSettings, seed: int) -> Comparison:
    """Train on folds and on halves of the classes, and look at what was held out.

    Args:
        examples: Labelled items of at least four classes.
        vectors: float32 (n, 768), the fused vectors of the untrained recipe.
        settings: Of the fusion.
        seed: Decides folds, halves, initial weights and order.
    """
    some = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:MOST_COMPARED])
    examples, vectors = examples.part(some), vectors[some]
    fold = folds_of(examples.classes, examples.groups, seed)
    scores = baselines(examples, fold)
    scores[FUSED] = np.zeros(examples.targets.shape, np.float32)
    known: list[tuple[float, float]] = []
    for number in np.unique(fold):
        learn, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = trained_fusion(examples, settings, seed + int(number), learn)
        scores[FUSED][held] = model.logits(examples.tokens[held])
        known.append(_both(examples, vectors, model, held))
    new: list[tuple[float, float]] = []
    halves = np.array_split(np.random.default_rng(seed).permutation(len(examples.names)), 2)
    for unseen, seen in (halves, halves[::-1]):
        learn = np.flatnonzero((examples.targets[:, seen].any(axis=1)) & ~examples.targets[:, unseen].any(axis=1))
        held = np.flatnonzero(examples.targets[:, unseen].any(axis=1))
        present = [int(one) for one in seen if examples.targets[learn, one].any()]
        if len(present) >= 2:
            new.append(_both(examples, vectors, trained_fusion(examples, settings, seed, learn, present), held))
    right = {name: _accuracy(examples.targets, score) for name, score in scores.items()}
    accuracy = {name: right[name] for name in (FUSED, CONCATENATION, AVERAGING, *MODALITIES)}
    similarity = {"known": known, "new": new}
    means = {name: np.mean(found, axis=0) for name, found in similarity.items() if found}
    return Comparison(accuracy, {name: {FUSED: float(one[0]), UNTRAINED: float(one[1])} for name, one in means.items()}, len(some))


def _both(examples: Examples, vectors: NDArray[np.float32], model: FusionModel, held: NDArray[np.int64]) -> tuple[float, float]:
    groups = [examples.groups[i] for i in held]
    fused = model.mixed(vectors[held], examples.tokens[held])
    return similar(fused, examples.targets[held], groups), similar(vectors[held], examples.targets[held], groups)


def similar(vectors: NDArray[np.float32], targets: NDArray[np.float32], groups: Sequence[str]) -> float:
    """Mean average precision of finding an item's class among the items of other groups by cosine.

    Args:
        vectors: float32 (n, d), unit length.
        targets: float32 (n, n_classes); items are alike when they share a class.
        groups: Of each item.
    """
    cosines, alike, owner = vectors @ vectors.T, targets @ targets.T > 0, np.unique(np.asarray(groups), return_inverse=True)[1]
    found = []
    for row in range(len(vectors)):
        others = owner != owner[row]
        if alike[row, others].any():
            found.append(average_precision(alike[row, others], cosines[row, others]))
    return float(np.mean(found)) if found else 0.0


def baselines(examples: Examples, fold: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Held-out probabilities of logistic regression on each modality, on all, and of the mean over the modalities an item has.

    A modality's tokens are what its encoder sees and its place in the joint space; an item of several classes is learned as its rarest.
    """
    from sklearn.linear_model import LogisticRegression

    shape, classes = examples.targets.shape, examples.classes
    probs = {name: np.zeros(shape, np.float32) for name in (*MODALITIES, CONCATENATION, AVERAGING)}
    for number in np.unique(fold):
        learn, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for name in (*MODALITIES, CONCATENATION):
            rows = [row for row, slot in enumerate(SLOTS) if name in (CONCATENATION, slot.modality)]
            seen = examples.tokens[:, rows].reshape(shape[0], -1)
            model = LogisticRegression(C=30, max_iter=300, tol=1e-3).fit(seen[learn], classes[learn])
            probs[name][np.ix_(test, model.classes_)] = model.predict_proba(seen[test])
        there = np.stack([examples.tokens[test, row].any(axis=1) for row in range(len(MODALITIES))])
        single = np.stack([probs[name][test] for name in MODALITIES])
        probs[AVERAGING][test] = (single * there[..., None]).sum(axis=0) / there.sum(axis=0).clip(1)[:, None]
    return probs


def _accuracy(targets: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    return float(targets[np.arange(len(targets)), scores.argmax(axis=1)].mean())
