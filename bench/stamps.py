"""How well fusion and zero-shot tell real classes apart: `python bench/stamps.py [--seeds 5] [--json]`.

Clips made of Debian's stamps (`stamp_clips.py`: 22 classes, photographs in motion, sound for a quarter of them, the stamp's own
description as title) go through the project's own tasks.
Every figure is on clips of stamps that training never saw: five folds grouped by stamp, repeated with other folds and initial
weights for each seed. In the same table, on the same folds and the same tokens, logistic regression on each modality alone, on all
of them side by side (concatenation), and the mean of the modalities' probabilities (score averaging). A clip without a modality
stays in that modality's figure and is answered by chance; `where it is` leaves it out.

Calibration error is after temperature scaling, the temperature of each fold being fitted on the other folds. Zero-shot uses the
names of the classes and nothing else. A query counts as answered when the first clip found is of its class: queries are the stamps'
descriptions in English and in Chinese, searched among the clips of all other stamps, whose titles are English.
"""

import argparse
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stamp_clips import BENCH, FOLDERS, Stamp, features, library, stamps

from avrec_dag.encoders import registry
from avrec_dag.encoders.joint import JointSpace
from avrec_dag.understanding.evaluation import evaluate
from avrec_dag.understanding.examples import Examples, anchors_of
from avrec_dag.understanding.fusion import BLOCK, MODALITIES, SLOTS
from avrec_dag.understanding.fusion_comparison import AVERAGING, UNTRAINED, baselines, compare
from avrec_dag.understanding.fusion_comparison import FUSED as FUSED_VECTOR
from avrec_dag.understanding.settings import FusionSettings, Settings
from avrec_dag.understanding.splits import folds_of, groups_of, near_duplicates
from avrec_dag.understanding.training import cross_validate
from avrec_dag.understanding.zero_shot import probabilities

_NAMES = "鸟 鱼 昆虫 有蹄动物 猛兽 啮齿动物 海洋哺乳动物 水果 蔬菜 花 树 衣服 帽子 乐器 工具 餐具 医疗 路标 旗帜 行星 体育运动 车辆"
CHINESE = dict(zip(FOLDERS, _NAMES.split(), strict=True))
"""The classes' names in Chinese."""
GOALS = {"fused": 0.85, "zero_shot": 0.65, "calibration_error": 0.05, "chinese_ratio": 0.9}
FUSED = "fused (transformer)"


@dataclass(frozen=True)
class Clips:
    """The clips with their features.

    Attributes:
        examples: Tokens, classes and groups.
        joints: float32 (n, d).
        vectors: float32 (n, 768), the fused vector of the untrained recipe.
        sources: The stamp of each clip.
    """

    examples: Examples
    joints: NDArray[np.float32]
    vectors: NDArray[np.float32]
    sources: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=2, help="of each stamp")
    parser.add_argument("--limit", type=int, default=0, help="so many stamps, for a quick look; 0: all")
    parser.add_argument("--folder", type=Path, default=None, help="where clips and features are kept between runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = stamps(options.limit)
    folder = options.folder or BENCH / f"stamp-clips-{options.limit or 'all'}"
    clips = read(folder, options.clips, chosen)
    report = {
        "stamps": len(chosen), "classes": len(clips.examples.names), "clips": len(clips.sources), "seeds": options.seeds,
        "with sound": int(clips.examples.tokens[:, 1].any(axis=1).sum()), "groups": len(set(clips.examples.groups)),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "scikit-learn", "onnxruntime", "numpy")},
        "encoders": dict(registry.preset("packaged").recipe()),
        "accuracy": held_out(clips.examples, options.seeds),
        "zero_shot": zero_shot(clips),
        "queries": queries(clips, chosen),
        "fused_vector": fused_vector(clips),
    }  # fmt: skip
    print(json.dumps(report, indent=1, ensure_ascii=False) if options.json else told(report))


