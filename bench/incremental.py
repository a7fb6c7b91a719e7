"""What learning from where a classifier stands costs in accuracy, and what it saves in time, against training anew at every step.

    python bench/incremental.py [--seeds 5] [--json]

Eighteen classes of Debian's stamps (`bench/stamp_clips.py`) arrive in six steps of three. At each step one model is trained anew with
everything so far, and another goes on from the step before with the new classes and exemplars of the old. Both are judged on the same
stamps, a quarter of all, which neither ever sees; no stamp is on both sides. What is timed is the model that serves: the product trains
five more of the same kind on either way, one per fold.
Forgetting is what the updated classifier gets less right than the one trained anew, in points: of all classes so far, and of those
learnt at earlier steps alone. The order of the classes, the split and the training differ from seed to seed.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import stamp_clips
from numpy.typing import NDArray

from avrec_dag.engine import engine
from avrec_dag.incremental import advance
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.understanding.classifier import Classifier
from avrec_dag.understanding.examples import Examples, gather
from avrec_dag.understanding.incremental import PER_CLASS, curriculum, moved
from avrec_dag.understanding.labels import KeepLabels
from avrec_dag.understanding.settings import Settings, Weights
from avrec_dag.understanding.splits import folds_of
from avrec_dag.understanding.training import fitted

STEPS, EACH, TEST_PARTS = 6, 3, 4
Before = tuple[Weights, tuple[str, ...], tuple[str, ...]]
"""A model to go on from: weights, classes, and the clips it has learnt from."""
Learnt = tuple[Weights, NDArray[np.int64]]


@dataclass(frozen=True)
class Measured:
    """One step of one run: shares in [0, 1], seconds of this process."""

    seed: int
    step: int
    n_classes: int
    n_examples: int
    n_learned: int
    refit: float
    update: float
    refit_old: float
    update_old: float
    refit_s: float
    update_s: float
    refit_cpu_s: float
    update_cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--per-class", type=int, default=PER_CLASS, help="exemplars of each known class that an update learns again")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    examples = labelled()
    rows = [row for seed in range(options.first_seed, options.first_seed + options.seeds) for row in run(examples, seed, options.per_class)]
    told = summary(rows, examples, options)
    print(json.dumps(told, indent=2)) if options.json else show(told)


def labelled() -> Examples:
    """The stamps' clips with their features, computed once and kept under var/bench."""
    media = stamp_clips.library(stamp_clips.BENCH / "stamp-clips-all")
    ledger = stamp_clips.features(media, stamp_clips.BENCH / "stamp-clips-all" / "store")
    advance(ledger, engine("inline"), graph(Recipe("", "", "", "", ""))["labels"], WHOLE, KeepLabels())
    found = gather(ledger).examples
    assert found is not None
    return found


def among(examples: Examples, names: tuple[str, ...]) -> Examples:
    """The examples of some classes, over these alone."""
    columns = [examples.names.index(name) for name in names]
    targets = examples.targets[:, columns]
    anchors = None if examples.anchors is None else examples.anchors[columns]
    return replace(replace(examples, targets=targets, names=names, anchors=anchors).part(np.flatnonzero(targets.any(axis=1))))


def run(examples: Examples, seed: int, per_class: int) -> list[Measured]:
    order = np.random.default_rng(seed).permutation(len(examples.names))[: STEPS * EACH]
    arriving = [examples.names[i] for i in order]
    held = folds_of(examples.classes, examples.groups, seed, most=TEST_PARTS) == 0
    learn, test = examples.part(np.flatnonzero(~held)), examples.part(np.flatnonzero(held))
    before: Before | None = None
    rows: list[Measured] = []
    for step in range(1, STEPS + 1):
        names, old = tuple(sorted(arriving[: step * EACH])), set(arriving[: (step - 1) * EACH])
        mine, judge = among(learn, names), among(test, names)
        every = np.arange(len(mine.media_ids))
        anew, refit_s, refit_cpu_s = timed(lambda mine=mine, every=every: fitted(mine, every, Settings(), seed)[0])
        updated, update_s, update_cpu_s, rows_learnt = anew, refit_s, refit_cpu_s, every
        if before is not None:
            known = np.isin(mine.media_ids, before[2])

            def go_on(mine: Examples = mine, known: NDArray[np.bool_] = known, before: Before = before) -> Learnt:
                learn = curriculum(mine, known, np.ones(len(known), bool), per_class)
                return moved(mine, learn, before[0], before[1], Settings(), seed), learn

            (updated, rows_learnt), update_s, update_cpu_s = timed(go_on)
        before = updated, names, mine.media_ids
        right = {name: hits(weights, judge) for name, weights in (("refit", anew), ("update", updated))}
        earlier = np.array([names[one] in old for one in judge.classes])
        rows.append(
            Measured(
                seed, step, len(names), len(mine.media_ids), len(rows_learnt),
                float(right["refit"].mean()), float(right["update"].mean()),
                float(right["refit"][earlier].mean()) if old else 0.0, float(right["update"][earlier].mean()) if old else 0.0,
                refit_s, update_s, refit_cpu_s, update_cpu_s,
            )
        )  # fmt: skip
    return rows


