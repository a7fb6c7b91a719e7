"""Who is told when a run fails."""

import os
from datetime import UTC, datetime

import dagster as dg

from assets import graph
from resources import logs, webhook

_MOST_CHARACTERS, _MOST_STEPS = 500, 20


def message(context: dg.RunFailureSensorContext) -> dict[str, object]:
    """What is sent of one failed run: what, when and why, without secrets."""
    run, secrets = context.dagster_run, logs.secrets_of(os.environ)
    reasons = {}
    for event in context.get_step_failure_events()[:_MOST_STEPS]:
        cause = event.step_failure_data.error
        while cause is not None and cause.cause is not None:
            cause = cause.cause
        reasons[event.step_key or ""] = _short(cause.message if cause is not None else "", secrets)
    day = run.tags.get("dagster/partition", "")
    why = next(iter(reasons.values()), "") or _short(context.failure_event.message or "", secrets)
    return {
        "event": "run_failed", "job": run.job_name, "day": day, "run_id": run.run_id, "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "why": why, "steps": reasons, "text": f"avrec: {run.job_name} {day}".rstrip() + f" failed: {why}",
    }  # fmt: skip


def _short(text: str, secrets: list[str]) -> str:
    return logs.redacted(" ".join(text.split()), secrets)[:_MOST_CHARACTERS]


@dg.run_failure_sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def failure_webhook(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Tells AVREC_FAILURE_WEBHOOK of every run that failed; a webhook that cannot be reached fails nothing."""
    problem = webhook.post(graph.SETTINGS.failure_webhook, message(context))
    if problem:
        context.log.warning(f"the webhook was not told of run {context.dagster_run.run_id}: {problem}")
        return dg.SkipReason(f"the webhook was not told: {problem}")
    return None


SENSORS = [failure_webhook] if graph.SETTINGS.failure_webhook else []
