"""Days of broken uploads: valid clips of fourteen containers with bytes flipped, overwritten, removed, repeated, cut or spliced.

    python bench/fuzz.py --minutes 30 [--seed 0] [--json]

Every round is a day of its own through the real tables (raw_media, frames, audio_spectrograms, technical_quality) and the local engine
with the usual limits. Printed: files tried, how they ended by container and by reason, the slowest, the most memory any worker held,
workers that died (allowed: that is what they are for) and days that failed (must be 0; then the exit code is 1). A seed says which files
come, the clock how many.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from avrec_dag import synthetic
from avrec_dag.engine import Local
from avrec_dag.engine.base import DIED
from avrec_dag.incremental import advance
from avrec_dag.items import DecodesUploads, Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.limits import Limits
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.ingest import ProbeUploads, plan_uploads
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.quality.technical import MeasureQuality
from avrec_dag.steps import Recipe, graph

DAY = date(2026, 5, 4)
STEPS = graph(Recipe("f", "a", "e", "t", "s"))
FORMATS = ("mp4", "mov", "mkv", "webm", "avi", "ts", "ogg", "mp3", "flac", "wav", "gif", "png", "jpg", "webp")
PER_DAY = 28
_NUMBERS = (b"\0", b"\xff", b"\x7f\xff", b"\x80\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\0\0\0\1")


@dataclass(frozen=True)
class Timed(DecodesUploads):
    """Another task, and how long each of its items took, written down as it ends."""

    task: DecodesUploads
    name: str
    log: str

    def get_ready(self, items: Sequence[Item]) -> None:
        """As the task's."""
        self.task.get_ready(items)

    def size_bytes(self, item: Item) -> int:
        """As the task's."""
        return self.task.size_bytes(item)

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """As the task's."""
        began = time.perf_counter()
        rows = self.task(items)  # type: ignore[operator]
        with Path(self.log).open("a") as log:
            log.write(f"{time.perf_counter() - began:.3f}\t{self.name}\t{items[0].key}\n")
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for files of which a worker died, or over which a day failed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = Found()
    clips = valid_clips()
    began = time.monotonic()
    with closing(Local(options.workers, Limits())) as running:
        while time.monotonic() - began < 60 * options.minutes:
            one_day(found, clips, options, running)
    report = {
        "minutes": round((time.monotonic() - began) / 60, 1), "seed": options.seed, "workers": options.workers,
        "cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 1), "python": platform.python_version(),
        "av": importlib.metadata.version("av"), "limits": Limits().canonical(),
        **found.told(), "peak_worker_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6),
    }  # fmt: skip
    print(
        json.dumps(report, indent=1, ensure_ascii=False) if options.json else "\n".join(f"{key}: {value}" for key, value in report.items())
    )
    sys.exit(bool(found.failed_days))


class Found:
    """What has come of it so far."""

    def __init__(self) -> None:
        self.files = self.days = 0
        self.by_container: dict[str, Counter] = {name: Counter() for name in FORMATS}
        self.by_reason: Counter = Counter()
        self.by_table: Counter = Counter()
        self.slowest: list[tuple[float, str, str]] = []
        self.died: list[str] = []
        self.failed_days: list[str] = []
        self.without_row: list[str] = []

    def told(self) -> dict[str, object]:
        """For the report."""
        return {
            "days": self.days, "files": self.files,
            "outcomes": {name: dict(counts) for name, counts in self.by_container.items() if counts},
            "rows": {f"{table} {status}": n for (table, status), n in sorted(self.by_table.items())},
            "reasons": dict(self.by_reason.most_common(15)),
            "slowest_s": [f"{seconds:.1f} {table} {key}" for seconds, table, key in self.slowest],
            "workers_died": len(self.died), "died_of": self.died[:20],
            "files_without_a_row": len(self.without_row), "days_failed": len(self.failed_days), "day_errors": self.failed_days[:5],
        }  # fmt: skip


