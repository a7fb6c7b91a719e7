"""What the rules look at: a table's good rows with what can be measured of them, and an answer for every item there should be."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from avrec_dag.expectations.measures import MEASURES
from avrec_dag.expectations.rules import RULES
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE, Step

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger


@dataclass(frozen=True)
class Stored:
    """One partition of one table, as the rules see it.

    Attributes:
        key: The column that names a row.
        rows: The good rows: key, own plain columns, measured columns.
        answers: Key and `status` (ok, stale, failed, missing, left over) of every item that there should be or is.
        facts: Numbers that rules refer to.
    """

    key: str
    rows: pa.Table
    answers: pa.Table
    facts: Mapping[str, int]


def read(ledger: "Ledger", step: Step, partition: str, wanted: Collection[str] | None = None) -> Stored:
    """Read back what is stored.

    Args:
        ledger: The tables.
        step: Of the table to look at.
        partition: The day, or `steps.WHOLE`.
        wanted: Keys that there should be, where the world outside decides that; otherwise the parents do (`called_for`).
    """
    keys = set(wanted) if wanted is not None else called_for(ledger, step, partition)
    answers = _answers(ledger, step, partition, keys)
    n_failed = answers["status"].to_pylist().count("failed")
    facts = {"called_for": len(keys) - n_failed, "at_least": int(len(keys) > n_failed)}
    if step.name == "item_index":
        facts["items"] = ledger.counts("fused_features").ok
    return Stored(TABLES[step.name].key, _rows(ledger, step, partition), answers, facts)


def called_for(ledger: "Ledger", step: Step, partition: str) -> set[str]:
    """Keys for which the parents' good rows call: a row in every parent that is not optional, and something to work on in one of them.

    A step that is switched off calls for nothing.
    """
    if step.off:
        return set()
    if step.name in _BY_HAND:
        return _BY_HAND[step.name](ledger)
    key, scope = TABLES[step.name].key, None if step.partition == "whole" else partition
    must: set[str] | None = None
    useful: set[str] | None = None
    for parent, fields in step.needs.items():
        if TABLES[parent].key != key:
            continue
        keys = _with_fields(ledger, parent, scope, fields)
        if fields:
            useful = keys if useful is None else useful | keys
        if parent not in step.optional:
            must = keys if must is None else must & keys
    return (useful or set()) if must is None else must if useful is None else must & useful


def _with_fields(ledger: "Ledger", table: str, partition: str | None, fields: Collection[str]) -> set[str]:
    rows = ledger.rows(table, partition, ["fields"])
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        some = "true" if not fields else "len(list_intersect(map_keys(fields), $fields)) > 0"
        found = connection.execute(f'SELECT "{TABLES[table].key}" FROM rows WHERE {some}', {"fields": list(fields)} if fields else None)
        return {key for (key,) in found.fetchall()}


def _people(ledger: "Ledger") -> set[str]:
    """Everyone who did something with an item of the library, was shown one, or follows somebody."""
    events, items = ledger.rows("feedback_events", None, ["user_id", "media_id", "kind"]), ledger.rows("raw_media", None, [])
    with duckdb.connect() as connection:
        connection.register("events", events)
        connection.register("items", items)
        people = "SELECT DISTINCT user_id FROM events LEFT JOIN items i USING (media_id) WHERE i.media_id IS NOT NULL OR kind = 'follow'"
        return {user for (user,) in connection.execute(people).fetchall()}


def _classifiers(ledger: "Ledger") -> set[str]:
    """The versions of the classifier that can be evaluated."""
    rows = ledger.rows("content_classifier", WHOLE, ["version", "blob"]).to_pylist()
    return {row["version"] for row in rows if row["blob"]}


def _current(table: str) -> "Callable[[Ledger], set[str]]":
    """As many measurements as there are models at least, however they are keyed."""

    def keys(ledger: "Ledger") -> set[str]:
        return set(ledger.rows(table, WHOLE, ["version"])["version"].to_pylist())

    return keys


def _moderated(ledger: "Ledger") -> set[str]:
    """What a model was to score, what people reported, and what a person decided on, of the uploads that are there."""
    scored = ledger.rows("moderation", None, [], status=None)["media_id"].to_pylist()
    decided = ledger.rows("moderation_decisions", WHOLE, ["origin"]).to_pylist()
    there = ledger.rows("raw_media", None, [])["media_id"].to_pylist()
    return {*scored, *(row["media_id"] for row in decided if row["origin"] != "model")} & set(there)


def _recommended(ledger: "Ledger") -> set[str]:
    """What may be on lists, once there are any."""
    items = ledger.rows("quality_scores", WHOLE, [])["media_id"].to_pylist()
    return set(items) if ledger.counts("recommendations").ok else set()


_BY_HAND: "Mapping[str, Callable[[Ledger], set[str]]]" = {
    "interactions": _people,
    "moderation_decisions": _moderated,
    "classifier_candidate": lambda _: {"classifier_candidate"},
    "classifier_decision": _current("classifier_candidate"),
    "fusion_model": lambda _: {"fusion_model"},
    "content_classifier": lambda _: {"content_classifier"},
    "aesthetic_model": lambda _: {"aesthetic_model"},
    "classifier_evaluation": _classifiers,
    "recommender": lambda _: {"recommender"},
    "recommender_evaluation": _current("recommender"),
    "item_index": lambda _: {"item_index"},
    "upload_delay": _recommended,
    "recommendation_health": lambda _: {"users_covered"},
}
"""Tables whose rows do not follow from the rows of a parent with the same key."""


def _rows(ledger: "Ledger", step: Step, partition: str) -> pa.Table:
    table = TABLES[step.name]
    rows = ledger.rows(step.name, partition, [table.key, "partition", *table.columns.names])
    plain = [f'"{field.name}"' for field in rows.schema if not pa.types.is_nested(field.type)]
    measured = [f'{sql} AS "{name}"' for name, sql in MEASURES.get(step.name, {}).items()]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        return connection.sql(f"SELECT {', '.join([*plain, *measured])} FROM rows").to_arrow_table()


def _answers(ledger: "Ledger", step: Step, partition: str, wanted: Collection[str]) -> pa.Table:
    key = TABLES[step.name].key
    stored = ledger.rows(step.name, partition, ["status"], status=None)
    status = dict(zip(stored[key].to_pylist(), stored["status"].to_pylist(), strict=True))
    left_over = {one: "left over" for one, state in status.items() if state == "ok" and one not in wanted}
    answers = {
        **dict.fromkeys(wanted, "missing"),
        **{one: state for one, state in status.items() if one in wanted or state == "ok"},
        **left_over,
    }
    if any("stale" in str(rule.kwargs) for rule in RULES[step.name]):
        answers.update({item.key: "stale" for item in ledger.plan(step, partition).todo if answers.get(item.key) == "ok"})
    return pa.table({key: pa.array(answers, pa.string()), "status": pa.array(answers.values(), pa.string())})
