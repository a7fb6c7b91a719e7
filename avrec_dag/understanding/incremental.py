"""Learning from where a classifier stands: what is new, with exemplars of what it knows, in its heads alone; and judging it honestly.

Every trained classifier is six models and not one: the one that serves, which has seen every example, and one per fold, which never
saw its fold's groups. An update moves each of them on its own, with the folds kept, so that held-out predictions stay held out
however many updates lie between a model and its last full training. Cross-validation measures the recipe; the model that serves is the
recipe's on all examples, of which it has a fifth more than the measured ones (Hastie, Tibshirani and Friedman 2009, section 7.10).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from avrec_dag.understanding.challenge import Judged
from avrec_dag.understanding.classifier import Classifier
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.examples import Examples
from avrec_dag.understanding.replay import kept_folds, replayed
from avrec_dag.understanding.settings import Settings, Weights
from avrec_dag.understanding.splits import folds_of
from avrec_dag.understanding.training import HeldOut, calibrated, classifier_of, fitted

_T = TypeVar("_T", np.float32, np.bool_)
PER_CLASS = 500
"""Exemplars of each known class that an update learns again: all of most libraries, and a bound for the largest."""


@dataclass(frozen=True)
class Trained:
    """A classifier with what it takes to go on from it and to judge it.

    Attributes:
        classifier: The model that serves.
        folds: Weights of the models that never saw their fold, in order.
        fold_of: Item -> the fold it is held out in.
        learned: Item -> hash of the classes and the features it was learned with.
        held_out: What the fold models say of their folds.
        method: `refit` or `update`.
        n_new: Examples that were new or changed.
        n_replayed: Known examples that were learned again.
        seconds: Wall time of the training.
    """

    classifier: Classifier
    folds: tuple[Weights, ...]
    fold_of: Mapping[str, int]
    learned: Mapping[str, str]
    held_out: HeldOut
    method: str
    n_new: int
    n_replayed: int
    seconds: float


@dataclass(frozen=True)
class Standing:
    """What an earlier training left: the part of `Trained` that is read back from the store."""

    classifier: Classifier
    folds: tuple[Weights, ...]
    fold_of: Mapping[str, int]
    learned: Mapping[str, str]


def facts_of(examples: Examples, vectors: Mapping[str, str]) -> dict[str, str]:
    """Item -> hash of the classes and the features it is learned with: an example whose hash is another one is new."""
    said = [[name for name, one in zip(examples.names, row, strict=True) if one] for row in examples.targets]
    return {media_id: digest([vectors.get(media_id, ""), *names])[:16] for media_id, names in zip(examples.media_ids, said, strict=True)}


def refit(examples: Examples, facts: Mapping[str, str], settings: Settings, seed: int) -> Trained:
    """Train everything anew: a model per fold, and the one that serves.

    Raises:
        ValueError: There are fewer than two groups.
    """
    began, every = time.monotonic(), np.arange(len(examples.media_ids))
    fold = folds_of(examples.classes, examples.groups, seed)
    trained = [fitted(examples, np.flatnonzero(fold != number), settings, seed + number) for number in range(int(fold.max()) + 1)]
    weights, _ = fitted(examples, every, settings, seed)
    return _trained(examples, facts, settings, fold, tuple(one for one, _ in trained), weights, "refit", len(every), 0, began)


def update(examples: Examples, facts: Mapping[str, str], before: Standing, seed: int, *, per_class: int = PER_CLASS) -> Trained | None:
    """Go on from where a classifier stands, with what is new or changed since and `per_class` exemplars of each class it knows.

    Its head grows by the classes it does not know and loses those that nobody uses any more.

    Args:
        examples: Everything there is to learn from now.
        facts: As `facts_of` has them.
        before: The classifier to go on from.
        seed: Decides order and dropout.
        per_class: Exemplars of each known class at most.

    Returns:
        None where an update would not be honest or not possible: groups have come to join folds, or an item may now have several classes.
    """
    began = time.monotonic()
    settings, names = before.classifier.settings, before.classifier.names
    fold = kept_folds(examples.media_ids, examples.groups, examples.classes, before.fold_of, len(before.folds))
    if fold is None or examples.multi_label != before.classifier.multi_label:
        return None
    known = np.array([before.learned.get(media_id) == facts[media_id] for media_id in examples.media_ids])

    folds = []
    for number, weights in enumerate(before.folds):
        learn = curriculum(examples, known, fold != number, per_class)
        folds.append(moved(examples, learn, weights, names, settings, seed + number))
    learn = curriculum(examples, known, np.ones(len(fold), bool), per_class)
    weights = moved(examples, learn, before.classifier.weights, names, settings, seed)
    n_new = int((~known).sum())
    return _trained(examples, facts, settings, fold, tuple(folds), weights, "update", n_new, len(learn) - n_new, began)


def curriculum(examples: Examples, known: NDArray[np.bool_], allowed: NDArray[np.bool_], per_class: int = PER_CLASS) -> NDArray[np.int64]:
    """Positions that an update learns from: all that is new, and exemplars of what is known.

    Args:
        examples: Everything there is to learn from.
        known: bool (n,), what the classifier has learned from as it is now.
        allowed: bool (n,), what may be learned from at all; the rest is held out.
        per_class: Exemplars of each known class at most.
    """
    again = replayed(examples.tokens, examples.classes, np.flatnonzero(known & allowed), per_class)
    return np.sort(np.concatenate([np.flatnonzero(~known & allowed), again]))


def moved(examples: Examples, learn: NDArray[np.int64], weights: Weights, names: tuple[str, ...], settings: Settings, seed: int) -> Weights:
    """Weights over the examples' classes that have gone on from `weights`, over `names`, with the examples at `learn`."""
    from avrec_dag.understanding.heads import HeadFitting
    from avrec_dag.understanding.network import regrouped

    fitting = HeadFitting(
        examples.tokens, examples.targets, settings, seed,
        multi_label=examples.multi_label, anchors=examples.anchors, start_from=regrouped(weights, names, examples.names),
    )  # fmt: skip
    return fitting.run(learn)[0]


