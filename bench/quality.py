"""Whether technical_quality follows what is done to real clips, step by step: `python bench/quality.py [--json]`.

Real clips (from the packages the demo fetches), cut to 4 s and scaled to 480 pixels, so that what their own encoders left is gone, go down
ladders of blur, noise, H.264, exposure, dropped frames, clipping and hum, 8 steps each. Told per ladder: Spearman's
correlation of the step with our overall score, and with the score of the signal that is to notice, turned so that 1 is right. Over the
compression ladders: the correlation of our overall score with VMAF (Netflix; the ffmpeg in imageio-ffmpeg has it), per clip, pooled over
clips, and pooled as the share of the clean clip's score that is left, since VMAF too compares with the clean clip. Last, whether the order
of the clean clips stays when they are encoded once more at crf 12. All clips were looked at while the scales were chosen: no half of them
is held out.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from quality_ladders import LADDERS, LONG_SIDE_PX, SECONDS, STEPS, Clean, Ladder, clean_clips, made, write_film
from scipy.stats import kendalltau, spearmanr

from avrec_dag.items import Item
from avrec_dag.media.probe import probe
from avrec_dag.media.spectrograms import hear, heard_facts
from avrec_dag.quality.technical import MeasureQuality

LADDER_GOAL, VMAF_GOAL = 0.95, 0.85


@dataclass(frozen=True)
class Judged:
    """One made file: our score, the scores of its signals, their values, and what it took."""

    score: float
    signals: dict[str, tuple[float, float]]
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("var/bench/quality"), help="where made clips are kept between runs")
    parser.add_argument("--clips", nargs="*", help="only these")
    parser.add_argument("--ladders", nargs="*", help="only these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--signals", type=Path, help="write every signal of every file there, as JSON")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    clips = [clip for clip in clean_clips(options.folder) if not options.clips or clip.name in options.clips]
    ladders = [ladder for ladder in LADDERS if not options.ladders or ladder.name in options.ladders]
    report = {**facts(options), **measured(clips, ladders, options)}
    print(json.dumps(report, indent=1) if options.json else told(report))


def facts(options: argparse.Namespace) -> dict:
    return {
        "clips": f"real, first {SECONDS} s, at most {LONG_SIDE_PX} px, {STEPS} steps a ladder", "seed": options.seed,
        "python": platform.python_version(), "cores": os.cpu_count(),
        **{name: importlib.metadata.version(name) for name in ("av", "opencv-python-headless", "numpy", "scipy", "imageio-ffmpeg")},
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
    }  # fmt: skip


def measured(clips: list[Clean], ladders: list[Ladder], options: argparse.Namespace) -> dict:
    """Make what is missing, measure everything, and compare."""
    files = {
        (clip.name, ladder.name): made(clip, ladder, options.folder, options.seed) for clip, ladder in itertools.product(clips, ladders)
    }
    again = {clip.name: encoded_twice(clip, options.folder) for clip in clips if clip.frames is not None}
    every = sorted({path for paths in files.values() for path in paths or ()} | {path for pair in again.values() for path in pair})
    # Spawned: FFmpeg's and OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(options.workers, get_context("spawn"), _one_thread) as pool:
        judged = dict(zip(every, pool.map(judge, every, chunksize=4), strict=True))
    if options.signals:
        options.signals.write_text(json.dumps({path.name: [one.score, one.signals, one.cpu_s] for path, one in judged.items()}))
    return {
        "cpu_ms_per_file": round(1000 * float(np.mean([one.cpu_s for one in judged.values()]))),
        "ladders": [ladder_result(ladder, [clip.name for clip in clips], files, judged) for ladder in ladders],
        "vmaf": vmaf_result([ladder for ladder in ladders if ladder.name.startswith("H.264")], files, judged, again, options),
        "order": order_result(again, judged),
    }


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)


def judge(path: Path) -> Judged:
    """What the library says of one file, by the way uploads go."""
    with path.open("rb") as file:
        found = probe(file, path.name)
        sound = heard_facts(hear(file, path.name)) if found.audio else None
    video = found.video
    raw = {"kind": found.kind, "duration_s": found.duration_s} | (
        {"width": video.width, "height": video.height, "fps": video.fps} if video else {}
    )
    parents = {"raw_media": raw} | ({"audio_spectrograms": sound} if sound else {})
    clock = time.process_time()
    (row,) = MeasureQuality(str(path.parent))([Item(path.name, "v", "2026-01-01", parents)])
    if row.error:
        raise RuntimeError(f"{path.name}: {row.error}")
    values = row.values
    signals = {one["name"]: (one["value"], one["score"]) for one in values["signals"]}  # type: ignore[union-attr]
    return Judged(float(values["score"]), signals, time.process_time() - clock)  # type: ignore[arg-type]


def ladder_result(ladder: Ladder, clips: list[str], files: dict, judged: dict[Path, Judged]) -> dict:
    """Correlations of steps with scores, clip by clip."""
    overall, signal = {}, {}
    for name in clips:
        steps = files[name, ladder.name]
        if steps is None:
            continue
        found = [judged[path] for path in steps]
        overall[name] = correlation([one.score for one in found])
        if all(ladder.signal in one.signals for one in found):
            signal[name] = correlation([one.signals[ladder.signal][1] for one in found])
    return {
        "ladder": ladder.name, "steps": f"{ladder.strengths[0]:.3g} to {ladder.strengths[-1]:.3g} {ladder.unit}", "signal": ladder.signal,
        "clips": len(overall), "mean": mean(overall), "worst": min(overall.values(), default=None),
        "worst_clip": min(overall, key=lambda name: overall[name], default=None),
        "signal_mean": mean(signal), "signal_clips": len(signal), "by_clip": overall, "signal_by_clip": signal,
    }  # fmt: skip


def correlation(scores: list[float]) -> float:
    """Spearman's correlation of step and score, turned; 0 where no score differs."""
    return round(-float(spearmanr(range(len(scores)), np.round(scores, 6)).statistic), 3) if np.ptp(np.round(scores, 6)) else 0.0


