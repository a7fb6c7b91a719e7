"""What the demo must reach to count as working: learnt models against the simplest answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger


@dataclass(frozen=True)
class Bar:
    """One comparison.

    Attributes:
        name: What is measured.
        value: What the model reached; NaN where nothing was evaluated.
        baseline_name: What it is compared with.
        baseline: What that reached.
        least: So many times the baseline, at least.
    """

    name: str
    value: float
    baseline_name: str
    baseline: float
    least: float

    @property
    def times(self) -> float | None:
        """Value over baseline; None where there is none."""
        return self.value / self.baseline if self.baseline > 0 and self.value == self.value else None

    @property
    def cleared(self) -> bool:
        """Whether it is enough."""
        return self.times is not None and self.times >= self.least


def measured(ledger: "Ledger") -> list[Bar]:
    """The two bars, from the newest evaluations in the ledger."""
    classifier = _newest(ledger, "classifier_evaluation")
    recommender = _newest(ledger, "recommender_evaluation")
    missing = float("nan")
    return [
        Bar("classifier accuracy", classifier.get(("content_classifier", "accuracy"), missing), "always the commonest class",
            classifier.get(("content_classifier", "majority_accuracy"), missing), 3.0),
        Bar("recommender NDCG@10", recommender.get(("blend", "ndcg@10"), missing), "the most popular",
            recommender.get(("popularity", "ndcg@10"), missing), 2.0),
    ]  # fmt: skip


def _newest(ledger: "Ledger", table: str) -> dict[tuple[str, str], float]:
    rows = sorted(ledger.rows(table, None, ["evaluated_at", "metrics"]).to_pylist(), key=lambda row: row["evaluated_at"])
    return {(one["model"], one["metric"]): one["value"] for one in rows[-1]["metrics"]} if rows else {}
