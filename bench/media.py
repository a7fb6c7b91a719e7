"""How fast uploads become embeddings, against decoding every frame of the same files: `python bench/media.py [--json]`.

Made clips (720p, 25 frames a second, 60 s, H.264 as libx264 writes it by default, AAC) with key frames far apart (every 250 frames,
the encoder's default) and close together (every 25), go the whole way: file, probe, one frame a second, spectrogram, and
frame, audio and text embeddings, through the real ledger and the real engine with two workers. In the same run, PyAV decodes
all pictures of the same files on both cores, sound left out. The ratio of the two counts, not the seconds: other work on the
machine slows both. Rounds alternate, and the median of the rounds' ratios is told; the ratio of processor seconds beside it is the
one to read where the machine is shared.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.engine import Engine, engine
from avrec_dag.incremental import advance
from avrec_dag.ledger import Ledger
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.ingest import ProbeUploads, plan_uploads
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import Recipe, graph

SIZE, FPS, RATE_HZ = (1280, 720), 25, 48000
SHOT_S = 6
DAY = date(2026, 1, 1)
WORKERS = 2
GOPS = (250, 25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=2, help="items per call of a task")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="where made clips are kept between runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = [measured(gop, options) for gop in GOPS]
    report = {
        "video": f"{SIZE[0]}x{SIZE[1]}, {FPS} fps, {options.clips} clips of {options.seconds} s, H.264 and AAC",
        "cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 1), "workers": WORKERS,
        "seed": options.seed, "rounds": options.rounds,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("av", "onnxruntime", "opencv-python-headless", "numpy")},
        "encoders": dict(registry.preset("packaged").recipe()),
        "results": results,
    }  # fmt: skip
    print(json.dumps(report, indent=1) if options.json else told(report))


def told(report: dict) -> str:
    lines = [f"{key}: {value}" for key, value in report.items() if key != "results"]
    for result in report["results"]:
        lines += [
            "",
            f"key frame every {result['gop']} frames, {result['mbit_per_s']} Mbit/s",
            f"  decoding every frame   {result['decode_x']:6.1f} x real time",
            f"  file to embeddings     {result['path_x']:6.1f} x real time, ratio {result['ratio']:.2f} (bar 1.0, goal 1.5)",
            f"  processor seconds      {result['cpu_s']['decode']:6.1f} to {result['cpu_s']['path']:.1f}, ratio {result['cpu_ratio']:.2f}",
            f"  with start-up          {result['cold_x']:6.1f} x real time, ratio {result['cold_ratio']:.2f}",
            "  seconds by table       on the clock, and of the processor",
            *(f"    {name:<20} {clock:6.2f} {processor:6.2f}" for name, (clock, processor) in result["seconds_by_table"].items()),
        ]
    return "\n".join(lines)


def measured(gop: int, options: argparse.Namespace) -> dict:
    """Alternate decoding and the whole path over the same files."""
    made = [made_clip(options.folder, gop, options.seed + i, options.seconds) for i in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        media, total_s = Path(folder) / "media", options.clips * options.seconds
        media.mkdir()
        for i in range(options.clips):
            shutil.copyfile(made[i % len(made)], media / f"clip{i}.mp4")
            words = {"title": f"Clip {i}", "description": "Made for measuring.", "tags": ["made", "bench"]}
            (media / f"clip{i}.json").write_text(json.dumps(words))
        files = sorted(media.glob("*.mp4"))
        running = engine("local", WORKERS)
        cold_s = timed(lambda: whole_path(media, Path(folder) / "cold", running, options.batch))[0]
        decode, path, tables = [], [], []
        for i in range(options.rounds):
            decode.append(timed(lambda: decode_all(files)))
            path.append(timed(lambda i=i: tables.append(whole_path(media, Path(folder) / f"store{i}", running, options.batch))))
        running.close()
        ratios = [plain[0] / ours[0] for plain, ours in zip(decode, path, strict=True)]
        wall = {name: statistics.median(seconds[0] for seconds in one) for name, one in (("decode", decode), ("path", path))}
        cpu = {name: statistics.median(seconds[1] for seconds in one) for name, one in (("decode", decode), ("path", path))}
        return {
            "gop": gop,
            "mbit_per_s": round(sum(file.stat().st_size for file in files) * 8e-6 / total_s, 2),
            "decode_x": round(total_s / wall["decode"], 2),
            "path_x": round(total_s / wall["path"], 2),
            "cold_x": round(total_s / cold_s, 2),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "cold_ratio": round(wall["decode"] / cold_s, 3),
            "cpu_s": {name: round(seconds, 2) for name, seconds in cpu.items()},
            "cpu_ratio": round(cpu["decode"] / cpu["path"], 3),
            "seconds_by_table": {name: [round(statistics.median(one[name][i] for one in tables), 2) for i in (0, 1)] for name in tables[0]},
        }


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and processor seconds of this process and its workers (of this process alone where not on Linux)."""
    clock, processor = time.perf_counter(), processor_s()
    work()
    return time.perf_counter() - clock, processor_s() - processor


