"""How the models that recommend compare, and what variety costs, as Markdown."""

from collections.abc import Mapping

from assets.pictures import plain, table
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs

_FIGURES = ("ndcg@10", "hit@10", "coverage@10", "intra_list_distance@10", "quality@10")


def leaderboard(ledger: Ledger, _: Blobs, partition: str) -> str:
    """The newest evaluation: every model, the best first, with its interval; then the curve of variety."""
    rows = ledger.rows("recommender_evaluation", partition, ["evaluated_at", "metrics", "curve"]).to_pylist()
    if not rows:
        return ""
    newest = max(rows, key=lambda row: row["evaluated_at"])
    models: dict[str, dict[str, float]] = {}
    for one in newest["metrics"] or ():
        models.setdefault(one["model"], {})[one["metric"]] = one["value"]
    ranked = sorted(models.items(), key=lambda pair: -pair[1].get(_FIGURES[0], 0.0))
    head = ["model", _FIGURES[0], "95 % interval", *_FIGURES[1:]]
    tables = [table(head, [[plain(name), *_cells(figures)] for name, figures in ranked])]
    columns = ("diversity", "ndcg", "distance", "least_distance", "coverage", "quality")
    points = [[plain(one["method"]), *(f"{one[column]:.3g}" for column in columns)] for one in newest["curve"] or ()]
    return "\n\n".join([*tables, table(["way of spreading", *columns], points)] if points else tables)


def _cells(figures: Mapping[str, float]) -> list[str]:
    low, high = (figures.get(f"{_FIGURES[0]}_{end}") for end in ("low", "high"))
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    told = [f"{figures[name]:.3f}" if name in figures else "" for name in _FIGURES]
    return [told[0], interval, *told[1:]]
