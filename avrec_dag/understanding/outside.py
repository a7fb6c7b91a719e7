"""What a file outside the library looks and sounds like: the library's own tasks over a store that is thrown away afterwards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from avrec_dag.encoders import registry
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.engine import Engine, Inline
from avrec_dag.errors import MediaError
from avrec_dag.incremental import advance
from avrec_dag.items import DecodesUploads, Task
from avrec_dag.ledger import Ledger
from avrec_dag.media import ingest
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import Recipe, Step, graph
from avrec_dag.understanding.fusion_stage import fuse_task

Part = Literal["picture", "sound", "clip"]
PARTS: tuple[Part, ...] = get_args(Part)
DAY = date(2026, 1, 1)
_SEEN, _HEARD = ("frames", "frame_embeddings"), ("audio_spectrograms", "audio_embeddings")
_TABLES: Mapping[Part, Sequence[str]] = {"picture": _SEEN, "sound": _HEARD, "clip": (*_SEEN, *_HEARD)}


@dataclass(frozen=True)
class Workbench:
    """A store for a moment.

    Attributes:
        media: Folder of uploads.
        store: Folder of tables and blobs.
        apart: Where files are decoded; models run in this process, which has loaded them.
    """

    media: Path
    store: str
    apart: Engine

    @property
    def ledger(self) -> Ledger:
        """Its tables."""
        return Ledger(self.store)

    def run(self, tasks: Mapping[str, Task], steps: Mapping[str, Step]) -> None:
        """Run tasks one after another over everything in the folder."""
        here, ledger = Inline(), self.ledger
        for name, task in tasks.items():
            probed = name == "raw_media"
            plan = ingest.plan_uploads(ledger, MediaSource(str(self.media)), steps[name], DAY.isoformat(), DAY, DAY) if probed else None
            advance(ledger, self.apart if isinstance(task, DecodesUploads) else here, steps[name], DAY.isoformat(), task, plan=plan)

    def features(self, name: str) -> dict[str, Any]:
        """The row of fused_features.

        Raises:
            MediaError: There is none; the sentence is that of the task that failed.
        """
        found = next(iter(self.ledger.rows("fused_features").to_pylist()), None)
        if found is not None:
            return found
        tables = ("raw_media", "frames", "audio_spectrograms", "frame_embeddings", "audio_embeddings")
        reasons = [row["error"] for table in tables for row in self.ledger.rows(table, None, ["error"], status="failed").to_pylist()]
        raise MediaError(reasons[0] if reasons else f"{name} has neither picture, sound nor text to judge by")


@contextmanager
def workbench(apart: Engine) -> Iterator[Workbench]:
    """A store that is gone when the block ends; arguments as in `Workbench`."""
    with TemporaryDirectory(prefix="avrec-") as folder:
        media = Path(folder) / "media"
        media.mkdir()
        yield Workbench(media, str(Path(folder) / "store"), apart)


def vectors(
    ledger: Ledger,
    store_uri: str,
    name: str,
    part: Part,
    bring: Callable[[Path], object],
    *,
    apart: Engine,
    encoders: str,
    most_s: float | None = None,
) -> dict[str, Any]:
    """What one file looks like (`picture`), sounds like (`sound`), or both (`clip`).

    Args:
        ledger: Of the library, whose trained fusion is used.
        store_uri: Its store.
        name: What messages call the file; only its ending is kept.
        part: Which of it counts.
        bring: Writes the file under a path.
        apart: Where it is decoded.
        encoders: Name of the preset.
        most_s: A longer film or sound is refused.

    Returns:
        A row of fused_features: vector, and joint or None.

    Raises:
        MediaError: It cannot be read, is too long, or has no such part.
    """
    steps = graph(Recipe(**registry.preset(encoders).recipe(), sampling=Sampling().canonical()))
    with workbench(apart) as here:
        bring(here.media / f"query{_ending(name)}")
        here.run({"raw_media": ingest.ProbeUploads(str(here.media))}, steps)
        _refuse(here.ledger, name, part, most_s)
        tasks: dict[str, Task] = {
            "frames": SampleFrames(str(here.media), here.store),
            "audio_spectrograms": Listen(str(here.media), here.store),
            "frame_embeddings": EmbedFrames(here.store, encoders),
            "audio_embeddings": EmbedAudio(here.store, encoders, str(here.media)),
        }
        chosen = {table: tasks[table] for table in _TABLES[part]}
        here.run({**chosen, "fused_features": fuse_task(ledger, store_uri)}, steps)
        return here.features(name)


def _ending(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    return ending if ending[1:].isalnum() and ending.isascii() and len(ending) < 9 and ending != ".json" else ".bin"


def _refuse(ledger: Ledger, name: str, part: Part, most_s: float | None) -> None:
    row = next(iter(ledger.rows("raw_media", None, ["error", "fields", "duration_s"], status=None).to_pylist()), None)
    if row is None or row["error"]:
        raise MediaError((row["error"] if row else "it cannot be listed").replace("query.bin", name).replace(f"query{_ending(name)}", name))
    has, seconds = dict(row["fields"] or ()), row["duration_s"] or 0.0
    if most_s is not None and seconds > most_s:
        raise MediaError(f"{name} lasts {seconds:.0f} s; as a query at most {most_s:.0f} s are looked at, so cut it")
    if (part == "picture" and "video" not in has) or (part == "sound" and "audio" not in has):
        raise MediaError(f"{name} has no {part} to search by; it has {' and '.join(sorted(has.keys() & {'video', 'audio'})) or 'neither'}")