def processor_s() -> float:
    """Processor seconds used so far by this process and its workers, those that have ended among them."""
    living, ticks = multiprocessing.active_children(), os.sysconf("SC_CLK_TCK")  # joins what has ended, so that it is counted below
    stats = [Path(f"/proc/{child.pid}/stat") for child in living]
    told = [stat.read_text().rpartition(")")[2].split() for stat in stats if stat.exists()]
    here = os.times()
    return (
        here.user + here.system + here.children_user + here.children_system + sum(int(words[i]) for words in told for i in (11, 12)) / ticks
    )


def decode_all(files: list[Path]) -> None:
    """Decode every picture of every file, by frames on both cores."""
    for file in files:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.thread_count = "FRAME", os.cpu_count() or 1
            for _ in container.decode(stream):
                pass


def whole_path(media: Path, store: Path, running: Engine, batch: int) -> dict[str, tuple[float, float]]:
    """Every upload-day table up to the embeddings; seconds by table, on the clock and of the processor.

    Raises:
        RuntimeError: An item failed, so that the time would mean nothing.
    """
    ledger, day, seconds = Ledger(str(store)), DAY.isoformat(), {}
    steps = graph(Recipe(**registry.preset("packaged").recipe(), sampling=Sampling().canonical()))
    uploads = plan_uploads(ledger, MediaSource(str(media)), steps["raw_media"], day, DAY, DAY)
    tasks = {
        "raw_media": ProbeUploads(str(media)),
        "frames": SampleFrames(str(media), str(store)),
        "audio_spectrograms": Listen(str(media), str(store)),
        "frame_embeddings": EmbedFrames(str(store)),
        "audio_embeddings": EmbedAudio(str(store)),
        "text_embeddings": EmbedText(),
    }
    for name, task in tasks.items():
        clock, processor = time.perf_counter(), processor_s()
        plan = uploads if name == "raw_media" else None
        outcome = advance(ledger, running, steps[name], day, task, plan=plan, batch_size=batch)
        seconds[name] = time.perf_counter() - clock, processor_s() - processor
        if outcome.failed or outcome.rows != len(uploads.todo):
            raise RuntimeError(f"{name}: {outcome.rows} rows and {outcome.failed} failures from {len(uploads.todo)} clips")
    return seconds


