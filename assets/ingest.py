"""What came in: uploads, probed, and what people did."""

from datetime import UTC, datetime

import dagster as dg

from assets import graph
from assets.results import LISTING, materialized
from avrec_dag.feedback.stage import update_feedback
from avrec_dag.media.ingest import ProbeUploads, plan_listed, uploads_of
from avrec_dag.media.spoken import digest
from avrec_dag.vanishing import refuse_mass_vanishing
from resources.compute import Compute
from resources.feedback import Feedback
from resources.media import Media
from resources.store import Store


@dg.asset(**graph.of("raw_media"), kinds={"ffmpeg", "parquet"})
def raw_media(context: dg.AssetExecutionContext, store: Store, media: Media, compute: Compute) -> dg.MaterializeResult:
    """Every upload of the day: what its streams are, how long it runs, what its sidecar says; or why it cannot be read."""
    ledger, step, day, source = store.ledger, graph.STEPS["raw_media"], context.partition_key, media.snapshot()
    today, start = datetime.now(UTC).date(), graph.SETTINGS.start
    listed = uploads_of(ledger, source, day, today, start)
    plan = plan_listed(ledger, step, day, listed)
    refuse_mass_vanishing(ledger, source, day, plan, media.guard)
    outcome = compute.advance(ledger, step, day, ProbeUploads(media.uri), plan=plan, run_id=context.run.run_id, guard=media.guard)
    return materialized(outcome, store, {LISTING: digest(listed)})


@dg.asset(**graph.of("feedback_events"), kinds={"sql", "parquet"})
def feedback_events(context: dg.AssetExecutionContext, store: Store, feedback: Feedback) -> dg.MaterializeResult:
    """What people did on the day (plays, watches, likes, ratings, comments and the rest), each weighted by what it says about liking."""
    step = graph.STEPS["feedback_events"]
    day, rules = context.partition_key, feedback.rules
    outcome = update_feedback(store.ledger, feedback.log, step, day, rules=rules, run_id=context.run.run_id)
    return materialized(outcome, store)
