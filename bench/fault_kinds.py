"""What goes wrong, on purpose, while a day is worked on (`bench/faults.py`)."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from avrec_dag import s3, synthetic
from avrec_dag.demo.s3_server import S3Server

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tests.s3_proxy import Proxy

TABLES = (
    "raw_media", "frames", "audio_spectrograms", "frame_embeddings", "audio_embeddings", "text_embeddings", "fused_features",
    "technical_quality", "fingerprints", "moderation", "content_classes",
)  # fmt: skip
"""The tables of `ingest_and_embed` that have rows where speech and text on screen are off."""
_FREE_S = (0.5, 4.0)


@dataclass(frozen=True)
class Place:
    """Where everything is.

    Attributes:
        root: Folder of the bench.
        server: The real S3 server.
        disk: A small disk: Dagster's records, and stores in a folder.
        of_server: The disk of the server.
    """

    root: Path
    server: S3Server
    disk: Path
    of_server: Path

    @cached_property
    def proxy(self) -> Proxy:
        """Between runs and server."""
        return Proxy(self.server.endpoint)

    @cached_property
    def _bucket(self) -> str:
        return self.server.new_bucket()

    @property
    def through_proxy(self) -> dict[str, str]:
        """What leads a run to the server by way of the proxy."""
        return {**self.server.environment, "AWS_ENDPOINT_URL": self.proxy.endpoint}

    @property
    def media(self) -> str:
        """The uploads."""
        return f"s3://{self._bucket}/uploads"

    def store(self, name: str) -> str:
        """A store on S3."""
        return f"s3://{self._bucket}/{name}"

    def folder(self, number: int) -> str:
        """A store on the small disk."""
        return str(self.disk / f"store-{number}")

    def upload(self, day: str, n: int) -> None:
        """Make clips and their sidecars, and upload them."""
        for number in range(n):
            kind = synthetic.KINDS[number % len(synthetic.KINDS)]
            path = synthetic.clip(self.root / f"{kind} {number}.mp4", kind=kind, seed=number, duration_s=1, size=(160, 90))
            key = f"{self.media[5:]}/dt={day}/{path.name}"
            s3.put(f"{key}.json", json.dumps(synthetic.sidecar(kind, number), ensure_ascii=False).encode())
            s3.put(key, path.read_bytes())


Cause = Callable[[Place, "subprocess.Popen[str]", random.Random], bool]


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: What the table calls it.
        cause: Makes it happen to a run that lives, and end; whether it did.
        every_s: Bounds of the random wait before each.
        fatal: The run does not survive it.
        most: So many are enough, as each takes long; 0: a share of all.
        in_folder: The store is a folder on the small disk instead of S3.
        daemon: What works is `dagster dev`.
    """

    name: str
    cause: Cause
    every_s: tuple[float, float]
    fatal: bool = False
    most: int = 0
    in_folder: bool = False
    daemon: bool = False


def _named(child: "subprocess.Popen[str]", part: bytes) -> list[int]:
    """The processes below this one that have such a part in their command: `spawn_main` for those of the engine."""
    found = []
    for pid in _below(child.pid):
        with suppress(OSError):
            if part in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return sorted(found)


def _below(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for one in map(int, (task / "children").read_text().split()):
                found += [one, *_below(one)]
    return found


def _kill_worker(_: Place, child: "subprocess.Popen[str]", rng: random.Random) -> bool:
    workers = _named(child, b"spawn_main")
    return bool(workers) and _killed(rng.choice(workers))


def _kill_run(_: Place, child: "subprocess.Popen[str]", _rng: random.Random) -> bool:
    return child.poll() is None and _killed(child.pid)


def _kill_tree(_: Place, child: "subprocess.Popen[str]", _rng: random.Random) -> bool:
    if child.poll() is not None:
        return False
    os.killpg(child.pid, signal.SIGKILL)
    return True


def _kill_daemon(_: Place, child: "subprocess.Popen[str]", _rng: random.Random) -> bool:
    return sum(_killed(pid) for pid in _named(child, b"dagster._daemon")) > 0


def _kill_everything(_: Place, child: "subprocess.Popen[str]", _rng: random.Random) -> bool:
    """As a machine that loses its power: no process is left to tell another."""
    first, *others = [_killed(pid) for pid in (child.pid, *_below(child.pid))]
    return first and any(others)


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _at_proxy(
    place: Place, _: "subprocess.Popen[str]", rng: random.Random, *, lasts_s: tuple[float, float] = _FREE_S, **fault: int
) -> bool:
    place.proxy.set(**fault)
    time.sleep(rng.uniform(*lasts_s))
    place.proxy.set()
    return True


def _full(place: Place, _: "subprocess.Popen[str]", rng: random.Random, *, server: bool = False) -> bool:
    """Take all that is left of the disk for a while."""
    filler = (place.of_server if server else place.disk) / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))
    time.sleep(rng.uniform(*_FREE_S))
    filler.unlink()
    return True


_GONE = 1 << 40
KINDS: Sequence[Kind] = (
    Kind("kill -9 of a worker of the engine", _kill_worker, (0.5, 3)),
    Kind("S3 answers 500", partial(_at_proxy, status=500), (0.2, 3)),
    Kind("S3 answers 503", partial(_at_proxy, status=503), (0.2, 3)),
    Kind("S3 passes 20 kB/s", partial(_at_proxy, bytes_per_s=20_000), (0.2, 3)),
    Kind("network gone for seconds", partial(_at_proxy, refuse=_GONE), (0.2, 3)),
    Kind("disk of the S3 server full", partial(_full, server=True), (1, 5)),
    Kind("disk full, store in a folder", _full, (0.5, 3), in_folder=True),
    Kind("network gone for a minute", partial(_at_proxy, refuse=_GONE, lasts_s=(60, 65)), (1, 9), most=2),
    Kind("kill -9 of the run", _kill_run, (0.2, 7), fatal=True),
    Kind("kill -9 of run and workers at once", _kill_tree, (0.2, 7), fatal=True),
    Kind("disk of Dagster's records full", _full, (1, 5)),
    Kind("kill -9 of Dagster's daemon", _kill_daemon, (5, 30), fatal=True, most=10, daemon=True),
    Kind("kill -9 of `dagster dev` and all below it", _kill_everything, (5, 30), fatal=True, most=10, daemon=True),
)


@contextmanager
def small_disk(at: Path, size_mb: int) -> Iterator[Path]:
    """A disk of its own, in memory, that can be filled without harm to others."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)