def read(folder: Path, per_stamp: int, chosen: list[Stamp]) -> Clips:
    """Make clips and features where they are missing, and read them."""
    ledger = features(library(folder, per_stamp, 0, chosen), folder / "store")
    fused = {row["media_id"]: row for row in ledger.rows("fused_features").to_pylist()}
    media = ledger.rows("raw_media", None, ["labels", "source"]).to_pylist()
    wanted = {stamp.name for stamp in chosen}
    media = [row for row in media if row["source"] in wanted and row["media_id"] in fused]
    names = tuple(name for name in FOLDERS if any(row["labels"][0] == name for row in media))
    tokens = np.array([fused[row["media_id"]]["tokens"] for row in media], np.float32).reshape(len(media), len(SLOTS), BLOCK)
    joints = np.array([fused[row["media_id"]]["joint"] for row in media], np.float32)
    vectors = np.array([fused[row["media_id"]]["vector"] for row in media], np.float32)
    classes = np.array([names.index(row["labels"][0]) for row in media])
    sources = tuple(row["source"] for row in media)
    # Two clips of one stamp are one group anyway; near-duplicates join stamps that show the same photograph.
    groups, grouping = groups_of(classes, sources, [None] * len(media), near_duplicates(tokens[:, 0]))
    targets = np.eye(len(names), dtype=np.float32)[classes]
    ids = tuple(row["media_id"] for row in media)
    examples = Examples(ids, tokens, targets, names, groups, False, anchors_of(names, joints.shape[1]), grouping)
    return Clips(examples, joints, vectors, sources)


def held_out(examples: Examples, seeds: int) -> dict[str, dict[str, float]]:
    """Model -> accuracy, its standard deviation over the seeds, macro F1, mean average precision, calibration error."""
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        began = time.perf_counter()
        scaled = cross_validate(examples, Settings(), seed)
        raw = evaluate(examples.targets, softmax(scaled.logits), examples.names).metrics["calibration_error"]
        figures = {FUSED: {**figures_of(examples, scaled.probs), "calibration_error_unscaled": raw}}
        print(f"seed {seed}: fused {figures[FUSED]['accuracy']:.3f}, {time.perf_counter() - began:.0f} s", file=sys.stderr)
        for name, probs in baselines(examples, folds_of(examples.classes, examples.groups, seed)).items():
            figures[name] = figures_of(examples, probs)
            if name in MODALITIES:
                there = examples.tokens[:, MODALITIES.index(name)].any(axis=1)
                right = probs.argmax(axis=1) == examples.classes
                figures[name]["accuracy_where_it_is"] = float(right[there].mean())
        for name, one in figures.items():
            runs.setdefault(name, []).append(one)
    return {
        name: {
            **{figure: round(float(np.mean([run[figure] for run in ran])), 4) for figure in ran[0]},
            "deviation": round(float(np.std([run["accuracy"] for run in ran])), 4),
        }
        for name, ran in runs.items()
    }


def figures_of(examples: Examples, probs: NDArray[np.float32]) -> dict[str, float]:
    metrics = evaluate(examples.targets, probs, examples.names).metrics
    return {name: metrics[name] for name in ("accuracy", "macro_f1", "mean_average_precision", "calibration_error")}


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def zero_shot(clips: Clips) -> dict[str, float]:
    """Share of clips whose class is found by the classes' names alone, in both languages, with titles and by picture and sound alone."""
    space, names = JointSpace(), clips.examples.names
    media = clips.examples.tokens[:, 3:5].copy()
    media[:, 1] *= 0.5
    seen = media.sum(axis=1)
    found = {}
    for language, words in (("English", names), ("Chinese", [CHINESE[name] for name in names])):
        classes = space.classes([(word,) for word in words])
        for what, joints in (
            (language, clips.joints),
            (f"{language}, no titles", seen / np.linalg.norm(seen, axis=1, keepdims=True).clip(1e-9)),
        ):
            found[what] = round(float((probabilities(joints, classes).argmax(axis=1) == clips.examples.classes).mean()), 4)
    return found


