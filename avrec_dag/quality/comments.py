"""What people wrote about every item: each comment read once, then one voice per person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from avrec_dag.encoders import registry
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.quality import sentiment
from avrec_dag.understanding.digests import digest

WRITERS = 5
"""How many average writers stand behind an item before the first real one."""
_NEUTRAL, _STEPS = 0.5, 20
_PER_ITEM = """
SELECT media_id, sum(n)::BIGINT, count(*), sum(mean ORDER BY user_id) FROM (
    SELECT media_id, user_id, count(*) AS n, round(avg(score ORDER BY event_id), 6) AS mean FROM comments GROUP BY ALL
) GROUP BY media_id ORDER BY media_id
"""


@dataclass(frozen=True)
class ReadComments:
    """Task of comment_sentiment. Field `sentiment` is the hash of who, what about, and the score (to 1/1000).

    Attributes:
        preset: Which encoders, as in `registry.preset`.
    """

    preset: str = "packaged"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per comment; `score` is P(positive) + P(neutral) / 2, so that 0.5 is neutral."""
        spec = registry.preset(self.preset).text
        comments = [item.parents["feedback_events"] for item in items]
        rows = []
        for item, comment, probs in zip(
            items, comments, sentiment.read([str(one["text"] or "") for one in comments], spec.name), strict=True
        ):
            score = float(probs[2] + probs[1] / 2)
            about = {name: comment[name] for name in ("user_id", "media_id")}
            values = {
                **about,
                "score": score,
                "sentiment": sentiment.SENTIMENTS[int(probs.argmax())],
                "probs": probs,
                "model": spec.identity,
            }
            rows.append(item.done({"sentiment": digest([*map(str, about.values()), f"{score:.3f}"])}, values))
        return rows


@dataclass(frozen=True)
class Written:
    """What people wrote about one item.

    Attributes:
        n_comments: How many comments.
        n_people: How many people wrote them; at least 1.
        total: Sum over people of the mean score of what they wrote, each in [0, 1].
    """

    n_comments: int
    n_people: int
    total: float

    def average(self, prior: float) -> float:
        """Bayesian average in [0, 1]: what people wrote, with the prior's writers behind them."""
        return (WRITERS * prior + self.total) / (WRITERS + self.n_people)


def written(ledger: Ledger) -> Mapping[str, Written]:
    """Item -> what people wrote about it, over all days."""
    comments = ledger.rows("comment_sentiment", columns=["user_id", "media_id", "score"])
    with duckdb.connect() as connection:
        connection.register("comments", comments)
        found = connection.execute(_PER_ITEM).fetchall()
    return {media_id: Written(n_comments, n_people, total) for media_id, n_comments, n_people, total in found}


def usual(found: Mapping[str, Written]) -> float:
    """How people usually write in this library, in [0, 1], to 1/20; neutral while nobody has."""
    people = sum(one.n_people for one in found.values())
    mean = (WRITERS * _NEUTRAL + sum(found[one].total for one in sorted(found))) / (WRITERS + people)
    return round(mean * _STEPS) / _STEPS
