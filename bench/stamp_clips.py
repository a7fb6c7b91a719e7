"""Labelled clips made of Debian's tuxpaint stamps, for the other benchmarks: `python bench/stamp_clips.py [--clips 2] [--limit 20]`.

Photographs in labelled folders and the sounds that lie beside a third of them become short films: the photograph drifts and grows over
a blurred background, partly out of the picture, with grain; the sound, where there is one, plays in noise. A title says what the
stamp's own description says. Every clip follows from its stamp and a seed. Other benchmarks call:

    stamps()                       -> what there is: class, picture, sound, description in English and Chinese
    write_clip(path, stamp, seed)  -> one film and its sidecar
    library(folder, clips, seed)   -> many of them, made once
    features(media, store)         -> the project's own tasks over them, up to fused_features, computed once

The package (161 MB, GPL-2) is fetched by `apt-get download` and unpacked into var/bench without root; AVREC_BENCH_STAMPS names a folder
that holds it already (the one with `animals`, `food` ... in it). Nothing of it is ever copied into the project.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.engine import engine
from avrec_dag.incremental import advance
from avrec_dag.items import Task
from avrec_dag.ledger import Ledger
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.ingest import ProbeUploads, plan_uploads
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import Recipe, graph
from avrec_dag.understanding.fusion import Fuse

PACKAGE = "tuxpaint-stamps-default"
BENCH = Path("var/bench")
DAY = date(2026, 1, 1)
SIZE, FPS, SECONDS, RATE_HZ = (320, 240), 10, 2.4, 44_100

FOLDERS: dict[str, tuple[str, ...]] = {
    "bird": ("animals/birds",),
    "fish": ("animals/fish",),
    "insect": ("animals/insects",),
    "hoofed animal": ("animals/mammals/bovines", "animals/mammals/camel", "animals/mammals/deer", "animals/mammals/equines"),
    "beast of prey": ("animals/mammals/cats", "animals/mammals/dogs", "animals/mammals/bears"),
    "rodent": ("animals/mammals/rodents",),
    "sea mammal": ("animals/mammals/aquatic",),
    "fruit": ("food/fruit",),
    "vegetable": ("food/vegetables",),
    "flower": ("plants/flowers",),
    "tree": ("plants/trees",),
    "clothing": ("clothes",),
    "hat": ("clothes/hats",),
    "musical instrument": ("hobbies/music/string", "hobbies/music/percussion", "hobbies/music/brass", "hobbies/music/wind"),
    "tool": ("household/tools",),
    "tableware": ("household/dishes", "household/dishes/utensils"),
    "medicine": ("medical",),
    "road sign": ("town/roadsigns",),
    "flag": ("town/flags",),
    "planet": ("space/planets", "space/moon"),
    "sport": ("sports",),
    "vehicle": ("vehicles", "vehicles/auto", "vehicles/race", "vehicles/emergency", "vehicles/construction", "vehicles/masstransit",
                "vehicles/ship", "vehicles/cycle", "vehicles/flight", "vehicles/flight/planes"),
}  # fmt: skip
"""Class -> the folders it is made of. A class is a folder that says what its pictures show and has five photographs or more; folders of one
kind are one class. Left out: folders of an occasion (seasonal), grab-bags (household, animals/mammals itself), drawings (symbols)."""
_STRAY = {"lobster", "shrimp", "Brown_slug", "Woodlouse"}
"""Lie in the folders of fish and insects, and are none."""


@dataclass(frozen=True)
class Stamp:
    """One photograph and what belongs to it.

    Attributes:
        name: Its path below the stamps' folder, without ending: the recording that its clips share.
        label: Its class.
        picture: PNG with transparency.
        sound: Ogg or WAV of what it sounds like; None for most.
        english: Its description, as the package has it.
        chinese: The same in simplified Chinese; empty where nobody translated it.
    """

    name: str
    label: str
    picture: Path
    sound: Path | None
    english: str
    chinese: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="of each stamp")
    parser.add_argument("--limit", type=int, default=0, help="so many stamps, evenly over the classes; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = stamps(options.limit)
    media = library(BENCH / f"stamp-clips-{options.limit or 'all'}", options.clips, options.seed, found)
    for label in FOLDERS:
        mine = [stamp for stamp in found if stamp.label == label]
        print(f"{label:20} {len(mine):3} stamps, {sum(stamp.sound is not None for stamp in mine):2} with sound")
    print(f"{len(found)} stamps of {len({stamp.label for stamp in found})} classes, clips in {media}")


def stamps(limit: int = 0) -> list[Stamp]:
    """The photographs, sorted by name; with a limit, so many, spread over the classes."""
    root, found = _unpacked(), []
    for label, folders in FOLDERS.items():
        pictures = (picture for folder in folders for picture in sorted((root / folder).glob("*.png")))
        found += [_stamp(root, label, one) for one in pictures if not one.stem.endswith("_mirror") and one.stem not in _STRAY]
    found.sort(key=lambda stamp: stamp.name)
    if not 0 < limit < len(found):
        return found
    turn: dict[str, int] = {}
    ranks = []
    for stamp in found:
        turn[stamp.label] = turn.get(stamp.label, -1) + 1
        ranks.append((turn[stamp.label], stamp.name))
    kept = {name for _, name in sorted(ranks)[:limit]}
    return [stamp for stamp in found if stamp.name in kept]


def _stamp(root: Path, label: str, picture: Path) -> Stamp:
    text = picture.with_suffix(".txt")
    lines = text.read_text(encoding="utf-8", errors="replace").splitlines() if text.exists() else []
    chinese = next((line.partition("=")[2].strip() for line in lines if line.startswith("zh_CN.utf8=")), "")
    sound = next((file for ending in (".ogg", ".wav") if (file := picture.with_suffix(ending)).exists()), None)
    name = str(picture.with_suffix("").relative_to(root))
    return Stamp(name, label, picture, sound, lines[0].strip() if lines else "", chinese)


def _unpacked() -> Path:
    given = os.environ.get("AVREC_BENCH_STAMPS")
    root = Path(given) if given else BENCH / "stamps" / "usr/share/tuxpaint/stamps"
    if not given and not root.exists():
        print(f"fetching {PACKAGE} (161 MB) ...", file=sys.stderr)
        folder = BENCH / "stamps"
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        deb = next(folder.glob(f"{PACKAGE}_*.deb"))
        subprocess.run(["dpkg", "-x", deb.name, "."], cwd=folder, check=True)
        deb.unlink()
    if not (root / "animals/birds").is_dir():
        raise SystemExit(f"{root} holds no stamps (no animals/birds in it); unset AVREC_BENCH_STAMPS to have them fetched")
    return root


def library(folder: Path, clips: int = 2, seed: int = 0, chosen: Sequence[Stamp] | None = None) -> Path:
    """A folder of uploads: `clips` films of each stamp with sidecars (title, label, source); what is there is not made again."""
    media = folder / "media"
    day = media / f"dt={DAY.isoformat()}"
    day.mkdir(parents=True, exist_ok=True)
    todo = [(stamp, number) for stamp in chosen or stamps() for number in range(clips)]
    for count, (stamp, number) in enumerate(todo, 1):
        path = day / f"{stamp.name.replace('/', '-')}-{number}.mp4"
        if not path.with_suffix(".mp4.json").exists():
            write_clip(path, stamp, seed * 1000 + number)
            if count % 50 == 0:
                print(f"made {count} of {len(todo)} clips", file=sys.stderr)
    return media


def write_clip(path: Path, stamp: Stamp, seed: int, *, seconds: float = SECONDS, title: str | None = None) -> Path:
    """One film, 320x240 at 10 frames a second, H.264 and (where the stamp has a sound) AAC; `path.mp4.json` beside it.

    Args:
        path: Where to; the sidecar is written last, so that a clip with a sidecar is whole.
        stamp: What it shows.
        seed: With the stamp's name, decides everything.
        seconds: How long.
        title: In place of the stamp's description; empty: none.
    """
    rng = np.random.default_rng([seed, *stamp.name.encode()])
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file, av.open(file, "w", format="mp4") as output:
        video = cast(
            "av.VideoStream", output.add_stream("libx264", rate=FPS, options={"crf": str(rng.integers(20, 30)), "preset": "veryfast"})
        )
        video.width, video.height = SIZE
        video.pix_fmt, video.gop_size = "yuv420p", FPS
        sound = cast("av.AudioStream", output.add_stream("aac", rate=RATE_HZ, layout="mono")) if stamp.sound else None
        for index, picture in enumerate(_pictures(stamp.picture, rng, round(seconds * FPS))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None and stamp.sound is not None:
            heard = av.AudioFrame.from_ndarray(_noisy(_waveform(stamp.sound), rng, seconds)[None], format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
            output.mux(sound.encode(heard))
            output.mux(sound.encode(None))
    partial.replace(path)
    said = stamp.english if title is None else title
    words = {"labels": [stamp.label], "source": stamp.name, **({"title": said} if said else {})}
    path.with_suffix(".mp4.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    return path


def _pictures(file: Path, rng: np.random.Generator, count: int) -> Iterator[NDArray[np.uint8]]:
    """RGB (240, 320, 3): the photograph drifting and growing over a blurred background, with grain."""
    import cv2

    width, height = SIZE
    stamp = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    stamp = cv2.cvtColor(stamp, cv2.COLOR_BGR2RGBA if stamp.ndim == 2 or stamp.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    premultiplied = stamp.astype(np.float32) / 255
    premultiplied[..., :3] *= premultiplied[..., 3:]
    back = cv2.resize(
        rng.uniform(0.1, 0.9, (rng.integers(2, 6), rng.integers(2, 7), 3)).astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC
    )
    back = cv2.GaussianBlur(back, (0, 0), 12) * rng.uniform(0.5, 1) + rng.normal(0, 0.02, back.shape).astype(np.float32)
    fit = min(width / stamp.shape[1], height / stamp.shape[0])
    sizes, angle = fit * rng.uniform(0.6, 1.15) * np.linspace(1, rng.uniform(0.85, 1.2), count), rng.uniform(-10, 10)
    where, drift = rng.uniform(-0.1, 0.1, 2) * SIZE, rng.uniform(-0.1, 0.1, 2) * SIZE
    light, tint, grain = rng.uniform(0.75, 1.2), rng.uniform(0.93, 1.07, 3).astype(np.float32), rng.uniform(0.005, 0.04)
    for index in range(count):
        turn = cv2.getRotationMatrix2D((stamp.shape[1] / 2, stamp.shape[0] / 2), angle, sizes[index])
        turn[:, 2] += np.array(SIZE) / 2 - np.array([stamp.shape[1], stamp.shape[0]]) / 2 + where + drift * (index / count - 0.5)
        layer = cv2.warpAffine(premultiplied, turn, SIZE, flags=cv2.INTER_AREA if sizes[index] < 1 else cv2.INTER_CUBIC)
        picture = (back * (1 - layer[..., 3:].clip(0, 1)) + layer[..., :3]) * light * tint
        yield (np.clip(picture + rng.normal(0, grain, picture.shape), 0, 1) * 255).astype(np.uint8)


def _waveform(file: Path) -> NDArray[np.float32]:
    """The sound as float32 (n,) at 44.1 kHz, mono."""
    with av.open(str(file)) as container:
        resampler = av.AudioResampler("fltp", "mono", RATE_HZ)
        parts = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def _noisy(sound: NDArray[np.float32], rng: np.random.Generator, seconds: float) -> NDArray[np.float32]:
    """A stretch of the sound, beginning somewhere in it where it is longer, as loud as chance has it, in noise 15 to 35 dB below."""
    count = round(seconds * RATE_HZ)
    start = int(rng.integers(0, max(len(sound) - count, 0) // 2 + 1))
    part = sound[start : start + count]
    whole = np.zeros(count, np.float32)
    at = int(rng.integers(0, count - len(part) + 1))
    whole[at : at + len(part)] = part
    loud = float(np.sqrt(np.mean(part**2))) or 1.0
    noise = rng.normal(0, 1, count).astype(np.float32) * 10 ** (-rng.uniform(15, 35) / 20)
    return np.clip((whole / loud + noise) * 0.1 * rng.uniform(0.5, 1.5), -1, 1).astype(np.float32)


def features(media: Path, store: Path, *, workers: int = 2) -> Ledger:
    """Everything up to fused_features, by the project's own tasks; what the store holds already is not computed again.

    Raises:
        RuntimeError: A clip failed.
    """
    ledger, day = Ledger(str(store)), DAY.isoformat()
    steps = graph(Recipe(**registry.preset("packaged").recipe(), sampling=Sampling().canonical()))
    tasks: dict[str, Task] = {
        "raw_media": ProbeUploads(str(media)),
        "frames": SampleFrames(str(media), str(store)),
        "audio_spectrograms": Listen(str(media), str(store)),
        "frame_embeddings": EmbedFrames(str(store)),
        "audio_embeddings": EmbedAudio(str(store)),
        "text_embeddings": EmbedText(),
        "fused_features": Fuse(),
    }
    running = engine("local", workers)
    for name, task in tasks.items():
        plan = plan_uploads(ledger, MediaSource(str(media)), steps[name], day, DAY, DAY) if name == "raw_media" else None
        outcome = advance(ledger, running, steps[name], day, task, plan=plan)
        if outcome.computed or outcome.failed:
            print(f"{name}: {outcome.computed} rows computed, {outcome.failed} failed", file=sys.stderr)
        if outcome.failed:
            reason = ledger.rows(name, day, ["error"], status="failed").to_pylist()[0]
            raise RuntimeError(f"{name}: {outcome.failed} clips failed, the first: {reason}")
    running.close()
    return ledger


if __name__ == "__main__":
    main()
