"""Files that are not in the library: what they are, and what they ask for."""

import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

from avrec_dag.cli.library import Library
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.screen_text import ReadScreen
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.encoders.transcripts import Transcribe
from avrec_dag.engine import Engine, engine
from avrec_dag.errors import AvrecError, MissingError
from avrec_dag.items import Item, Task
from avrec_dag.media import ingest
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.spectrograms import Listen
from avrec_dag.recommend.queries import Part, Query, example
from avrec_dag.understanding.fusion_stage import fuse_task
from avrec_dag.understanding.outside import workbench
from avrec_dag.understanding.stage import classes_task


def classes(library: Library, path: Path) -> dict[str, Any]:
    """The columns of content_classes for one file; the sidecar beside it counts too.

    Raises:
        MediaError: The file cannot be read as media.
        AvrecError: Nothing in it could be understood.
    """
    with closing(_apart(library)) as apart, workbench(apart) as here:
        for beside in (path, path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
            if beside.is_file():
                bring(beside, here.media / beside.name)
        here.run(_tasks(library, str(here.media), here.store), library.steps)
        return _classified(library, here.features(path.name), path.name)


def query(library: Library, text: str, files: Mapping[str, Path]) -> Query:
    """What words and files ask for; in the space that the library's index is in.

    Args:
        library: Whose items are looked for.
        text: Words; empty: none.
        files: By what of them counts: picture, sound or clip.

    Raises:
        MissingError: There is no such file.
        MediaError: It cannot be read, or has no such part.
    """
    missing = next((file for file in files.values() if not file.is_file()), None)
    if missing is not None:
        raise MissingError(f"there is no file {missing}; name one that holds a picture, sound or film")
    encoders = library.recommender.catalogue.index.encoders
    store = library.settings.store
    with closing(_apart(library)) as apart:
        examples = [
            example(library.ledger, store, file.name, cast("Part", part), partial(bring, file), apart=apart, encoders=encoders, most_s=None)
            for part, file in files.items()
        ]
    return Query(text, tuple(examples))


def _apart(library: Library) -> Engine:
    """Where a file is decoded: in a process that may die of it, unless the settings want none."""
    settings = library.settings
    return engine("inline" if settings.engine == "inline" else "local", 1, settings.limits)


def bring(file: Path, to: Path) -> None:
    """The same file under another path, linked where that can be."""
    try:
        os.link(file.resolve(), to)
    except OSError:  # another file system, or none that links
        shutil.copyfile(file, to)


def _tasks(library: Library, media: str, store: str) -> dict[str, Task]:
    settings = library.settings
    return {
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


def _classified(library: Library, features: dict[str, Any], name: str) -> dict[str, Any]:
    task = classes_task(library.ledger, library.settings.store, library.settings.encoders)
    row = task([Item(name, "", "", {"fused_features": features})])[0]
    if row.error is not None:
        raise AvrecError(f"{name}: {row.error}")
    return dict(row.values)
