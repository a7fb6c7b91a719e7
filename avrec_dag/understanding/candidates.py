"""Bringing the challenger up to date: when there is reason to train one, from where it goes on, and when it starts anew."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from avrec_dag.errors import AvrecError
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.examples import LEAST_SOURCES, Examples, Labelled, gather
from avrec_dag.understanding.incremental import Standing, Trained, facts_of, refit, update
from avrec_dag.understanding.predictions import Predictions
from avrec_dag.understanding.settings import Settings
from avrec_dag.understanding.stage import CANDIDATE, TrainedModel, model_row, trained_model, whole_outcome
from avrec_dag.understanding.standing import files_of, read_standing

CHANGED_SHARE, RENEWED_SHARE = 0.05, 0.5
"""Share of the training vectors that may change before a challenger is trained, and from which on it is trained anew."""


@dataclass(frozen=True)
class _Recipe:
    """What besides the data decides the result of a training."""

    code: str
    seed: int
    settings: Settings

    @property
    def digest(self) -> str:
        return digest([self.code, str(self.seed), self.settings.model_dump_json()])


def update_candidate(
    ledger: Ledger,
    blobs: Blobs,
    step: Step,
    *,
    seed: int = 0,
    run_id: str = "",
    settings: Settings | None = None,
    encoders: str = "packaged",
    anew: bool = False,
) -> Outcome:
    """Train a challenger to the classifier that serves, when there is reason to.

    Reasons: a label or a source changed, came or went; the step's code, the seed or the settings changed; more than 5 % of the training
    vectors changed, came or went; or somebody asks for it. A challenger that was turned down is not trained again on the same labels. One
    edited title is no reason: a new classifier would reclassify the library for the sake of one item.

    The challenger goes on from the classifier that serves (`incremental.update`). It is trained anew where none serves, where code, seed,
    settings or more than half of the vectors changed, where an item that was learned from has left the library (what an erased item
    taught must go with it), where groups have come to join folds, and where somebody asks for it.

    With fewer than two classes that at least two sources show, the row says so and names no blob.

    Args:
        ledger: The tables.
        blobs: Where models are.
        step: The step of table classifier_candidate.
        seed: Decides everything random.
        run_id: Kept in the row.
        settings: Sizes and rates; None: the usual ones.
        encoders: The preset whose joint space names the classes.
        anew: Train from the beginning, unless the last challenger was and nothing has changed since.
    """
    found, recipe = gather(ledger, encoders), _Recipe(step.code, seed, settings or Settings())
    last, champion = trained_model(ledger, CANDIDATE), trained_model(ledger)
    reason = _reason(found, last, blobs, recipe, anew) if last else "first time"
    if last is not None and not reason:
        return whole_outcome(ledger, CANDIDATE, 0, {"trained": "no", "examples": last.n_examples})
    if found.examples is None:
        row, how = _untrained(found, recipe), "too few labels"
    else:
        why = "asked for" if anew else _why_anew(ledger, found, champion, blobs, recipe)
        row, how = _trained(found, found.examples, blobs, recipe, None if why or champion is None else champion, why)
    ledger.append(CANDIDATE, WHOLE, [row], run_id)
    ledger.compact(CANDIDATE, WHOLE)
    n_examples = len(found.examples.media_ids) if found.examples else 0
    return whole_outcome(ledger, CANDIDATE, 1, {"trained": reason, "how": how, "examples": n_examples, "classes": len(found.names)})


def _reason(found: Labelled, last: TrainedModel, blobs: Blobs, recipe: _Recipe, anew: bool) -> str:
    """Why to train; empty when there is no reason to."""
    if last.details["recipe"] != recipe.digest:
        return "code, seed or settings changed"
    if last.details["labels"] != found.labels:
        return "labels changed"
    if bool(last.blob) != (found.examples is not None):
        return "enough examples" if found.examples else "too few examples"
    if found.examples is None:
        return ""
    if anew and last.details["method"] != "refit":
        return "asked for"
    changed = _changed_share(last, blobs, found)
    return f"{changed:.0%} of the training vectors changed" if changed > CHANGED_SHARE else ""


def _changed_share(model: TrainedModel, blobs: Blobs, found: Labelled) -> float:
    before: Mapping[str, str] = json.loads(blobs.get(f"{model.blob}/vectors.json"))
    changed = sum(before.get(media_id) != found.vectors.get(media_id) for media_id in before.keys() | found.vectors.keys())
    return changed / max(len(before), 1)


def _why_anew(ledger: Ledger, found: Labelled, champion: TrainedModel | None, blobs: Blobs, recipe: _Recipe) -> str:
    """Why an update will not do; empty when it will."""
    if champion is None or not champion.blob:
        return "nothing to go on from"
    if champion.details["recipe"] != recipe.digest:
        return "code, seed or settings changed"
    before: Mapping[str, str] = json.loads(blobs.get(f"{champion.blob}/vectors.json"))
    here = set(ledger.rows("raw_media", None, [])["media_id"].to_pylist())
    if gone := before.keys() - here:
        return f"{len(gone)} items it learned from have left the library"
    common = before.keys() & found.vectors.keys()
    if sum(before[one] != found.vectors[one] for one in common) > RENEWED_SHARE * len(before):
        return "most vectors changed"
    return ""


def _trained(
    found: Labelled, examples: Examples, blobs: Blobs, recipe: _Recipe, champion: TrainedModel | None, why: str
) -> tuple[Row, str]:
    facts, trained = facts_of(examples, found.vectors), None
    if champion is not None and champion.blob:
        standing = _standing(blobs, champion.blob)
        trained = update(examples, facts, standing, recipe.seed) if standing else None
        why = "" if trained else "its folds or its form do not fit the examples any more"
    if trained is None:
        trained = refit(examples, facts, recipe.settings, recipe.seed)
    return _row(found, examples, blobs, recipe, trained, champion, why), f"{trained.method}{f': {why}' if why else ''}"


def _standing(blobs: Blobs, prefix: str) -> Standing | None:
    try:
        return read_standing(blobs, prefix)
    except AvrecError:  # swept or damaged: training anew mends it
        return None


def _row(
    found: Labelled, examples: Examples, blobs: Blobs, recipe: _Recipe, trained: Trained, champion: TrainedModel | None, why: str
) -> Row:
    start = champion.version if champion and trained.method == "update" else ""
    vectors = (text for pair in sorted(found.vectors.items()) for text in pair)
    version = digest([recipe.digest, found.labels, trained.method, start, *vectors])
    files = {
        **files_of(trained),
        "held_out.json": Predictions.of(examples, trained.held_out).to_json(),
        "vectors.json": json.dumps(dict(found.vectors)).encode(),
    }
    for name, data in files.items():
        blobs.put(CANDIDATE, CANDIDATE, version, name, data)
    details = {
        **_common(found, recipe),
        "classes": list(examples.names),
        "temperature": trained.held_out.temperature,
        "multi_label": examples.multi_label,
        "grouping": examples.grouping,
        "settings": recipe.settings.model_dump(),
        "method": trained.method,
        "why_anew": why,
        "new_examples": trained.n_new,
        "replayed_examples": trained.n_replayed,
        "went_on_from": start,
        "seconds": round(trained.seconds, 2),
    }
    return model_row(CANDIDATE, version, blobs.prefix(CANDIDATE, CANDIDATE, version), len(examples.media_ids), details)


def _untrained(found: Labelled, recipe: _Recipe) -> Row:
    """The row that says why there is no classifier; its version changes only with the classes zero-shot will choose from."""
    why = f"a classifier needs 2 classes, each shown by {LEAST_SOURCES} sources; found {len(found.names)} classes in use"
    details = {**_common(found, recipe), "why": why, "classes": list(found.names), "method": "none"}
    return model_row(CANDIDATE, digest([recipe.code, "zero-shot", *found.names]), None, 0, details)


def _common(found: Labelled, recipe: _Recipe) -> dict[str, object]:
    return {"recipe": recipe.digest, "labels": found.labels, "left_out": dict(found.left_out), "seed": recipe.seed}
