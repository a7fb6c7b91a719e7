"""What every item is about: people's labels, the classifier they train, how good it is, and everyone's classes."""

import dagster as dg

from assets import graph
from assets.results import materialized
from avrec_dag.duplicates.stage import update_duplicates
from avrec_dag.labelling.stage import update_corrections
from avrec_dag.steps import WHOLE
from avrec_dag.understanding.candidates import update_candidate
from avrec_dag.understanding.decisions import update_champion, update_decision
from avrec_dag.understanding.evaluating import update_evaluation
from avrec_dag.understanding.fusion_stage import update_fusion
from avrec_dag.understanding.labels import KeepLabels
from avrec_dag.understanding.stage import classes_task
from resources.compute import Compute
from resources.feedback import Feedback
from resources.store import Store


@dg.asset(**graph.of("duplicates"), kinds={"faiss", "opencv", "parquet"})
def duplicates(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """Which items are copies of one another: re-encoded, cropped, scaled, sped up, watermarked; in groups around one canonical item."""
    return materialized(update_duplicates(store.ledger, graph.STEPS["duplicates"], run_id=context.run.run_id), store)


@dg.asset(**graph.of("label_corrections"), kinds={"sql", "parquet"})
def label_corrections(context: dg.AssetExecutionContext, store: Store, feedback: Feedback) -> dg.MaterializeResult:
    """What people said items are when asked, or correcting a sidecar: the newest word on each item, with who and when."""
    outcome = update_corrections(store.ledger, feedback.labels, graph.STEPS["label_corrections"], run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("labels"), kinds={"parquet"})
def labels(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """What items are by a person's correction or else by their sidecar: cleaned labels, with the recording each item was cut from."""
    outcome = compute.advance(store.ledger, graph.STEPS["labels"], WHOLE, KeepLabels(), run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("fusion_model"), kinds={"pytorch", "safetensors"}, pool=graph.GPU_POOL)
def fusion_model(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """The learned part of every item's fused vector, tried when labels grew by a fifth and used only where it wins on held-out items."""
    step, encoders = graph.STEPS["fusion_model"], compute.encoders
    return materialized(update_fusion(store.ledger, store.blobs, step, run_id=context.run.run_id, encoders=encoders), store)


class Training(dg.Config):
    """How a challenger is trained.

    Attributes:
        anew: From the beginning, not from where the classifier that serves stands.
    """

    anew: bool = False


@dg.asset(**graph.of("classifier_candidate"), kinds={"pytorch", "safetensors"}, pool=graph.GPU_POOL)
def classifier_candidate(context: dg.AssetExecutionContext, config: Training, store: Store, compute: Compute) -> dg.MaterializeResult:
    """A challenger to the classifier that serves, taught what is new since: when labels or more than 5 % of the vectors changed."""
    step, run_id = graph.STEPS["classifier_candidate"], context.run.run_id
    outcome = update_candidate(store.ledger, store.blobs, step, run_id=run_id, encoders=compute.encoders, anew=config.anew)
    return materialized(outcome, store)


@dg.asset(**graph.of("classifier_decision"), kinds={"numpy", "parquet"})
def classifier_decision(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """Whether the challenger takes the champion's place: both on the same held-out items, the interval, the reason; older ones stay."""
    step, encoders = graph.STEPS["classifier_decision"], compute.encoders
    outcome = update_decision(store.ledger, store.blobs, step, run_id=context.run.run_id, encoders=encoders)
    return materialized(outcome, store)


@dg.asset(**graph.of("content_classifier"), kinds={"safetensors"})
def content_classifier(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """The classifier that serves, the champion: the last challenger that was adopted."""
    return materialized(update_champion(store.ledger, run_id=context.run.run_id), store)


@dg.asset(**graph.of("classifier_evaluation"), kinds={"scikitlearn", "parquet"})
def classifier_evaluation(context: dg.AssetExecutionContext, store: Store) -> dg.MaterializeResult:
    """How well each trained classifier does on recordings it never saw: accuracy, macro-F1, per class, confusion; older ones stay."""
    outcome = update_evaluation(store.ledger, store.blobs, graph.STEPS["classifier_evaluation"], run_id=context.run.run_id)
    return materialized(outcome, store)


@dg.asset(**graph.of("content_classes"), kinds={"pytorch", "parquet"}, pool=graph.GPU_POOL)
def content_classes(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """The classes of every item of the day with their probabilities: by the classifier, or zero-shot where nobody gave labels."""
    ledger, step, day = store.ledger, graph.STEPS["content_classes"], context.partition_key
    outcome = compute.advance(ledger, step, day, classes_task(ledger, store.uri, compute.encoders), run_id=context.run.run_id)
    return materialized(outcome, store)
