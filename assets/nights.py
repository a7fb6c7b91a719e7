"""What the clock starts: the night's catching up, collecting, training and fitting anew, and the hour's feedback."""

from datetime import UTC, datetime

import dagster as dg

from assets import backfilling, graph
from assets.automation import COLLECT_TABLES, INGEST_TABLES, collect_feedback, ingest_and_embed, recommend, train_classifier
from avrec_dag.behind import day_plans, unfinished
from avrec_dag.errors import SettingError
from avrec_dag.media.ingest import days_of
from avrec_dag.vanishing import vanished
from resources.feedback import Feedback
from resources.media import Media
from resources.store import Store
from resources.workers import reap

_MOST_DAYS = 1000
"""A night asks for so many days at most; what is left is asked for by the next."""
_READ_DAYS = 30
"""Of so many newest days, and of those that lost an upload, the ledger is asked as well: reading the keys of twelve tables takes a good
part of a second a day."""


@dg.schedule(job=ingest_and_embed, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly_catch_up(context: dg.ScheduleEvaluationContext, store: Store, media: Media) -> list[dg.RunRequest] | dg.SkipReason:
    """Days with uploads of which some table is missing, failed, made by older code or behind its uploads, newest first."""
    reap(context.instance)  # a run that nobody works on would keep its day, and its place
    today, source = datetime.now(UTC).date(), media.snapshot()
    try:
        uploads = days_of(store.ledger, source, today, graph.SETTINGS.start)
    except SettingError as error:
        return dg.SkipReason(str(error))
    days = sorted(uploads.keys() | set(store.ledger.partitions("raw_media")))
    left = vanished(store.ledger, source).values()  # of any age, so that what vanished leaves within a day
    recent = {*days[-_READ_DAYS:], *left}

    def behind(day: str) -> list[str]:
        return unfinished(day_plans(store.ledger, source, graph.STEPS, INGEST_TABLES, day, today, graph.SETTINGS.start))

    todo = backfilling.due(
        context.instance, ingest_and_embed.name, INGEST_TABLES, days, behind=lambda day: behind(day) if day in recent else ()
    )
    night = f"{context.scheduled_execution_time:%Y-%m-%d}"
    return [
        dg.RunRequest(
            run_key=f"{one.day}:{night}",
            partition_key=one.day,
            tags=backfilling.tags(one.day, "planner"),
            asset_selection=[dg.AssetKey(table) for table in one.tables(INGEST_TABLES)],
        )
        for one in todo[:_MOST_DAYS]
    ] or dg.SkipReason("every day is complete")


@dg.schedule(job=collect_feedback, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly_feedback(context: dg.ScheduleEvaluationContext, feedback: Feedback) -> list[dg.RunRequest] | dg.SkipReason:
    """The last three days on which people did something, and days never collected."""
    first = graph.SETTINGS.start.isoformat()
    days = [day for day in feedback.log.days() if first <= day <= datetime.now(UTC).date().isoformat()]
    missing = [one.day for one in backfilling.due(context.instance, collect_feedback.name, COLLECT_TABLES, days)]
    night = f"{context.scheduled_execution_time:%Y-%m-%d}"
    todo = sorted({*days[-3:], *missing[:_MOST_DAYS]})
    return [dg.RunRequest(run_key=f"{day}:{night}", partition_key=day) for day in todo] or dg.SkipReason("nobody has done anything yet")


@dg.schedule(job=collect_feedback, cron_schedule="30 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def hourly_feedback(context: dg.ScheduleEvaluationContext, store: Store, feedback: Feedback) -> dg.RunRequest | dg.SkipReason:
    """What people did today, as far as the table does not hold it: `what_follows` lets the recommender learn on from it."""
    now = context.scheduled_execution_time
    day = f"{now:%Y-%m-%d}"
    if day not in feedback.log.days():
        return dg.SkipReason("nobody has done anything today")
    if sum(1 for _ in feedback.log.events(day)) == store.ledger.rows("feedback_events", day, columns=[]).num_rows:
        return dg.SkipReason("nobody has done anything since")
    return dg.RunRequest(run_key=f"{day}:{now:%H}", partition_key=day)


nightly_training = dg.ScheduleDefinition(
    name="nightly_training",
    job=train_classifier,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Labels and, where there is reason to, a new classifier; what follows is classified and recommended anew.",
)
nightly_refit = dg.ScheduleDefinition(
    name="nightly_refit",
    job=recommend,
    cron_schedule="0 5 * * *",
    run_config={"ops": {"recommender": {"config": {"anew": True}}}},
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The recommender fitted from nothing and measured, and everyone's list, even where some run of the night failed.",
)
weekly_refit = dg.ScheduleDefinition(
    name="weekly_refit",
    job=train_classifier,
    cron_schedule="0 4 * * 0",
    run_config={"ops": {"classifier_candidate": {"config": {"anew": True}}}},
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A challenger trained from the beginning, where the last one was an update: what many updates may have lost comes back.",
)
SCHEDULES = [nightly_catch_up, hourly_feedback, nightly_feedback, nightly_training, nightly_refit, weekly_refit]
