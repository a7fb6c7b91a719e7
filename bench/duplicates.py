"""Are copies found, and strangers left alone: `python bench/duplicates.py [--stamps 180] [--made 2] [--seed 0] [--json]`.

At least 200 clips (stamps of `bench/stamp_clips.py`, one clip each; made clips of every kind; the demo's real clips) and a copy of each
by every transform of `bench/copies.py` lie in one library, which the project's own tasks read. Every pair of a clip with anything else
that the project says are copies is right or wrong: right within the family of one clip, wrong across. The least agreement of pictures is
chosen on the clips of one half (the least that keeps the precision at 0.99) and everything is reported on the other half, beside what the
project's own default gives there.

Beside it stands the usual way, one perceptual hash of 64 bits per frame (DCT; Zauner, 2010), with its Hamming distance chosen alike.
Files are made once, under var/bench (about 0.5 GB). Real clips come from PyPI, stamps from Debian; see those modules.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import copies
import numpy as np
import stamp_clips
from numpy.typing import NDArray

from avrec_dag import synthetic
from avrec_dag.demo.fetch import content
from avrec_dag.demo.packaged import CLIPS
from avrec_dag.duplicates.candidates import near
from avrec_dag.duplicates.comparing import Search, known_items
from avrec_dag.duplicates.fingerprints import FRAMES, TakeFingerprints, spread
from avrec_dag.duplicates.matching import Compared, Limits, judged
from avrec_dag.encoders import registry
from avrec_dag.encoders.embed import frames_at
from avrec_dag.engine import engine
from avrec_dag.incremental import advance
from avrec_dag.ledger import Ledger
from avrec_dag.media.sampling import Sampling
from avrec_dag.steps import Recipe, graph
from avrec_dag.storage import Blobs

DAY = stamp_clips.DAY.isoformat()
PRECISION = 0.99
WORKERS = 2
STEPS = graph(Recipe(**registry.preset("packaged").recipe(), sampling=Sampling().canonical()))
_OF_SOUND = ("H.264, crf 38", "VP9, crf 52", "speed +5 %")
_SAME_RECORDING = {"man-in-car-bad-copy": "man-in-car"}
Pair = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=int, default=180, help="so many stamps, evenly over the classes")
    parser.add_argument("--made", type=int, default=2, help="made clips of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--make-only", action="store_true", help="make the files and stop")
    options = parser.parse_args()
    folder = Path("var/bench") / f"duplicates-{options.stamps}-{options.made}-{options.seed}"
    made(folder / "media", options.stamps, options.made, options.seed)
    if options.make_only:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    told = measured(folder, options.seed) | {"seed": options.seed, "versions": versions()}
    print(json.dumps(told, indent=2)) if options.json else show(told)


def made(media: Path, n_stamps: int, n_made: int, seed: int) -> None:
    """Originals and copies; what is there is not made again."""
    day = media / f"dt={DAY}"
    day.mkdir(parents=True, exist_ok=True)
    originals = [*_stamps(day, n_stamps, seed), *_made(day, n_made, seed), *_real(day, seed)]
    for count, original in enumerate(originals, 1):
        if original.stem in _SAME_RECORDING:
            continue
        wanted = copies.TRANSFORMS if copies.has_picture(original) else {name: copies.TRANSFORMS[name] for name in _OF_SOUND}
        for name, transform in wanted.items():
            path = day / f"{original.stem}~{list(copies.TRANSFORMS).index(name)}{copies.ending(transform)}"
            if not path.exists():
                copies.write_copy(path, original, transform, seed)
        if count % 20 == 0:
            print(f"{count} of {len(originals)} clips copied", file=sys.stderr)


def _stamps(day: Path, count: int, seed: int) -> Iterator[Path]:
    for stamp in stamp_clips.stamps(count):
        path = day / f"stamp {stamp.label} {stamp.name.replace('/', '-')}.mp4"
        if not path.exists():
            stamp_clips.write_clip(path, stamp, seed)
        yield path


def _made(day: Path, count: int, seed: int) -> Iterator[Path]:
    for kind in synthetic.KINDS:
        for number in range(count):
            path = day / f"made {kind} {number}.mp4"
            if not path.exists():
                synthetic.clip(path, kind=kind, seed=1000 * seed + number, duration_s=3, size=(320, 180))
            yield path


def _real(day: Path, seed: int) -> Iterator[Path]:
    for clip in CLIPS:
        path = day / clip.name
        if not path.exists():
            whole = path.with_name(f"whole.{clip.name}")
            whole.write_bytes(content(clip, Path("var/bench/wheels")))
            if copies.too_long(whole):
                copies.write_copy(path, whole, copies.Transform(crf=18), seed)
                whole.unlink()
            else:
                whole.rename(path)
        yield path


def family(media_id: str) -> str:
    """The clip that an item is, or is a copy of."""
    name = Path(media_id).stem.split("~")[0]
    return _SAME_RECORDING.get(name, name)


def group(media_id: str) -> str:
    """What clips are alike without being copies: a class of stamps, a kind of made clip, the real clips of one man."""
    name = family(media_id)
    if name.startswith("scientist"):
        return "bearded man"
    return " ".join(name.split()[:-1]) if name.startswith(("stamp", "made")) else name


def transform_of(media_id: str) -> str | None:
    stem = Path(media_id).stem
    return list(copies.TRANSFORMS)[int(stem.split("~")[1])] if "~" in stem else None


def measured(folder: Path, seed: int) -> dict[str, Any]:
    """Everything that is printed."""
    ledger = stamp_clips.features(folder / "media", folder / "store")
    began = time.process_time()
    taken = advance(ledger, engine("inline"), STEPS["fingerprints"], DAY, TakeFingerprints(ledger.uri))
    print_s = (time.process_time() - began) / max(1, taken.computed)
    items = known_items(ledger, "bench")
    found, compare_s = _compared(ledger.uri, sorted(filter(_with_original, Search(ledger, items).pairs(list(items)))))
    names = sorted({family(one) for one in items})
    chosen_on = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2].tolist())
    half = {True: _half(items, found, chosen_on), False: _half(items, found, set(names) - chosen_on)}
    least = _least(half[True])
    default = Limits()
    return {
        "clips": len(names), "items": len(items), "pairs_of_copies": sum(len(one.copies) for one in half.values()),
        "pairs_compared": len(found), "all_pairs": sum(transform_of(one) is None for one in items) * len(items),
        "fingerprint_ms": 1000 * print_s if taken.computed else None, "compare_ms": 1000 * compare_s,
        "chosen_picture": least, "default_picture": default.picture,
        "chosen": _report(half[False], replace(default, picture=least)), "default": _report(half[False], default),
        "both_halves_default": _totals(_joined(half.values()), default),
        "candidates_recall": float(np.mean([two in half[False].found for two in half[False].copies])),
        "phash": phash(ledger, half),
        "scale": scale(100_000, 1000, 1280, seed),
    }  # fmt: skip


def _with_original(two: Pair) -> bool:
    """Whether one of the two is no copy: pairs of two copies would be six times as many and tell the same."""
    return any(transform_of(one) is None for one in two)


def _compared(uri: str, pairs: Sequence[Pair]) -> tuple[dict[Pair, Compared], float]:
    """What the project measures of each pair, in processes, and the processor seconds per pair."""
    parts = [(uri, pairs[start : start + 200]) for start in range(0, len(pairs), 200)]
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(_part, parts))
    return {two: one for found, _ in done for two, one in found}, sum(spent for _, spent in done) / max(1, len(pairs))


def _part(given: tuple[str, Sequence[Pair]]) -> tuple[list[tuple[Pair, Compared]], float]:
    search = _search(given[0])
    began = time.process_time()
    return [(two, search.compare(two)) for two in given[1]], time.process_time() - began


@cache
def _search(uri: str) -> Search:
    return Search(Ledger(uri), known_items(Ledger(uri), "bench"))


@dataclass(frozen=True)
class Half:
    """Pairs within the clips of one half: those that are copies, and what was measured of those that were compared."""

    copies: Sequence[Pair]
    found: Mapping[Pair, Compared]


def _half(items: Iterable[str], found: Mapping[Pair, Compared], names: set[str]) -> Half:
    by_family: dict[str, list[str]] = {}
    for one in sorted(items):
        if family(one) in names:
            by_family.setdefault(family(one), []).append(one)
    every = ((a, b) for members in by_family.values() for place, a in enumerate(members) for b in members[place + 1 :])
    true = list(filter(_with_original, every))
    return Half(true, {two: one for two, one in found.items() if family(two[0]) in names and family(two[1]) in names})


def _joined(halves: Iterable[Half]) -> Half:
    halves = list(halves)
    return Half([two for half in halves for two in half.copies], {two: one for half in halves for two, one in half.found.items()})


def _said(half: Half, limits: Limits) -> set[Pair]:
    return {two for two, one in half.found.items() if judged(one, limits) is not None}


def _totals(half: Half, limits: Limits) -> dict[str, Any]:
    said, true = _said(half, limits), set(half.copies)
    wrong = sorted(said - true)
    return {
        "recall": len(said & true) / len(true), "precision": len(said & true) / max(1, len(said)), "wrong": len(wrong),
        "wrong_of_one_class": sum(group(a) == group(b) for a, b in wrong), "pairs": len(true), "examples": wrong[:5],
        "precision_interval": wilson(len(said & true), len(said)), "recall_interval": wilson(len(said & true), len(true)),
    }  # fmt: skip


def _least(half: Half) -> float:
    """The least agreement, in hundredths, that keeps the precision."""
    for hundredth in range(30, 100):
        if _totals(half, replace(Limits(), picture=hundredth / 100))["precision"] >= PRECISION:
            return hundredth / 100
    return 1.0


def _report(half: Half, limits: Limits) -> dict[str, Any]:
    """Totals over all pairs of the half, and recall of (clip, copy) per transform."""
    said = _said(half, limits)
    rows: dict[str, list[bool]] = {name: [] for name in copies.TRANSFORMS}
    of_originals = ((a, b) if transform_of(a) is None else (b, a) for a, b in half.copies)
    for original, copy in of_originals:
        name = transform_of(copy)
        if transform_of(original) is None and name is not None and family(original) == Path(original).stem:
            rows[name].append((min(original, copy), max(original, copy)) in said)
    per = {
        name: {"found": sum(hits), "of": len(hits), "recall": float(np.mean(hits)), "interval": wilson(sum(hits), len(hits))}
        for name, hits in rows.items()
    }
    hard = {two for two in half.found if family(two[0]) != family(two[1]) and group(two[0]) == group(two[1])}
    return {**_totals(half, limits), "per_transform": per, "hard_negatives_compared": len(hard), "hard_negatives_said": len(hard & said)}


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    if not n:
        return [0.0, 1.0]
    z, share = 1.96, hits / n
    middle, spread_ = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return [float((middle - spread_) / (1 + z * z / n)), float((middle + spread_) / (1 + z * z / n))]


def scale(n: int, new: int, dim: int, seed: int) -> dict[str, float]:
    """How long candidates take in a large library: random vectors, in days of 10,000; the number of pairs found is not the point."""
    rng = np.random.default_rng(seed)

    def day(number: int, count: int) -> tuple[list[str], NDArray[np.float32]]:
        vectors = rng.normal(size=(count, dim)).astype(np.float32)
        return [f"{number}-{place}" for place in range(count)], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    queries, began, spent = [day(-1, new)], 0.0, 0.0
    for number in range(n // 10_000):
        block = day(number, 10_000)
        began = time.process_time()
        for _ in near(queries, [block], 0.6):
            pass
        spent += time.process_time() - began
    return {"items": n, "new": new, "dim": dim, "seconds": spent}


def phash(ledger: Ledger, half: Mapping[bool, Half]) -> dict[str, Any]:
    """The usual way: two items are copies when a middling frame of one is within so many bits of the nearest frame of the other."""
    blobs = Blobs(ledger.uri)
    hashes = {}
    for row in ledger.rows("frames", DAY, ["blob", "t_s"]).to_pylist():
        chosen = spread(len(row["t_s"]), FRAMES)
        hashes[row["media_id"]] = np.stack([_dct_hash(picture) for picture in frames_at(blobs, row["blob"], chosen)])
    ids = sorted(hashes)
    owner = np.repeat(np.arange(len(ids)), [len(hashes[one]) for one in ids])
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(np.concatenate([hashes[one] for one in ids]))
    distance: dict[Pair, int] = {}
    for place, one in enumerate(ids):
        limits, bits, rows = index.range_search(hashes[one], 26)
        best: dict[int, list[int]] = {}
        for number in range(len(hashes[one])):
            part = slice(limits[number], limits[number + 1])
            near: dict[int, int] = {}
            for other, apart in zip(owner[rows[part]].tolist(), bits[part].tolist(), strict=True):
                near[other] = min(near.get(other, 64), apart)
            for other, apart in near.items():
                best.setdefault(other, []).append(apart)
        for other, seen in best.items():
            if other > place:
                whole = sorted(seen + [64] * (len(hashes[one]) - len(seen)))
                distance[one, ids[other]] = whole[len(whole) // 2 if len(whole) % 2 else len(whole) // 2 - 1]
    return _phash_report(distance, half)


def _phash_report(distance: Mapping[Pair, int], half: Mapping[bool, Half]) -> dict[str, Any]:
    def totals(side: bool, most: int) -> tuple[float, float]:
        names = {family(one) for two in half[side].copies for one in two}
        said = {
            two
            for two, apart in distance.items()
            if apart <= most and _with_original(two) and family(two[0]) in names and family(two[1]) in names
        }
        true = set(half[side].copies)
        return len(said & true) / len(true), len(said & true) / max(1, len(said))

    good = [most for most in range(26) if totals(True, most)[1] >= PRECISION]
    most = max(good, default=0)
    recall, precision = totals(False, most)
    return {"most_bits": most, "recall": recall, "precision": precision}


def _dct_hash(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(grey)[:8, :8].flatten()
    return np.packbits(low > np.median(low[1:]))


def versions() -> dict[str, str]:
    import cv2
    import faiss

    return {"python": platform.python_version(), "opencv": cv2.__version__, "faiss": faiss.__version__, "numpy": np.__version__}


def show(told: Mapping[str, Any]) -> None:
    chosen, default, hashed = told["chosen"], told["default"], told["phash"]
    print(f"{told['clips']} clips, {told['items']} items, seed {told['seed']}; {told['versions']}")
    print(f"{told['all_pairs']:,} pairs, {told['pairs_compared']:,} compared")
    print(f"processor time: a fingerprint {told['fingerprint_ms']} ms, a comparison {told['compare_ms']:.1f} ms")
    print(f"least agreement chosen on one half: {told['chosen_picture']:.2f}; the project's own: {told['default_picture']:.2f}\n")
    print("| on the other half | recall, all pairs | precision | wrong pairs | of them of one class |\n|---|---|---|---|---|")
    for name, one in (("chosen", chosen), ("project's own", default)):
        shares = f"{_share(one['recall'], one['recall_interval'])} | {_share(one['precision'], one['precision_interval'])}"
        print(f"| {name} | {shares} | {one['wrong']} | {one['wrong_of_one_class']} |")
    print(f"| 64-bit DCT hash, at most {hashed['most_bits']} bits | {hashed['recall']:.3f} | {hashed['precision']:.3f} | | |\n")
    print("| clip and copy by | found | recall (95 %) |\n|---|---|---|")
    for name, row in default["per_transform"].items():
        print(f"| {name} | {row['found']} of {row['of']} | {_share(row['recall'], row['interval'])} |")
    print(f"\nhard negatives (one class, kind or man) compared: {default['hard_negatives_compared']}", end="")
    print(f", taken for copies: {default['hard_negatives_said']}; candidates hold {told['candidates_recall']:.3f} of the copies")
    print(f"both halves, project's own: {told['both_halves_default']}")
    print(f"candidates among many items: {told['scale']}")


def _share(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


if __name__ == "__main__":
    main()