def _trained(
    examples: Examples,
    facts: Mapping[str, str],
    settings: Settings,
    fold: NDArray[np.int64],
    folds: tuple[Weights, ...],
    weights: Weights,
    method: str,
    n_new: int,
    n_replayed: int,
    began: float,
) -> Trained:
    logits = np.zeros(examples.targets.shape, np.float32)
    for number, one in enumerate(folds):
        if (held := fold == number).any():
            logits[held] = Classifier(examples.names, 1.0, 0.0, settings, one).logits(examples.tokens[held])
    held_out = calibrated(logits, examples, fold)
    classifier = classifier_of(examples, held_out, settings, weights)
    fold_of = dict(zip(examples.media_ids, fold.tolist(), strict=True))
    return Trained(classifier, folds, fold_of, dict(facts), held_out, method, n_new, n_replayed, time.monotonic() - began)


def judged(standing: Standing, examples: Examples) -> Judged:
    """What a classifier says of examples without having seen them or anything of their groups.

    Each example is judged by the model of the fold it, or another example of its group, is held out in; one of a group the classifier
    never saw, by the model of its first fold. A class the classifier does not know has probability 0 and is never said.
    """
    mine, pairs = standing.classifier, list(zip(examples.media_ids, examples.groups, strict=True))
    by_group = {group: standing.fold_of[one] for one, group in pairs if one in standing.fold_of}
    fold = np.array([standing.fold_of.get(one, by_group.get(group, 0)) for one, group in pairs])
    probs = np.zeros((len(fold), len(mine.names)), np.float32)
    for number, weights in enumerate(standing.folds):
        if (held := fold == number).any():
            probs[held] = replace(mine, weights=weights).predict(examples.tokens[held])
    limits = np.array(mine.thresholds) if mine.multi_label else probs.max(axis=1, keepdims=True)
    said = in_columns(probs >= limits, mine.names, examples.names)
    return Judged(in_columns(probs, mine.names, examples.names), said, mine.multi_label)


def in_columns(values: NDArray[_T], names: Sequence[str], wanted: Sequence[str]) -> NDArray[_T]:
    """Columns by class name in another order; classes that are not there are 0."""
    found = np.zeros((len(values), len(wanted)), values.dtype)
    for place, name in enumerate(wanted):
        if name in names:
            found[:, place] = values[:, list(names).index(name)]
    return found