def made_clip(folder: Path, gop: int, seed: int, duration_s: int) -> Path:
    """One film with sound: views drifting over detailed pictures, things moving across them, grain, a cut every six seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"v1-gop{gop}-seed{seed}-{duration_s}s.mp4"
    if path.exists():
        return path
    print(f"making {path} ...", file=sys.stderr)
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file, av.open(file, "w", format="mp4") as output:
        video = cast("av.VideoStream", output.add_stream("libx264", rate=FPS))
        video.width, video.height = SIZE
        video.pix_fmt, video.gop_size = "yuv420p", gop
        sound = cast("av.AudioStream", output.add_stream("aac", rate=RATE_HZ))
        sound.bit_rate, sound.layout = 128_000, "stereo"
        samples = waveform(seed, duration_s)
        for index, picture in enumerate(pictures(seed, duration_s)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            output.mux(video.encode(frame))
            if index % FPS == 0:
                second = index // FPS
                part = np.ascontiguousarray(samples[:, second * RATE_HZ : (second + 1) * RATE_HZ])
                heard = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = RATE_HZ, second * RATE_HZ, Fraction(1, RATE_HZ)
                output.mux(sound.encode(heard))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    partial.replace(path)
    return path


def pictures(seed: int, duration_s: int) -> Iterator[NDArray[np.uint8]]:
    """RGB (720, 1280, 3), 25 a second."""
    rng = np.random.default_rng([seed, 1])
    width, height = SIZE
    grain = rng.normal(0, 3, (height * 2, width * 2, 1)).astype(np.int16)
    for start in range(0, duration_s * FPS, SHOT_S * FPS):
        scene = landscape(rng, (height + 200, width + 300))
        things = [Thing.made(rng) for _ in range(4)]
        drift, shake = rng.uniform(-28, 28, 2), rng.uniform(0.5, 2)
        for i in range(min(SHOT_S * FPS, duration_s * FPS - start)):
            t_s = i / FPS
            offset = np.array([100, 150]) + drift * (t_s - SHOT_S / 2) + shake * np.sin([t_s * 9, t_s * 7])
            top, left = (int(value) for value in offset.clip(0, (200, 300)))
            picture = scene[top : top + height, left : left + width].astype(np.int16)
            for thing in things:
                thing.draw(picture, t_s)
            gy, gx = rng.integers(0, height), rng.integers(0, width)
            yield np.clip(picture + grain[gy : gy + height, gx : gx + width], 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Thing:
    """A detailed rectangle that crosses the picture, and enters again where it left."""

    look: NDArray[np.uint8]
    start: NDArray[np.float64]
    speed: NDArray[np.float64]

    @classmethod
    def made(cls, rng: np.random.Generator) -> "Thing":
        """One of random look, size, place and speed."""
        height, width = rng.integers(60, 240, 2)
        return cls(landscape(rng, (int(height), int(width))), rng.uniform(0, 1, 2), rng.uniform(-0.3, 0.3, 2))

    def draw(self, picture: NDArray[np.int16], t_s: float) -> None:
        """Put it into the picture where it is at this moment."""
        room = np.array(picture.shape[:2]) - self.look.shape[:2]
        y, x = (int(value) for value in (self.start + self.speed * t_s) % 1 * room)
        picture[y : y + self.look.shape[0], x : x + self.look.shape[1]] = self.look


def landscape(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture whose detail falls with its fineness as in photographs (amplitude 1/f), in three related colours."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    falloff = 1 / np.hypot(fy, fx).clip(1 / max(shape)) ** 1.2
    layers = [np.fft.irfft2(np.fft.rfft2(rng.normal(0, 1, shape)) * falloff, shape) for _ in range(4)]
    layers = [(layer - layer.mean()) / layer.std() for layer in layers]
    mixed = np.stack([layers[0] + 0.4 * layer for layer in layers[1:]], axis=-1)
    return np.clip(128 + 45 * mixed + rng.uniform(-30, 30, 3), 0, 255).astype(np.uint8)


def waveform(seed: int, duration_s: int) -> NDArray[np.float32]:
    """Chords that change every half second, with beats of noise: float32 (2, n) in [-1, 1]."""
    rng = np.random.default_rng([seed, 2])
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    parts = []
    for _ in range(duration_s * 2):
        chord = sum(np.sin(2 * np.pi * hz * t) for hz in 220 * 2 ** (rng.choice(24, 3) / 12))
        parts.append(0.15 * chord + 0.3 * rng.normal(0, 0.3, len(t)) * np.exp(-t * 30))
    mono = np.concatenate(parts)
    return np.stack([mono, np.roll(mono, 200)]).clip(-1, 1).astype(np.float32)


if __name__ == "__main__":
    print(f"started {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", file=sys.stderr)
    main()
