"""What starts runs: jobs, what watches the uploads, and what follows from a finished run; the clock is in `nights`."""

import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg

from assets import backfilling, graph
from assets.results import LISTING
from avrec_dag import arrivals, s3
from avrec_dag.errors import MissingError, ReplacedError, SettingError, UnreachableError
from avrec_dag.watching import Watch
from resources.feedback import Feedback
from resources.media import Media
from resources.store import Store
from resources.workers import catches_up

DRIVEN = "avrec/by"
"""Tag of runs whose starter (the command line) sees to what follows them."""
_AT_REST = timedelta(minutes=1)

INGEST_TABLES = (
    "raw_media", "frames", "audio_spectrograms", "frame_embeddings", "audio_embeddings", "transcripts", "screen_text",
    "text_embeddings", "fused_features", "technical_quality", "fingerprints",
    "moderation", "content_classes",
)  # fmt: skip
TRAIN_TABLES = (
    "duplicates", "label_corrections", "labels", "fusion_model", "classifier_candidate", "classifier_decision",
    "content_classifier", "classifier_evaluation",
)  # fmt: skip
COLLECT_TABLES = ("feedback_events", "comment_sentiment")
CLASSIFY_TABLES = ("fused_features", "content_classes")
RECOMMEND_TABLES = (
    "moderation_decisions", "interactions", "aesthetic_model", "quality_scores",
    "recommender", "recommender_evaluation", "item_index", "recommendations", "upload_delay",
    "recommendation_health",
)  # fmt: skip
BY_DAY = {"ingest_and_embed": INGEST_TABLES, "collect_feedback": COLLECT_TABLES, "classify": CLASSIFY_TABLES}
"""Job -> the tables it writes, of the jobs that work on one day."""
ingest_and_embed = dg.define_asset_job(
    "ingest_and_embed",
    dg.AssetSelection.assets(*INGEST_TABLES),
    description="Everything that one day's uploads are by themselves, and their classes.",
)
collect_feedback = dg.define_asset_job(
    "collect_feedback",
    dg.AssetSelection.assets(*COLLECT_TABLES),
    description="What people did on one day, and how they wrote about it.",
)
train_classifier = dg.define_asset_job(
    "train_classifier",
    dg.AssetSelection.assets(*TRAIN_TABLES),
    description="Copies, what people said, labels, the classifier they train where there is reason to, its evaluation.",
)
classify = dg.define_asset_job(
    "classify",
    dg.AssetSelection.assets(*CLASSIFY_TABLES),
    description="What a new fusion makes of one day's items, and their classes.",
)
recommend = dg.define_asset_job(
    "recommend",
    dg.AssetSelection.assets(*RECOMMEND_TABLES),
    description="Histories, quality, the recommender and its evaluation, the index, everyone's list.",
)
JOBS = [ingest_and_embed, collect_feedback, train_classifier, classify, recommend]


@dg.sensor(job=ingest_and_embed, minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def media_arrivals(context: dg.SensorEvaluationContext, store: Store, media: Media) -> dg.SensorResult | dg.SkipReason:
    """Uploads and sidecars that came, changed or left: a run for each of their days, once the day is at rest."""
    at_s, now = time.time(), datetime.now(UTC).date()
    known, notices = arrivals.Known.read(context.cursor, at_s), media.notices
    notices.acknowledge(known.told)  # the tick that was told of them has stored what it made of them
    hinted, told = notices.receive()
    watch = Watch(media.snapshot(), store.ledger, graph.SETTINGS.start, media.relist_s, partial(_recorded, context.instance))
    try:
        with s3.at_once():  # the next look is a few seconds away, and a tick that waits for a minute is ended
            look = watch.look(known, hinted, now, at_s, first=known.on == "")
    except (SettingError, ReplacedError, MissingError, UnreachableError) as error:
        return dg.SkipReason(str(error))
    cursor = replace(look.known, told=tuple(told))
    asked = f"{cursor.epoch}.{cursor.asked}"
    requests = [dg.RunRequest(run_key=f"{day}:{digest}:{asked}", partition_key=day) for day, digest in look.due.items()]
    idle = f"still changing: {', '.join(cursor.waiting)}" if cursor.waiting else "nothing came, changed or left"
    skip = None if requests else dg.SkipReason(f"{idle}; {look.cost}" if look.cost else idle)
    return dg.SensorResult(run_requests=requests, cursor=cursor.write(), skip_reason=skip)


@dg.sensor(job=train_classifier, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def label_arrivals(context: dg.SensorEvaluationContext, feedback: Feedback) -> dg.SensorResult | dg.SkipReason:
    """What people said of items: one training once nobody has said anything for a while, not one per answer."""
    last_at, digest = feedback.labels.last_at(), feedback.labels.digest()
    if last_at is None or digest == context.cursor:
        return dg.SkipReason("nobody said anything new")
    if abs(datetime.now(UTC) - last_at) < _AT_REST:
        return dg.SkipReason("somebody is still labelling")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"labels:{digest}")], cursor=digest)


