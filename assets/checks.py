"""One check per promise of `avrec_dag.expectations`, on what was stored, one partition at a time."""

import warnings
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import dagster as dg

from assets import graph
from avrec_dag.expectations import RULES, Rule, Verdict, judge, read
from avrec_dag.expectations.measures import HEALTH
from avrec_dag.labelling.stage import corrected
from avrec_dag.media.ingest import uploads_of
from avrec_dag.steps import WHOLE
from resources.feedback import Feedback
from resources.media import Media
from resources.store import Store


def _from_outside(table: str, store: Store, media: Media, feedback: Feedback, partition: str) -> Collection[str] | None:
    """What there should be, for tables that no parent decides on."""
    if table == "raw_media":
        listed = uploads_of(store.ledger, media.snapshot(), partition, datetime.now(UTC).date(), graph.SETTINGS.start)
        return {one.upload.key for one in listed}
    if table == "feedback_events":
        return {event.event_id for event in feedback.log.events(partition)}
    if table == "label_corrections":
        return corrected(store.ledger, feedback.labels)
    return None


def _specs(table: str, rules: Collection[Rule]) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Partitioned checks are a preview in 1.13: without them one bad old day would speak for every day.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                rule.name,
                asset=table,
                description=f"{rule.expect}({', '.join(f'{name}={value!r}' for name, value in rule.kwargs.items())})",
                blocking=rule.blocking,
                partitions_def=graph.partitions_of(table),
            )
            for rule in rules
        ]


def _checks(table: str) -> dg.AssetChecksDefinition:
    rules = RULES[table]

    @dg.multi_asset_check(name=f"{table}_keeps_its_promises", specs=_specs(table, rules), can_subset=True)
    def keeps_its_promises(
        context: dg.AssetCheckExecutionContext, store: Store, media: Media, feedback: Feedback
    ) -> Iterator[dg.AssetCheckResult]:
        partition = context.partition_key if context.has_partition_key else WHOLE
        stored = read(store.ledger, graph.STEPS[table], partition, _from_outside(table, store, media, feedback, partition))
        selected = {key.name for key in context.selected_asset_check_keys}
        for verdict in judge(stored, [rule for rule in rules if rule.name in selected]):
            yield _result(table, verdict, _figures(store, table, verdict))

    return keeps_its_promises


def _figures(store: Store, table: str, verdict: Verdict) -> dict[str, float | str]:
    """The figure that a check of the lists decides on, and what it means."""
    names = {rule: metric for metric, rule in HEALTH.items()}
    if table != "recommendation_health" or verdict.rule.name not in names:
        return {}
    row = store.ledger.row(table, names[verdict.rule.name])
    return {} if row is None else {"value": float(str(row["value"])), "meaning": str(row["detail"])}


def _result(table: str, verdict: Verdict, figures: dict[str, float | str]) -> dg.AssetCheckResult:
    metadata: dict[str, float | str] = {**verdict.observed, **figures}
    if verdict.offenders:
        metadata["offenders"] = ", ".join(verdict.offenders)
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=table,
        check_name=verdict.rule.name,
        metadata=metadata,
        severity=dg.AssetCheckSeverity.ERROR if verdict.rule.blocking else dg.AssetCheckSeverity.WARN,
    )


CHECKS: list[dg.AssetChecksDefinition] = [_checks(table) for table in RULES]
