"""One quality score per item: what it measures, moved by what people made of it the more of them there are."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Step
from avrec_dag.understanding.digests import digest

PRIOR_PEOPLE = 10
"""How many average people stand behind every item before the first real one."""
BEHAVIOUR_SHARE = 0.7
"""What behaviour weighs at most; a technical defect always counts for the rest."""
_PAIR = ["user_id", "media_id"]
_PAIR = ["user_id", "media_id"]
_PRIOR_STEPS = 20
_NEUTRAL = 0.5


@dataclass(frozen=True)
class Reception:
    """What people made of one item.

    Attributes:
        n_events: How many events.
        n_people: How many people they came from.
        total: Sum over people of each one's mean event weight, which is in [-1, 1].
    """

    n_events: int
    n_people: int
    total: float


def update_quality(ledger: Ledger, step: Step, *, run_id: str = "") -> Outcome:
    """Bring quality_scores up to date, computing only items whose technical score or feedback changed.

    `behaviour` is a Bayesian average in [0, 1]: (m p + sum) / (m + n) over n people, each counted once with the mean
    of their event weights, so that nobody votes twice by pressing twice. The prior p is the library's own mean, as
    sites rank by votes, and m is 10 people. p is rounded to 1/20 and enters every item's version: it moves rarely, and
    scores do not depend on the order in which events came.

    `score` is (1 - w) technical + w behaviour with w = 0.7 n / (n + 10): 0 for an item nobody saw, 0.35 after ten
    people, at most 0.7.
    """
    technical = ledger.rows("technical_quality", columns=["fields", "score"])
    received = receptions(ledger)
    ids = technical["media_id"].to_pylist()
    hashes = [dict(fields)["score"] for fields in technical["fields"].to_pylist()]
    scores = dict(zip(ids, technical["score"].to_pylist(), strict=True))
    prior = library_mean(received)
    wanted = {one: _version(step.code, known, prior, received.get(one)) for one, known in zip(ids, hashes, strict=True)}
    plan = ledger.wanted(step.name, WHOLE, wanted)
    rows = [_row(item.key, item.version, scores[item.key], prior, received.get(item.key, Reception(0, 0, 0.0))) for item in plan.todo]
    if rows or plan.gone:
        ledger.append(step.name, WHOLE, rows, run_id)
        ledger.tombstone(step.name, WHOLE, plan.gone, run_id)
        ledger.compact(step.name, WHOLE)
    notes = {"library mean": prior, "items with feedback": len(received.keys() & scores.keys())}
    held = ledger.counts(step.name).ok
    return Outcome(step.name, WHOLE, len(rows), 0, len(plan.gone), held, ledger.data_version(step.name, WHOLE), notes)


def receptions(ledger: Ledger) -> dict[str, Reception]:
    """Item -> what people made of it, over all days; one day's events are in memory at a time, and one sum per person and item."""
    days = []
    for day in ledger.partitions("feedback_events"):
        events = ledger.rows("feedback_events", day, columns=["user_id", "media_id", "weight"])
        days.append(events.group_by(_PAIR, use_threads=False).aggregate([("weight", "sum"), ("weight", "count")]))
    if not days:
        return {}
    pairs = pa.concat_tables(days).group_by(_PAIR, use_threads=False).aggregate([("weight_sum", "sum"), ("weight_count", "sum")])
    events_of, liking_of = defaultdict(list), defaultdict(list)
    # Sorted, so that sums of floats do not depend on the order in which events were stored.
    for pair in sorted(pairs.to_pylist(), key=lambda pair: (pair["media_id"], pair["user_id"])):
        if n := pair["weight_count_sum"]:
            events_of[pair["media_id"]].append(n)
            liking_of[pair["media_id"]].append(pair["weight_sum_sum"] / n)
    return {one: Reception(sum(events_of[one]), len(events_of[one]), sum(liking_of[one])) for one in events_of}


def library_mean(received: Mapping[str, Reception]) -> float:
    """Mean over all people and items of how they took it, in [0, 1], to 1/20; 0.5 while nobody did anything."""
    people = sum(one.n_people for one in received.values())
    mean = (sum(one.total for one in received.values()) / people + 1) / 2 if people else _NEUTRAL
    return round(mean * _PRIOR_STEPS) / _PRIOR_STEPS


def behaviour(reception: Reception, prior: float) -> float:
    """Bayesian average of how people took an item, in [0, 1]; the prior where nobody did."""
    liked = (reception.total + reception.n_people) / 2
    return (PRIOR_PEOPLE * prior + liked) / (PRIOR_PEOPLE + reception.n_people)


def blended(technical: float, liked: float, n_people: int) -> float:
    """Technical and behavioural score as one, in [0, 1]; see `update_quality`."""
    weight = BEHAVIOUR_SHARE * n_people / (n_people + PRIOR_PEOPLE)
    return (1 - weight) * technical + weight * liked


def _version(code: str, technical: str, prior: float, reception: Reception | None) -> str:
    if reception is None:
        return digest([code, technical, "nobody"])
    return digest([code, technical, f"{prior:.2f}", str(reception.n_events), str(reception.n_people), f"{reception.total:.4f}"])


def _row(media_id: str, version: str, technical: float, prior: float, reception: Reception) -> Row:
    liked = behaviour(reception, prior)
    score = blended(technical, liked, reception.n_people)
    values = {
        "score": score,
        "technical": technical,
        "behaviour": liked if reception.n_people else None,
        "n_events": reception.n_events,
        "reason": _reason(technical, liked, prior, reception),
    }
    return Row(media_id, version, {"score": digest([f"{score:.3f}"])}, values)


def _reason(technical: float, liked: float, prior: float, reception: Reception) -> str:
    measured = f"measures {technical:.2f}"
    if not reception.n_people:
        return f"{measured}; nobody has reacted yet"
    taken = "about as well as" if abs(liked - prior) < 0.02 else "better than" if liked > prior else "worse than"
    who = "1 person" if reception.n_people == 1 else f"{reception.n_people} people"
    return f"{measured}; {who} took it {taken} most items ({liked:.2f} against {prior:.2f})"