def _recorded(instance: dg.DagsterInstance, days: Collection[str]) -> dict[str, str]:
    """Day -> digest that its latest ingest saw, so that what the command line did is not done again."""
    found: dict[str, str] = {}
    cursor = None
    while set(days) - found.keys():
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("raw_media"), asset_partitions=sorted(days))
        page = instance.fetch_materializations(wanted, limit=200, cursor=cursor)
        for record in page.records:
            event = record.asset_materialization
            if event is not None and record.partition_key is not None and LISTING in event.metadata:
                found.setdefault(record.partition_key, str(event.metadata[LISTING].value))
        if not page.has_more:
            break
        cursor = page.cursor
    return found


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[ingest_and_embed, collect_feedback, train_classifier, classify],
    request_jobs=[train_classifier, classify, recommend],
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def what_follows(context: dg.RunStatusSensorContext, store: Store) -> list[dg.RunRequest] | None:
    """After the first uploads a training, after a training the classes it changed, and when all is quiet the lists, once.

    None, and no reason to skip, where nothing follows: Dagster then goes on to the next run in the same look, and the lists of an upload
    do not wait for a look at each of the days that caught up before it.
    """
    run = context.dagster_run
    if DRIVEN in run.tags:  # its starter sees to what follows
        return None
    return list(_following(context.instance, run, store)) or None


def _following(instance: dg.DagsterInstance, run: dg.DagsterRun, store: Store) -> Iterator[dg.RunRequest]:
    trained = store.ledger.counts("content_classifier").ok > 0
    quiet = not _under_way(instance, catching_up=catches_up(run.tags))
    days: list[str] = []
    if run.job_name == ingest_and_embed.name and not trained:
        if quiet:
            yield dg.RunRequest(run_key=f"first:{run.run_id}", job_name=train_classifier.name)
        return
    if run.job_name == train_classifier.name:
        days = [day for day in store.ledger.partitions("fused_features") if _to_classify(store, day)]
    for day in days:
        tags = backfilling.tags(day, "training")
        yield dg.RunRequest(run_key=f"{day}:{run.run_id}", job_name=classify.name, partition_key=day, tags=tags)
    if quiet and not days:
        yield dg.RunRequest(run_key=f"lists:{run.run_id}", job_name=recommend.name)


def _under_way(instance: dg.DagsterInstance, *, catching_up: bool) -> bool:
    """Whether runs that the lists should wait for are not done; a year of days that catch up does not hold back today's uploads.

    Args:
        instance: Where runs are recorded.
        catching_up: Count runs that catch up, too.
    """
    runs = (run for job in JOBS[:-1] for run in instance.get_runs(dg.RunsFilter(job_name=job.name, statuses=backfilling.UNFINISHED)))
    return any(catching_up or not catches_up(run.tags) for run in runs)


def _to_classify(store: Store, day: str) -> bool:
    plans = [store.ledger.plan(graph.STEPS[table], day) for table in CLASSIFY_TABLES]
    return any(plan.todo or plan.gone for plan in plans)


nightly_backfill = dg.AutomationConditionSensorDefinition(
    "nightly_backfill",
    target=dg.AssetSelection.assets(*INGEST_TABLES),
    default_status=dg.DefaultSensorStatus.STOPPED,
    emit_backfills=True,
    run_tags={backfilling.BACKFILL: "condition", "dagster/priority": "-1"},
    description=(
        "Every day of the last thirty of which a table is missing, failed or made by older code, as one backfill of Dagster's. "
        "Off: `nightly_catch_up` does this for the days that have uploads, and also sees what the ledger sees; have one of the two on."
    ),
)
SENSORS = [media_arrivals, label_arrivals, what_follows, nightly_backfill]
