"""What may be shown: what a model thinks of every item's frames, and what the policy and people make of that."""

import dagster as dg

from assets import graph
from assets.results import materialized
from avrec_dag.moderation.decisions import update_decisions
from avrec_dag.moderation.scoring import ScoreModeration
from resources.compute import Compute
from resources.feedback import Feedback
from resources.store import Store


@dg.asset(**graph.of("moderation"), kinds={"onnx", "parquet"}, pool=graph.GPU_POOL)
def moderation(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """How unfit for showing the worst of at most sixteen frames of every item looks to a model, and at which second that is."""
    ledger, step, day = store.ledger, graph.STEPS["moderation"], context.partition_key
    return materialized(
        compute.advance(ledger, step, day, ScoreModeration(store.uri, compute.moderation), run_id=context.run.run_id), store
    )


@dg.asset(**graph.of("moderation_decisions"), kinds={"sql", "parquet"})
def moderation_decisions(context: dg.AssetExecutionContext, store: Store, feedback: Feedback) -> dg.MaterializeResult:
    """What may be shown now: scores under the policy, and above both what a person decided; changing the policy runs no model."""
    step, policy = graph.STEPS["moderation_decisions"], graph.SETTINGS.moderation_policy
    return materialized(update_decisions(store.ledger, step, policy, feedback.reviews.newest(), run_id=context.run.run_id), store)
