"""What everyone should watch next, and how good that advice is."""

import dagster as dg

from assets import graph
from assets.results import materialized
from avrec_dag.feedback.stage import update_interactions
from avrec_dag.recommend import indexing, stage
from avrec_dag.recommend.delay import update_upload_delay
from avrec_dag.recommend.judging import update_health
from avrec_dag.recommend.training import update_recommender
from resources.compute import Compute
from resources.feedback import Feedback
from resources.lists import Lists
from resources.store import Store


@dg.asset(**graph.of("interactions"), kinds={"duckdb", "parquet"})
def interactions(context: dg.AssetExecutionContext, store: Store, feedback: Feedback) -> dg.MaterializeResult:
    """Everyone's history: what each person thinks of every item they met, fading with time."""
    step = graph.STEPS["interactions"]
    return materialized(update_interactions(store.ledger, step, rules=feedback.rules, run_id=context.run.run_id), store)


class Learning(dg.Config):
    """How the recommender is trained.

    Attributes:
        anew: From nothing, not from where it stands.
    """

    anew: bool = False


@dg.asset(**graph.of("recommender"), kinds={"numpy", "safetensors"})
def recommender(context: dg.AssetExecutionContext, config: Learning, store: Store, compute: Compute) -> dg.MaterializeResult:
    """The blend of models that says who would want what: it learns on from what people did since, or is fitted from nothing."""
    step, models = graph.STEPS["recommender"], compute.recommender
    outcome = update_recommender(store.ledger, store.blobs, step, models=models, anew=config.anew, run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("item_index"), kinds={"faiss"})
def item_index(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """The vectors of all items, ready to be searched by likeness and by words."""
    step, encoders = graph.STEPS["item_index"], compute.encoders
    outcome = indexing.update_index(store.ledger, store.blobs, step, encoders=encoders, run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("recommender_evaluation"), kinds={"numpy", "parquet"})
def recommender_evaluation(context: dg.AssetExecutionContext, store: Store, compute: Compute, lists: Lists) -> dg.MaterializeResult:
    """NDCG, recall and coverage of each model and of their blend on held-out behaviour, for every fit from nothing; older ones stay."""
    step, models, run_id = graph.STEPS["recommender_evaluation"], compute.recommender, context.run.run_id
    update = stage.update_recommender_evaluation
    return materialized(update(store.ledger, store.blobs, step, models=models, knobs=lists.knobs, run_id=run_id), store)


@dg.asset(**graph.of("recommendations"), kinds={"faiss", "parquet"})
def recommendations(context: dg.AssetExecutionContext, store: Store, lists: Lists) -> dg.MaterializeResult:
    """A varied list of good items for everyone, none of them met before, with a reason for each."""
    step = graph.STEPS["recommendations"]
    outcome = stage.update_recommendations(store.ledger, store.blobs, step, knobs=lists.knobs, run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("upload_delay"), kinds={"duckdb", "parquet"})
def upload_delay(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """How long every item took from upload to the first lists that know it, and when one first named it."""
    return materialized(update_upload_delay(store.ledger, graph.STEPS["upload_delay"], run_id=context.run.run_id), store)


@dg.asset(**graph.of("recommendation_health"), kinds={"duckdb", "parquet"})
def recommendation_health(context: dg.AssetExecutionContext, store: Store, lists: Lists) -> dg.MaterializeResult:
    """What the lists promise: everyone covered, no repeats, nothing met before, the library in use, quality kept."""
    step = graph.STEPS["recommendation_health"]
    outcome = update_health(store.ledger, store.blobs, step, exploration=lists.exploration, run_id=context.run.run_id)
    return materialized(outcome, store)
