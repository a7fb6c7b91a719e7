"""What Dagster shows of one materialization."""

from collections.abc import Mapping

import dagster as dg

from assets import previews
from avrec_dag.items import Outcome
from avrec_dag.steps import WHOLE
from resources.store import Store

LISTING = "avrec/listing"
"""Metadata of raw_media: digest of the uploads that a materialization saw."""


def materialized(outcome: Outcome, store: Store, facts: Mapping[str, str] | None = None) -> dg.MaterializeResult:
    """Dagster's standard facts, what the run did, and something to look at."""
    whole = outcome.partition == WHOLE
    metadata = {
        "dagster/row_count" if whole else "dagster/partition_row_count": outcome.rows,
        "dagster/uri": f"{store.uri.rstrip('/')}/tables/{outcome.table}/{outcome.partition}",
        "avrec/computed": outcome.computed,
        "avrec/failed": outcome.failed,
        "avrec/removed": outcome.removed,
        **{f"avrec/{name.replace(' ', '_')}": value for name, value in outcome.notes.items()},
        **(facts or {}),
        **{title: dg.MetadataValue.md(text) for title, text in previews.of(outcome, store.ledger, store.blobs)},
    }
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(outcome.data_version))