def hits(weights: Weights, judge: Examples) -> NDArray[np.bool_]:
    return Classifier(judge.names, 1.0, 0.0, Settings(), weights).logits(judge.tokens).argmax(axis=1) == judge.classes


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def summary(rows: list[Measured], examples: Examples, options: argparse.Namespace) -> dict:
    """Means over the seeds for each step, and over steps two to six for the whole."""
    steps = [_mean([row for row in rows if row.step == step]) for step in range(1, STEPS + 1)]
    later = [row for row in rows if row.step > 1]
    last = [row for row in rows if row.step == STEPS]
    return {
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
        "seeds": options.seeds,
        "per_class": options.per_class,
        "clips": len(examples.media_ids),
        "classes": STEPS * EACH,
        "steps": steps,
        "forgetting_points_at_the_end": 100 * statistics.fmean(row.refit - row.update for row in last),
        "forgetting_points_of_earlier_classes_at_the_end": 100 * statistics.fmean(row.refit_old - row.update_old for row in last),
        "forgetting_points_worst_step": max(step["forgetting_points"] for step in steps),
        "times_faster_wall": sum(row.refit_s for row in later) / sum(row.update_s for row in later),
        "times_faster_cpu": sum(row.refit_cpu_s for row in later) / sum(row.update_cpu_s for row in later),
        "times_faster_cpu_least": min(step["refit_cpu_s"] / step["update_cpu_s"] for step in steps[1:]),
        "rows": [asdict(row) for row in rows],
    }


def _mean(rows: list[Measured]) -> dict[str, float]:
    found = {name: statistics.fmean(getattr(row, name) for row in rows) for name in asdict(rows[0]) if name != "seed"}
    return {**found, "forgetting_points": 100 * (found["refit"] - found["update"]),
            "forgetting_points_old": 100 * (found["refit_old"] - found["update_old"])}  # fmt: skip


def show(told: dict) -> None:
    print(
        f"{told['clips']} clips, {told['classes']} classes in {STEPS} steps, {told['seeds']} seeds, {told['per_class']} exemplars a class"
    )
    print(", ".join(f"{name} {one}" for name, one in told["versions"].items()))
    print("\n| classes | clips | learnt again | refit | update | forgetting | of earlier classes | refit, CPU s | update, CPU s | times |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for one in told["steps"]:
        print(
            f"| {one['n_classes']:.0f} | {one['n_examples']:.0f} | {one['n_learned']:.0f} | {one['refit']:.3f} | {one['update']:.3f} "
            f"| {one['forgetting_points']:+.1f} | {one['forgetting_points_old']:+.1f} "
            f"| {one['refit_cpu_s']:.1f} | {one['update_cpu_s']:.1f} | {one['refit_cpu_s'] / one['update_cpu_s']:.1f} |"
        )
    print(
        f"\nat the end: forgetting {told['forgetting_points_at_the_end']:+.2f} points of all classes, "
        f"{told['forgetting_points_of_earlier_classes_at_the_end']:+.2f} of earlier ones (goal: at most 2); worst step "
        f"{told['forgetting_points_worst_step']:+.2f}; {told['times_faster_cpu']:.1f} times less CPU, {told['times_faster_wall']:.1f} "
        "times less wall time (goal: 5)"
    )


if __name__ == "__main__":
    main()