def one_day(found: Found, clips: dict[str, bytes], options: argparse.Namespace, running: Local) -> None:
    """Make a day's files, bring every table up to date, and count what came of them."""
    rng = np.random.default_rng([options.seed, found.days])
    found.days += 1
    with tempfile.TemporaryDirectory(prefix="avrec-fuzz-") as folder:
        media = Path(folder) / "media"
        media.mkdir()
        for number in range(PER_DAY):
            suffix = FORMATS[number % len(FORMATS)]
            (media / f"{found.days:05}-{number:02}.{suffix}").write_bytes(broken(clips[suffix], clips, rng))
        found.files += PER_DAY
        try:
            rows = list(worked_out(media, Path(folder), running))
        except Exception as error:  # exactly what must not happen
            found.failed_days.append(f"day {found.days}: {type(error).__name__}: {error}")
            keep(sorted(media.iterdir()), options.keep)
            return
        count(found, rows, media, options.keep)
        timed = [line.split("\t") for line in (Path(folder) / "times").read_text().splitlines()]
        found.slowest = sorted([*found.slowest, *((float(seconds), table, key) for seconds, table, key in timed)], reverse=True)[:5]


def worked_out(media: Path, folder: Path, running: Local) -> Iterator[tuple[str, str, str | None]]:
    """Table, key, and why it failed if it did, of every row of the day."""
    ledger, day, store = Ledger(str(folder / "store")), DAY.isoformat(), str(folder / "store")
    plan = plan_uploads(ledger, MediaSource(str(media)), STEPS["raw_media"], day, DAY, DAY)
    tasks = {
        "raw_media": ProbeUploads(str(media)),
        "frames": SampleFrames(str(media), store),
        "audio_spectrograms": Listen(str(media), store),
        "technical_quality": MeasureQuality(str(media)),
    }
    for name, task in tasks.items():
        timed = Timed(task, name, str(folder / "times"))
        advance(ledger, running, STEPS[name], day, timed, plan=plan if name == "raw_media" else None)
        yield from ((name, row["media_id"], row["error"]) for row in ledger.rows(name, None, ["error"], status=None).to_pylist())


def count(found: Found, rows: list[tuple[str, str, str | None]], media: Path, kept: Path | None) -> None:
    probed = {key for table, key, _ in rows if table == "raw_media"}
    found.without_row += sorted({path.name for path in media.iterdir()} - probed)
    for table, key, error in rows:
        found.by_table[table, "failed" if error else "ok"] += 1
        if table == "raw_media":
            found.by_container[key.rpartition(".")[2]]["failed" if error else "ok"] += 1
        if error:
            found.by_reason[reason(error, key)] += 1
        if error and error.startswith(DIED):
            found.died.append(f"{table} {key}: {error.removeprefix(DIED)[2:]}")
            keep([media / key], kept)


def reason(error: str, key: str) -> str:
    """The sentence without what differs from file to file."""
    return re.sub(r"\d+(\.\d+)?", "N", error.replace(f"{key}: ", ""))[:110]


def keep(files: Sequence[Path], folder: Path | None) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())


def valid_clips() -> dict[str, bytes]:
    """One small clip of each container."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = ("dots", "bars", "rings", "waves")
        made = {name: Path(folder) / f"clip.{name}" for name in FORMATS}
        for number, path in enumerate(made.values()):
            synthetic.clip(path, kind=kinds[number % len(kinds)], seed=number, duration_s=1.0, size=(160, 90))
        return {name: path.read_bytes() for name, path in made.items()}


def broken(clip: bytes, clips: dict[str, bytes], rng: np.random.Generator) -> bytes:
    """A clip with one to four things wrong with it; a third of them in the first two kilobytes, where the headers are."""
    data = bytearray(clip)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        at = int(rng.integers(min(len(data), 2048) if rng.random() < 0.33 else len(data)))
        length = int(2 ** rng.uniform(0, 10))
        match int(rng.integers(7)):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                for place in rng.integers(len(data), size=max(1, len(data) // 500)):
                    data[int(place)] = int(rng.integers(256))
            case 2:
                number = _NUMBERS[int(rng.integers(len(_NUMBERS)))]
                data[at : at + len(number)] = number
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length] * int(rng.integers(1, 20))
            case 5:
                del data[at:]
            case _:
                other = clips[FORMATS[int(rng.integers(len(FORMATS)))]]
                data[at : at + length] = other[at : at + length]
    return bytes(data)


if __name__ == "__main__":
    main()
