"""What the recommendation table itself promises: everyone covered, enough items, none twice, none met, the library in use."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

MIN_COVERAGE = 0.1
MAX_GINI = 0.95


@dataclass(frozen=True)
class Metric:
    """One figure: its value, whether it passes, and what that means."""

    name: str
    value: float
    passed: bool
    detail: str


_FACTS = """
WITH lists AS (SELECT user_id, unnest(media_ids) AS media_id FROM recommendations),
     met AS (SELECT user_id, unnest(media_ids) AS media_id FROM interactions),
     sizes AS (SELECT user_id, count(*) AS n, count(DISTINCT media_id) AS distinct_n FROM lists GROUP BY ALL),
     left_over AS (SELECT user_id, (SELECT count(*) FROM items) - count(i.media_id) AS n
                   FROM met LEFT JOIN items i USING (media_id) GROUP BY ALL),
     places AS (SELECT media_id, count(l.media_id) AS n FROM items LEFT JOIN lists l USING (media_id) GROUP BY ALL ORDER BY n)
SELECT (SELECT count(*) FROM interactions) AS users,
       (SELECT count(*) FROM interactions SEMI JOIN recommendations USING (user_id)) AS covered,
       (SELECT count(*) FROM left_over o LEFT JOIN sizes s USING (user_id) WHERE coalesce(s.n, 0) < least($k, o.n)) AS short,
       (SELECT coalesce(sum(n - distinct_n), 0)::BIGINT FROM sizes) AS repeats,
       (SELECT count(*) FROM lists SEMI JOIN met USING (user_id, media_id)) AS met,
       (SELECT count(*) FROM lists ANTI JOIN items USING (media_id)) AS unknown,
       (SELECT count(*) FROM items) AS items,
       (SELECT count(*) FROM places WHERE n > 0) AS used,
       (SELECT list(n) FROM places) AS places,
       (SELECT avg(q.score) FROM lists JOIN quality q USING (media_id)) AS quality,
       (SELECT avg(score) FROM quality) AS library_quality
"""


def measure(recommendations: pa.Table, interactions: pa.Table, items: pa.Table, quality: pa.Table, *, k: int) -> list[Metric]:
    """Judge the stored lists.

    Args:
        recommendations: user_id, media_ids.
        interactions: user_id, media_ids: everything each person has met.
        items: media_id: everything that can be recommended.
        quality: media_id, score.
        k: How many items a list should have, where the person has so many left.
    """
    import numpy as np

    from avrec_dag.recommend.metrics import gini

    with duckdb.connect() as connection:
        for name, table in {"recommendations": recommendations, "interactions": interactions, "items": items, "quality": quality}.items():
            connection.register(name, table)
        f = connection.sql(_FACTS, params={"k": k}).to_arrow_table().to_pylist()[0]
    covered = f["covered"] / f["users"] if f["users"] else 1.0
    used = f["used"] / f["items"] if f["items"] else 0.0
    # What one list can show bounds what all lists can: ten people with twenty places each cannot use a million items.
    reachable = min(1.0, f["users"] * k / f["items"]) if f["items"] else 0.0
    concentration = gini(np.array(f["places"] or [], dtype=np.float64))
    quality_mean, library_mean = f["quality"] or 0.0, f["library_quality"] or 0.0
    return [
        Metric("users_covered", covered, covered == 1.0, f"{f['covered']} of {f['users']} people with a history have a list"),
        Metric("short_lists", f["short"], f["short"] == 0, f"lists with fewer than {k} items whose owner has more left"),
        Metric("repeats", f["repeats"], f["repeats"] == 0, "items that stand twice in one list"),
        Metric("already_met", f["met"], f["met"] == 0, "recommended items that the person has met before"),
        Metric("unknown_items", f["unknown"], f["unknown"] == 0, "recommended items that are not in the index"),
        Metric("catalogue_coverage", used, used >= MIN_COVERAGE * reachable, f"{f['used']} of {f['items']} items stand in some list"),
        Metric(
            "concentration_gini", concentration, concentration <= MAX_GINI or f["users"] < 10, "0: every item as often, 1: one item only"
        ),
        Metric(
            "mean_quality",
            quality_mean,
            f["quality"] is None or quality_mean >= 0.9 * library_mean,
            f"of recommended items; the library's mean is {library_mean:.3f}",
        ),
    ]
