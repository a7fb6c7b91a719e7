"""What may be shown now: scores under the policy, what people reported, and above all of it what a person decided."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow.dataset as ds

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.moderation.policy import Policy
from avrec_dag.moderation.reviews import Review
from avrec_dag.recommend.storing import noted, write
from avrec_dag.steps import WHOLE, Step
from avrec_dag.understanding.digests import digest

TABLE = "moderation_decisions"


def update_decisions(ledger: Ledger, step: Step, policy: Policy, reviews: Mapping[str, Review], *, run_id: str = "") -> Outcome:
    """Decide on every item that was scored, could not be scored, was reported, or that a person decided on; no model runs.

    Args:
        ledger: The tables.
        step: Of `moderation_decisions`.
        policy: What scores lead to.
        reviews: Item -> the decision of a person that holds.
        run_id: Kept in every row.
    """
    rows = {row.key: row for row in _rows(ledger, policy, reviews)}
    plan = ledger.wanted(step.name, WHOLE, {key: row.version for key, row in rows.items()})
    outcome = write(ledger, step, WHOLE, plan, (rows[item.key] for item in plan.todo), run_id)
    decisions = [row.values["decision"] for row in rows.values()]
    return noted(outcome, {name: decisions.count(name) for name in ("allow", "hold", "block")})


def _rows(ledger: Ledger, policy: Policy, reviews: Mapping[str, Review]) -> Iterator[Row]:
    columns = ["status", "error", "score", "worst_s"]
    scored: dict[str, dict[str, Any]] = {row["media_id"]: row for row in ledger.rows("moderation", None, columns, status=None).to_pylist()}
    there = set(ledger.rows("raw_media", None, [])["media_id"].to_pylist())
    reported = reporters(ledger)
    for media_id in sorted((scored.keys() | reviews.keys() | reported.keys()) & there):
        n, review = reported.get(media_id, 0), reviews.get(media_id)
        values = {**_reported(_decided(scored.get(media_id), policy, review, n), policy, n), "reports": n}
        version = digest([policy.canonical(), *(f"{name}={value}" for name, value in sorted(values.items()))])
        yield Row(media_id, version, {"decision": digest([str(values["decision"])])}, values)


def reporters(ledger: Ledger) -> dict[str, int]:
    """Item -> how many people reported it; each counts once."""
    events = ledger.rows("feedback_events", None, ["user_id", "media_id", "kind"])
    kept = events.filter(ds.field("kind") == "report")
    pairs = set(zip(kept["media_id"].to_pylist(), kept["user_id"].to_pylist(), strict=True))
    return Counter(media_id for media_id, _ in pairs)


def _reported(values: dict[str, object], policy: Policy, n: int) -> dict[str, object]:
    """Held where enough people say so; what a person decided, and what is blocked, stays."""
    if values["origin"] == "person" or values["decision"] == "block" or n < policy.reports:
        return values
    return {**values, "decision": "hold", "origin": "people", "reason": f"{n} people reported it; the policy is {policy.canonical()}"}


def _decided(row: Mapping[str, Any] | None, policy: Policy, review: Review | None, n_reports: int) -> dict[str, object]:
    score = row["score"] if row is not None and row["status"] == "ok" else None
    known: dict[str, object] = {"score": score, "worst_s": None if score is None or row is None else row["worst_s"]}
    if review is not None:
        said = f": {review.because}" if review.because else ""
        words = f"{review.by} decided so on {review.at:%Y-%m-%d}{said}"
        return {**known, "decision": review.decision, "origin": "person", "reason": words, "reviewer": review.by, "reviewed_at": review.at}
    nobody: dict[str, str | datetime | None] = {"reviewer": None, "reviewed_at": None}
    if row is None and n_reports:
        words = f"{n_reports} {'person' if n_reports == 1 else 'people'} reported it; the policy is {policy.canonical()}"
        return {**known, "decision": "allow", "origin": "people", "reason": words, **nobody}
    if score is None or row is None:
        why = row["error"] if row is not None else "it has no score"
        return {
            **known,
            "decision": "hold",
            "origin": "model",
            "reason": f"it could not be scored ({why}), so a person has to look",
            **nobody,
        }
    decision = policy.decide(score)
    words = f"worst frame at {row['worst_s']:.1f} s scores {score:.2f}; the policy is {policy.canonical()}"
    return {**known, "decision": decision, "origin": "model", "reason": words, **nobody}


def withheld(ledger: Ledger) -> frozenset[str]:
    """Items that must be shown to nobody: blocked, held, or scored and not decided on yet."""
    decided = ledger.rows(TABLE, WHOLE, ["decision"])
    decisions = dict(zip(decided["media_id"].to_pylist(), decided["decision"].to_pylist(), strict=True))
    scored = ledger.rows("moderation", None, [], status=None)["media_id"].to_pylist()
    return frozenset({one for one, decision in decisions.items() if decision != "allow"} | {one for one in scored if one not in decisions})


def waiting(ledger: Ledger, decisions: Collection[str] = ("hold",)) -> list[dict[str, Any]]:
    """Items that a person should look at, most reported first, then by score.

    Those are the ones with one of these decisions, and what people reported and nobody decided on.

    Args:
        ledger: The tables.
        decisions: hold, block or both.
    """
    rows = ledger.rows(TABLE, WHOLE, ["decision", "origin", "score", "worst_s", "reports", "reason"]).to_pylist()
    rows = [row for row in rows if row["decision"] in decisions or (row["origin"] != "person" and row["reports"])]
    return sorted(rows, key=lambda row: (-(row["reports"] or 0), -(row["score"] or 0), row["media_id"]))


def why_withheld(ledger: Ledger, media_id: str) -> str | None:
    """One sentence why an item is shown to nobody; None for one that may be shown."""
    row: Mapping[str, Any] | None = ledger.row(TABLE, media_id)
    if row is None:
        scored = ledger.row("moderation", media_id) is not None
        return f"{media_id!r} has not been decided on yet; the next run of moderation_decisions does" if scored else None
    if row["decision"] == "allow":
        return None
    return f"{media_id!r} is {'blocked' if row['decision'] == 'block' else 'held for review'} by moderation"