def queries(clips: Clips, chosen: list[Stamp]) -> dict[str, float]:
    """Share of queries that find their class, in English and Chinese, and the ratio."""
    asked = [stamp for stamp in chosen if stamp.english and stamp.chinese]
    space, found = JointSpace(), {}
    for language, texts in (("English", [one.english for one in asked]), ("Chinese", [one.chinese for one in asked])):
        scores = clips.joints @ space.text(texts).T
        right = []
        for column, stamp in enumerate(asked):
            others = np.array([source != stamp.name for source in clips.sources])
            first = int(np.where(others, scores[:, column], -np.inf).argmax())
            right.append(clips.examples.names[clips.examples.classes[first]] == stamp.label)
        found[language] = round(float(np.mean(right)), 4)
    return {"queries": len(asked), **found, "ratio": round(found["Chinese"] / max(found["English"], 1e-9), 4)}


def fused_vector(clips: Clips) -> dict:
    """What table fusion_model would say with these clips as labelled items, seed 0: accuracy, similar items of known and new classes."""
    result = compare(clips.examples, clips.vectors, FusionSettings(), 0)
    accuracy = {name: round(value, 4) for name, value in result.accuracy.items()}
    similarity = {classes: {which: round(value, 4) for which, value in one.items()} for classes, one in result.similarity.items()}
    return {"accuracy": accuracy, "similarity": similarity, "used": not result.why_not, "why_not": result.why_not}


def told(report: Mapping) -> str:
    lines = [f"{key}: {value}" for key, value in report.items() if key not in ("accuracy", "zero_shot", "queries", "fused_vector")]
    lines += ["", f"{'':24}accuracy   ±      where it is   macro F1   mAP    ECE"]
    for name, row in report["accuracy"].items():
        where = f"{row['accuracy_where_it_is']:.3f}" if "accuracy_where_it_is" in row else "  -  "
        lines.append(
            f"{name:24}{row['accuracy']:.3f}   {row['deviation']:.3f}      {where}        {row['macro_f1']:.3f}   "
            f"{row['mean_average_precision']:.3f}  {row['calibration_error']:.3f}"
        )
    fused = report["accuracy"][FUSED]
    best = max(row["accuracy"] for name, row in report["accuracy"].items() if name not in (FUSED, AVERAGING))
    lines += [
        "",
        f"fused accuracy {fused['accuracy']:.3f}: goal at least {GOALS['fused']} and above every modality and concatenation ({best:.3f})"
        f" {_met(fused['accuracy'] >= GOALS['fused'] and fused['accuracy'] > best)}",
        f"calibration error {fused['calibration_error_unscaled']:.3f}, scaled {fused['calibration_error']:.3f}: goal at most "
        f"{GOALS['calibration_error']} {_met(fused['calibration_error'] <= GOALS['calibration_error'])}",
        f"zero-shot {report['zero_shot']}: goal {GOALS['zero_shot']} {_met(report['zero_shot']['English'] >= GOALS['zero_shot'])}",
        f"fused vectors, trained: accuracy {report['fused_vector']['accuracy'][FUSED_VECTOR]:.3f}; mean average precision of similar items",
        *(
            f"  {classes} classes {one[FUSED_VECTOR]:.3f}, untrained {one[UNTRAINED]:.3f}"
            for classes, one in report["fused_vector"]["similarity"].items()
        ),
        f"queries {report['queries']}: goal ratio {GOALS['chinese_ratio']} {_met(report['queries']['ratio'] >= GOALS['chinese_ratio'])}",
    ]
    return "\n".join(lines)


def _met(reached: bool) -> str:
    return "(reached)" if reached else "(NOT reached)"


if __name__ == "__main__":
    main()
