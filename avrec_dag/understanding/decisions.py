"""Bringing the decision up to date: challenger against champion on the same held-out items, once for each challenger, with history."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from avrec_dag.errors import AvrecError
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs
from avrec_dag.understanding import pictures
from avrec_dag.understanding.challenge import TOLERANCE, Comparison, Judged, Verdict, compared, verdict
from avrec_dag.understanding.digests import digest
from avrec_dag.understanding.evaluation import evaluate
from avrec_dag.understanding.examples import gather
from avrec_dag.understanding.incremental import judged
from avrec_dag.understanding.predictions import Predictions
from avrec_dag.understanding.stage import CANDIDATE, DECISION, MODEL, TrainedModel, model_row, trained_model, whole_outcome
from avrec_dag.understanding.standing import read_standing


def update_decision(ledger: Ledger, blobs: Blobs, step: Step, *, seed: int = 0, run_id: str = "", encoders: str = "packaged") -> Outcome:
    """Decide whether the newest challenger takes the champion's place; what was decided once stands. Rows of older ones stay as history.

    The rule is in `challenge`. Both are judged on the challenger's held-out items, each by those of its models that saw neither the item
    nor anything of its group.
    """
    candidate, champion = trained_model(ledger, CANDIDATE), trained_model(ledger)
    if candidate is None:
        return whole_outcome(ledger, DECISION, 0, {"decided": "there is no challenger"})
    version = digest([step.code, candidate.version])
    known: dict[str, Any] | None = ledger.row(DECISION, candidate.version)
    if known is not None and known["version"] == version:
        return _told(ledger, 0, known["reason"], known["picture"])
    at_once = _at_once(candidate, champion)
    comparison, missing = (None, []) if at_once or champion is None else _comparison(ledger, blobs, candidate, champion, seed, encoders)
    chosen = Verdict(True, at_once) if at_once else verdict(comparison, missing) if comparison else _incomparable()
    metrics = _metrics(blobs, candidate, comparison)
    path = blobs.put(DECISION, candidate.version, version, "decision.png", pictures.decision(metrics, comparison, chosen, TOLERANCE))
    values = {
        "decided_at": datetime.now(UTC),
        "champion_version": champion.version if champion else None,
        "candidate_version": candidate.version,
        "adopted": chosen.adopted,
        "reason": chosen.reason,
        "difference": comparison.mean if comparison else None,
        "low": comparison.low if comparison else None,
        "high": comparison.high if comparison else None,
        "n_items": comparison.n_items if comparison else 0,
        "metrics": metrics,
        "details": json.dumps(_details(candidate, comparison, missing, seed), ensure_ascii=False),
        "picture": path,
    }
    ledger.append(DECISION, WHOLE, [Row(candidate.version, version, {"decision": version}, values)], run_id)
    ledger.compact(DECISION, WHOLE)
    return _told(ledger, 1, chosen.reason, path)


def _at_once(candidate: TrainedModel, champion: TrainedModel | None) -> str:
    """Why there is nothing to compare; empty when there is."""
    if champion is None:
        return "adopted: it is the first"
    if not candidate.blob:
        return "adopted: labels are too few for a classifier, so that classes are zero-shot"
    if not champion.blob:
        return "adopted: nothing was trained until now"
    if champion.details["recipe"] != candidate.details["recipe"]:
        return "adopted: what served was made by other code, settings or seed"
    if "left the library" in candidate.details["why_anew"]:
        return f"adopted: {candidate.details['why_anew']}, and what they taught must go with them"
    return "adopted: most vectors are of another encoder" if candidate.details["why_anew"] == "most vectors changed" else ""


def _incomparable() -> Verdict:
    return Verdict(True, "adopted: what served cannot be read or has no held-out item in common with it")


def _comparison(
    ledger: Ledger, blobs: Blobs, candidate: TrainedModel, champion: TrainedModel, seed: int, encoders: str
) -> tuple[Comparison | None, list[str]]:
    """Both on the challenger's held-out items that still have features, and the classes that the champion does not know."""
    held_out, found = Predictions.read(blobs.get(f"{candidate.blob}/held_out.json")), gather(ledger, encoders).examples
    missing = [name for name in held_out.names if name not in champion.details["classes"]]
    if found is None or found.names != held_out.names:
        return None, missing
    places = {media_id: place for place, media_id in enumerate(held_out.media_ids)}
    rows = np.array([row for row, media_id in enumerate(found.media_ids) if media_id in places], np.int64)
    try:
        standing = read_standing(blobs, champion.blob or "")
    except AvrecError:
        return None, missing
    if not len(rows):
        return None, missing
    examples = found.part(rows)
    theirs = np.array([places[media_id] for media_id in examples.media_ids])
    probs = held_out.probs[theirs]
    said = held_out.said[theirs] if held_out.said is not None else probs >= probs.max(axis=1, keepdims=True)
    challenger = Judged(probs, said, held_out.said is not None)
    return compared(held_out.targets[theirs], examples.groups, judged(standing, examples), challenger, seed), missing


def _metrics(blobs: Blobs, candidate: TrainedModel, comparison: Comparison | None) -> list[dict[str, Any]]:
    """Both tables as rows; the challenger's alone where nothing was compared."""
    if comparison is not None:
        tables = {"champion": comparison.champion, "challenger": comparison.challenger}
    elif candidate.blob:
        held_out = Predictions.read(blobs.get(f"{candidate.blob}/held_out.json"))
        tables = {"challenger": evaluate(held_out.targets, held_out.probs, held_out.names, held_out.said).metrics}
    else:
        tables = {}
    return [{"model": model, "metric": name, "value": value} for model, table in tables.items() for name, value in table.items()]


def _details(candidate: TrainedModel, comparison: Comparison | None, missing: list[str], seed: int) -> dict[str, Any]:
    learned = {name: candidate.details.get(name) for name in ("method", "why_anew", "new_examples", "replayed_examples", "seconds")}
    found = {} if comparison is None else {k: v for k, v in asdict(comparison).items() if k not in {"champion", "challenger"}}
    return {"training": learned, "comparison": found, "classes_new_to_the_champion": missing, "tolerance": TOLERANCE, "seed": seed}


def _told(ledger: Ledger, computed: int, reason: str, path: str | None) -> Outcome:
    return whole_outcome(ledger, DECISION, computed, {"decided": reason}, {"decision": path} if path else {})


def update_champion(ledger: Ledger, *, run_id: str = "") -> Outcome:
    """Let the newest challenger serve where the decision says so; its row is the challenger's, blob and all.

    Its version enters the version of every row of content_classes: nothing is reclassified for a challenger that was turned down.
    """
    candidate, champion = trained_model(ledger, CANDIDATE), trained_model(ledger)
    decision: dict[str, Any] | None = ledger.row(DECISION, candidate.version) if candidate else None
    examples = champion.n_examples if champion else 0
    if candidate is None or decision is None or not decision["adopted"]:
        return whole_outcome(ledger, MODEL, 0, {"serves": "the champion", "examples": examples})
    if champion is not None and champion.version == candidate.version:
        return whole_outcome(ledger, MODEL, 0, {"serves": "what was adopted before", "examples": examples})
    row = model_row(MODEL, candidate.version, candidate.blob, candidate.n_examples, candidate.details)
    ledger.append(MODEL, WHOLE, [row], run_id)
    ledger.compact(MODEL, WHOLE)
    return whole_outcome(ledger, MODEL, 1, {"serves": decision["reason"], "examples": candidate.n_examples})