def mean(values: dict[str, float]) -> float | None:
    return round(float(np.mean(list(values.values()))), 3) if values else None


def vmaf_result(ladders: list, files: dict, judged: dict, again: dict, options: argparse.Namespace) -> dict:
    """Our overall score against VMAF of the same files, over all compression ladders."""
    pairs = {
        name: [(judged[path].score, vmaf(path, again[name][0], options.folder)) for ladder in ladders for path in files[name, ladder.name]]
        for name in again
    }
    pairs = {name: found for name, found in pairs.items() if found}
    result: dict = {"files": sum(map(len, pairs.values()))}
    if not pairs:
        return result
    result["by_clip"] = {name: _agreement(found) for name, found in pairs.items()}
    result["per_clip"] = mean(result["by_clip"])
    left = [(one / judged[again[name][0]].score, value) for name, found in pairs.items() for one, value in found]
    return {**result, "pooled": _agreement(list(itertools.chain(*pairs.values()))), "pooled_left_of_clean": _agreement(left)}


def _agreement(pairs: list[tuple[float, float]]) -> float:
    return round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 3)


def vmaf(path: Path, clean: Path, folder: Path) -> float:
    """Mean VMAF of a file against its clean clip, kept beside it."""
    known = folder / f"{path.stem}.vmaf"
    if not known.exists():
        graph = "[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS[b];[a][b]libvmaf=n_threads=1"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path), "-i", str(clean), "-lavfi", graph, "-f", "null", "-"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        known.write_text(re.findall(r"VMAF score: ([\d.]+)", said)[-1])
    return float(known.read_text())


def encoded_twice(clip: Clean, folder: Path) -> tuple[Path, Path]:
    """The clean clip without loss, and once more at crf 12."""
    assert clip.frames is not None
    paths = []
    for name, options in (("clean", {"preset": "superfast", "qp": "0"}), ("crf12", {"preset": "medium", "crf": "12"})):
        path = folder / f"{clip.name}-{name}-{LONG_SIDE_PX}-{len(clip.frames)}.mp4"
        if not path.exists():
            write_film(path, clip.frames, Fraction(clip.fps), options, range(len(clip.frames)))
        paths.append(path)
    return paths[0], paths[1]


def order_result(again: dict[str, tuple[Path, Path]], judged: dict[Path, Judged]) -> dict:
    """Whether clean clips keep their order when they are encoded again at high quality."""
    before = {name: judged[pair[0]].score for name, pair in again.items()}
    after = {name: judged[pair[1]].score for name, pair in again.items()}
    names = sorted(before)
    swaps = [
        f"{one} {before[one]:.3f} -> {after[one]:.3f}, {other} {before[other]:.3f} -> {after[other]:.3f}"
        for one, other in itertools.combinations(names, 2)
        if (before[one] - before[other]) * (after[one] - after[other]) < 0
    ]
    found = [[table[name] for name in names] for table in (before, after)]
    return {
        "clips": len(names), "kendall": round(float(kendalltau(*found).statistic), 3),
        "spearman": round(float(spearmanr(*found).statistic), 3), "swaps": swaps,
        "largest_change": round(max(abs(before[name] - after[name]) for name in names), 3),
        "scores": {name: [round(before[name], 3), round(after[name], 3)] for name in names},
    }  # fmt: skip


def told(report: dict) -> str:
    lines = [f"{key}: {value}" for key, value in report.items() if key not in ("ladders", "vmaf", "order")]
    lines += ["", f"{'ladder':<19}{'steps':<23}{'clips':>5}{'mean':>8}{'worst':>8}  {'worst clip':<20}signal alone"]
    lines += [_line(one) for one in report["ladders"] if one["clips"]]
    vmaf_, order = report["vmaf"], report["order"]
    lines += ["", "overall score against VMAF over the compression ladders:", *(f"  {key}: {value}" for key, value in vmaf_.items())]
    lines += ["", "clean clips encoded once more at crf 12:", *(f"  {key}: {value}" for key, value in order.items())]
    lines += ["", f"goals: {LADDER_GOAL} on every ladder, {VMAF_GOAL} with VMAF, order unchanged"]
    return "\n".join(lines)


def _line(one: dict) -> str:
    return (
        f"{one['ladder']:<19}{one['steps']:<23}{one['clips']:>5}{one['mean']:>8.3f}{one['worst']:>8.3f}  "
        f"{one['worst_clip']:<20}{one['signal']} {one['signal_mean']} ({one['signal_clips']} clips)"
    )


if __name__ == "__main__":
    print(f"started {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", file=sys.stderr)
    main()
