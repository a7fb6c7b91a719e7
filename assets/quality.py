"""How good every item is: what can be measured, and what people made of it."""

import dagster as dg

from assets import graph
from assets.results import materialized
from avrec_dag.quality.aesthetic import update_aesthetic
from avrec_dag.quality.combine import update_quality
from avrec_dag.quality.comments import ReadComments
from avrec_dag.quality.technical import MeasureQuality
from resources.compute import Compute
from resources.media import Media
from resources.store import Store


@dg.asset(**graph.of("technical_quality"), kinds={"opencv", "parquet"})
def technical_quality(context: dg.AssetExecutionContext, store: Store, media: Media, compute: Compute) -> dg.MaterializeResult:
    """Sharpness, exposure, noise, blockiness, frozen stretches, loudness and clipping of every item, each scored with its reason."""
    ledger, step, day = store.ledger, graph.STEPS["technical_quality"], context.partition_key
    return materialized(compute.advance(ledger, step, day, MeasureQuality(media.uri, compute.dnsmos), run_id=context.run.run_id), store)


@dg.asset(**graph.of("comment_sentiment"), kinds={"onnx", "parquet"}, pool=graph.GPU_POOL)
def comment_sentiment(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """Whether each comment of the day praises, complains or does neither, in any language of the text encoder."""
    ledger, step, day = store.ledger, graph.STEPS["comment_sentiment"], context.partition_key
    return materialized(compute.advance(ledger, step, day, ReadComments(compute.encoders), run_id=context.run.run_id), store)


@dg.asset(**graph.of("aesthetic_model"), kinds={"scikitlearn", "safetensors"})
def aesthetic_model(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """What looks people like, learnt from what they did with items of the same class; off until held-out creators prove it."""
    outcome = update_aesthetic(store.ledger, store.blobs, graph.STEPS["aesthetic_model"], run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("quality_scores"), kinds={"parquet"})
def quality_scores(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """One score in [0, 1] per item: what it measures, moved by what people made of it the more of them there are."""
    outcome = update_quality(store.ledger, store.blobs, graph.STEPS["quality_scores"], run_id=context.run.run_id)
    return materialized(outcome, store)
