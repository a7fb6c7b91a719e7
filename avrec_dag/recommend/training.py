"""Bringing the trained recommender up to date: learning on from where it stands, or fitted from nothing."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from avrec_dag.errors import AvrecError
from avrec_dag.index import ItemIndex
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.recommend import model
from avrec_dag.recommend.exploring import Tried
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.storing import digest, fields_of, noted, put_files, write
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs

_RECEIVED = ["media_ids", "weights", "shown_ids", "shown_n"]


def update_recommender(
    ledger: Ledger, blobs: Blobs, step: Step, *, models: str = model.DEFAULT, anew: bool = False, seed: int = 0, run_id: str = ""
) -> Outcome:
    """Train when anyone's history changed or items appeared or left; a changed vector alone trains nothing, as no model holds one.

    The models learn on from where they stand (`Blend.fit_partial`), as this costs next to nothing. They are fitted from nothing, and their
    weights learned anew, where there are none yet, where the configuration or the code changed, where an item or a person left (what
    they taught must go with them), and where asked. Only then does the quality of known items move as lists use it
    (`model.Trained.quality`).

    Args:
        ledger: Tables.
        blobs: Where the model goes.
        step: `recommender`.
        models: What is blended (`model.names_of`).
        anew: Fit from nothing, unless the last training did and nothing has changed since, nor has the quality of any item.
        seed: Of whatever is drawn.
        run_id: Enters the rows.
    """
    items = sorted(ledger.rows("fused_features", columns=[])["media_id"].to_pylist())
    histories = fields_of(ledger, "interactions", "history")
    version = digest(step.code, models, seed, histories, items)
    last = _last(ledger, blobs)
    quality = _quality(ledger, items)
    refit = digest(version, "anew", sorted(quality.items()))
    done = last is not None and last.data == version and not (anew and (last.learned_on or last.quality != quality))
    why = "" if done else _why_anew(last, models, step.code, anew, items, [user_id for user_id, _ in histories])
    wanted = last.version if done and last is not None else refit if why else version
    plan = ledger.wanted(step.name, WHOLE, {model.KEY: wanted})
    if not plan.todo:
        return write(ledger, step, WHOLE, plan, (), run_id)
    if last is None or why:
        blend, data, started = model.unfitted(models), _known(ledger, items), time.monotonic()
        blend.fit(data, seed=seed)
        tried = Tried.of(ledger.rows("interactions", columns=_RECEIVED), data.items, refit)
    else:
        blend, data, started = last.blend, _known(ledger, _after(last.blend.items, items)), time.monotonic()
        blend.fit_partial(data, seed=seed)
        tried = last.tried
    learned_on = 0 if last is None or why else last.learned_on + 1
    kept = quality if last is None or why else {**quality, **last.quality}
    files = {**blend.save(), model.PEOPLE: _people(data.users), model.QUALITY: _scores(kept, blend.items), model.TRIED: tried.save()}
    told = {"models": models, "code": step.code, "data": version, "refit": tried.stamp, "people": len(data.users),
               "items": len(data.items), "why_anew": why,
               "learned_on": learned_on, "seconds": round(time.monotonic() - started, 2)}  # fmt: skip
    values = {"blob": put_files(blobs, step, model.KEY, wanted, files), "trained_at": datetime.now(UTC), "n_examples": len(data),
              "details": json.dumps({**told, "files": sorted(files)})}  # fmt: skip
    fields = {"model": digest(*files.values()), "refit": refit if why else _field(ledger, "refit")}
    outcome = write(ledger, step, WHOLE, plan, [Row(model.KEY, wanted, fields, values)], run_id)
    return noted(outcome, told)


def _last(ledger: Ledger, blobs: Blobs) -> model.Trained | None:
    """The model that serves; None where there is none that can be read (swept, damaged or older: fitting from nothing mends it)."""
    try:
        return model.load(ledger, blobs)
    except (AvrecError, OSError, ValueError, KeyError):
        return None


def _field(ledger: Ledger, name: str) -> str:
    return dict(fields_of(ledger, model.TABLE, name)).get(model.KEY, "")


def _why_anew(last: model.Trained | None, models: str, code: str, anew: bool, items: Sequence[str], people: Sequence[str]) -> str:
    """Why the models are fitted from nothing; empty where they can learn on."""
    if last is None:
        return "first time"
    if (last.models, last.code) != (models, code):
        return "other models"
    if set(last.blend.items) - set(items):
        return "items left"
    if not np.isin(last.people, _hashes(people)).all():
        return "people left"
    return "asked for" if anew else ""


def _after(known: Sequence[str], items: Sequence[str]) -> list[str]:
    return [*known, *sorted(set(items) - set(known))]


def _known(ledger: Ledger, items: Sequence[str]) -> Interactions:
    """Everybody's histories over these items, with their vectors (zeros for an item without one)."""
    rows = ledger.rows("fused_features", columns=["vector", "joint"])
    index = ItemIndex.build(rows, most_exact=rows.num_rows)
    row = np.array([index.place.get(media_id, -1) for media_id in items], np.int64)
    vectors = np.concatenate([index.fused, np.zeros((1, index.fused.shape[1]), np.float32)])[row]
    histories = Histories.of(ledger.rows("interactions", columns=["media_ids", "weights", "last_s"]), items)
    return replace(histories.interactions(vectors.astype(np.float32)), items=tuple(items))


def _quality(ledger: Ledger, items: Sequence[str]) -> dict[str, float]:
    rows, known = ledger.rows("quality_scores", columns=["score"]), set(items)
    scores = zip(rows["media_id"].to_pylist(), rows["score"].to_pylist(), strict=True)
    return {one: score for one, score in scores if one in known and score is not None}


def _scores(quality: Mapping[str, float], items: Sequence[str]) -> bytes:
    """(items,) float32 in [0, 1], -1 where an item has none."""
    from safetensors.numpy import save

    return save({"quality": np.array([quality.get(one, -1.0) for one in items], np.float32)})


def _hashes(people: Sequence[str]) -> np.ndarray:
    """(people,) uint64, sorted: who they are is not to be read from a model file, only whether somebody left."""
    hashed = (hashlib.sha256(user_id.encode()).digest()[:8] for user_id in people)
    return np.sort(np.frombuffer(b"".join(hashed), np.uint64))


def _people(people: Sequence[str]) -> bytes:
    from safetensors.numpy import save

    return save({"people": _hashes(people)})
