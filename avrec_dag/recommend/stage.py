"""Bringing the tables of recommendation up to date: each function plans, computes what changed, and writes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from avrec_dag.duplicates.groups import canonicals, groups
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger, Plan
from avrec_dag.moderation.decisions import withheld
from avrec_dag.recommend import catalogue, health, model
from avrec_dag.recommend.answers import Advice, Recommendation
from avrec_dag.recommend.evaluation import library as evaluation
from avrec_dag.recommend.interactions import Histories
from avrec_dag.recommend.live import Recommender
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.recommend.settings import K
from avrec_dag.recommend.storing import digest, fields_of, noted, write
from avrec_dag.steps import WHOLE, Step
from avrec_dag.storage import Blobs


def _histories(ledger: Ledger, items: Sequence[str]) -> Histories:
    return Histories.of(ledger.rows("interactions", columns=["media_ids", "weights", "last_s"]), items)


def update_recommender_evaluation(
    ledger: Ledger, blobs: Blobs, step: Step, *, models: str = model.DEFAULT, knobs: Knobs | None = None, seed: int = 0, run_id: str = ""
) -> Outcome:
    """Measure the recommender on held-out behaviour, once for every fit from nothing; earlier measurements stay."""
    current = ledger.row(model.TABLE, model.KEY)
    version = digest(step.code, seed, fields_of(ledger, model.TABLE, "refit"))
    nothing = Plan(todo=[], gone=[], stale=0)
    if current is None or ledger.row(step.name, version) is not None:
        return write(ledger, step, WHOLE, nothing, (), run_id)
    items = catalogue.load(ledger, blobs)
    histories, vectors = _histories(ledger, items.index.items), items.index.fused
    result = evaluation.evaluate(model.unfitted(models), histories, vectors, items.quality, knobs=knobs, seed=seed)
    pictures = {"ndcg": blobs.put(step.name, version, version, "ndcg.png", evaluation.picture(result))}
    if result.variety.points:
        pictures["variety"] = blobs.put(step.name, version, version, "variety.png", result.variety.picture())
    metrics = [
        {"model": name, "metric": metric, "value": value} for name, values in result.values.items() for metric, value in values.items()
    ]
    details = {
        "split": "leave last liked item out",
        "people": result.n_people,
        "items": result.n_items,
        "seed": seed,
        "ranking": "full, ties counted half",
        "people_of_the_curve": result.variety.n_people,
    }
    values = {
        "model_version": current["version"],
        "evaluated_at": datetime.now(UTC),
        "metrics": metrics,
        "details": json.dumps(details),
        "picture": pictures["ndcg"],
        "curve": result.variety.rows(),
        "curve_picture": pictures.get("variety"),
    }
    outcome = write(ledger, step, WHOLE, nothing, [Row(version, version, {}, values)], run_id)
    ndcg = {f"ndcg@10_{name}": values["ndcg@10"] for name, values in result.values.items()}
    return noted(outcome, {**ndcg, "people": result.n_people}, pictures)


def update_recommendations(
    ledger: Ledger, blobs: Blobs, step: Step, *, k: int = K, knobs: Knobs | None = None, run_id: str = ""
) -> Outcome:
    """A list for everyone with a history: anew for whose history changed, or for all when anything did that all lists depend on.

    Quality is that which the recommender keeps: what one person makes of an item moves quality at once, and their own list alone.
    """
    common = [
        fields_of(ledger, model.TABLE, "model"),
        fields_of(ledger, "item_index", "index"),
        ledger.data_version("content_classes"),
        sorted(withheld(ledger)),
        sorted(groups(ledger).items()),
        sorted(canonicals(ledger).items()),
        sorted((row["media_id"], row["creator"]) for row in ledger.rows("raw_media", columns=["creator"]).to_pylist() if row["creator"]),
    ]
    histories = fields_of(ledger, "interactions", "history")
    plan = ledger.wanted(step.name, WHOLE, {user_id: digest(step.code, k, *common, history) for user_id, history in histories})
    if not plan.todo:
        return write(ledger, step, WHOLE, plan, (), run_id)
    versions = {item.key: item.version for item in plan.todo}
    recommender = Recommender.load(ledger, blobs, knobs=knobs)
    lists = recommender.recommend_all(versions, k)
    rows = (_list_row(user_id, versions[user_id], recommender.model_version, chosen) for user_id, chosen in lists)
    return write(ledger, step, WHOLE, plan, health.dated(ledger, rows), run_id)


def _list_row(user_id: str, version: str, model_version: str, chosen: list[Recommendation]) -> Row:
    media_ids = [one.media_id for one in chosen]
    values = {
        "media_ids": media_ids,
        "scores": [one.score for one in chosen],
        "reasons": [one.reason for one in chosen],
        "whys": [json.dumps({"causes": one.causes, **asdict(one.why)}, ensure_ascii=False) for one in chosen if isinstance(one, Advice)],
        "model_version": model_version,
    }
    return Row(user_id, version, {"list": digest(media_ids)}, values)
