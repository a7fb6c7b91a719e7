"""The demo on S3: a server of its own, the clips uploaded to it, and the settings that lead there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avrec_dag import progress, s3
from avrec_dag.dagster_home import prepared
from avrec_dag.demo.s3_server import serving
from avrec_dag.media.uploads import MediaSource

FOLDER = Path("var/demo-s3")
_UPLOADS, _STORE = "uploads/films", "library/avrec"


@contextmanager
def settings(folder: Path = FOLDER) -> Iterator[Path]:
    """Run a server, and have this process's settings lead to it; where clips are laid out before they are uploaded.

    What was worked out is kept in `folder`: the next call goes on from there.
    """
    home = prepared(folder.absolute() / "dagster")
    with serving(folder / "server") as server:
        for path in (_UPLOADS, _STORE):
            server.new_bucket(path.partition("/")[0])
        own = {
            **server.environment,
            "AVREC_MEDIA": f"s3://{_UPLOADS}",
            "AVREC_STORE": f"s3://{_STORE}",
            "AVREC_FEEDBACK": f"sqlite:///{folder.absolute()}/feedback.db",
            "DAGSTER_HOME": str(home),
        }
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            yield folder / "clips"
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def upload(clips: Path) -> int:
    """Upload what is not there yet, or in another size; how many files that was."""
    there = {upload.key: upload.size_bytes for upload in MediaSource(f"s3://{_UPLOADS}").list()}
    wanted = sorted(path for path in clips.rglob("*") if path.is_file())
    sent = 0
    for done, path in enumerate(wanted, 1):
        key = path.relative_to(clips).as_posix()
        if there.get(key) != path.stat().st_size:
            s3.put(f"{_UPLOADS}/{key}", path.read_bytes())
            sent += 1
        progress.report("uploads", "", done, len(wanted))
    return sent
