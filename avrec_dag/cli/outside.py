"""Classify one file that is not in the library: the library's own tasks over a store that is thrown away afterwards."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from avrec_dag.cli.library import Library
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.screen_text import ReadScreen
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.encoders.transcripts import Transcribe
from avrec_dag.engine import engine
from avrec_dag.errors import AvrecError, MediaError
from avrec_dag.incremental import advance
from avrec_dag.items import Item, Task
from avrec_dag.ledger import Ledger
from avrec_dag.media import ingest
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.understanding.fusion_stage import fuse_task
from avrec_dag.understanding.stage import classes_task


def classes(library: Library, path: Path) -> dict[str, Any]:
    """The columns of content_classes for one file; the sidecar beside it counts too.

    Raises:
        MediaError: The file cannot be read as media.
        AvrecError: Nothing in it could be understood.
    """
    with TemporaryDirectory(prefix="avrec-") as folder:
        media, store = Path(folder) / "media", str(Path(folder) / "store")
        media.mkdir()
        for beside in (path, path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
            if beside.is_file():
                _bring(beside, media / beside.name)
        ledger = Ledger(store)
        _understand(library, ledger, str(media), store)
        return _classified(library, ledger, path.name)


def _bring(file: Path, to: Path) -> None:
    try:
        os.link(file.resolve(), to)
    except OSError:  # another file system, or none that links
        shutil.copyfile(file, to)


def _understand(library: Library, ledger: Ledger, media: str, store: str) -> None:
    settings, steps = library.settings, library.steps
    tasks: dict[str, Task] = {
        "raw_media": ingest.ProbeUploads(media),
        "frames": SampleFrames(media, store, settings.sampling),
        "audio_spectrograms": Listen(media, store),
        "frame_embeddings": EmbedFrames(store, settings.encoders),
        "audio_embeddings": EmbedAudio(store, settings.encoders, media),
        "transcripts": Transcribe(media, settings.speech),
        "screen_text": ReadScreen(store, settings.screen_text),
        "text_embeddings": EmbedText(settings.encoders),
        "fused_features": fuse_task(library.ledger, settings.store),
    }
    day = settings.start.isoformat()
    here = engine("inline")
    for name, task in tasks.items():
        plan = (
            ingest.plan_uploads(ledger, MediaSource(media), steps[name], day, settings.start, settings.start)
            if name == "raw_media"
            else None
        )
        advance(ledger, here, steps[name], day, task, plan=plan)


def _classified(library: Library, ledger: Ledger, name: str) -> dict[str, Any]:
    features = next(iter(ledger.rows("fused_features").to_pylist()), None)
    if features is None:
        tables = ("raw_media", "frames", "audio_spectrograms", "frame_embeddings", "audio_embeddings")
        reasons = [row["error"] for table in tables for row in ledger.rows(table, None, ["error"], status="failed").to_pylist()]
        raise MediaError(reasons[0] if reasons else f"{name} has neither picture, sound nor text to judge by")
    task = classes_task(library.ledger, library.settings.store, library.settings.encoders)
    row = task([Item(name, "", "", {"fused_features": features})])[0]
    if row.error is not None:
        raise AvrecError(f"{name}: {row.error}")
    return dict(row.values)
