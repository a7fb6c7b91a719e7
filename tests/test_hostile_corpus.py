"""A corpus of hostile and odd uploads through the real tasks and workers: each ends in a row with a reason, or in a good one."""

import contextlib
import math
import multiprocessing
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from avrec_dag.engine import Local
from avrec_dag.incremental import advance
from avrec_dag.ledger import Ledger
from avrec_dag.limits import Limits
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.ingest import ProbeUploads, plan_uploads
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.quality.technical import MeasureQuality
from avrec_dag.schema import TABLES
from avrec_dag.steps import Recipe, graph
from tests.hostile_files import FAMILIES, fast_start
from tests.hostile_playlists import keys, playlists

DAY = date(2026, 5, 4)
STEPS = graph(Recipe("f", "a", "e", "t", "s"))
MOST_MB = 1000
DECODE, ALL = ("raw_media", "frames", "audio_spectrograms"), ("raw_media", "frames", "audio_spectrograms", "technical_quality")
FAST = ("nothing", "lies", "index", "lengths")
"""Families of which every file takes milliseconds; of some others every tenth."""


class Watched:
    """How much memory any process that this one started has held at once, looked at all the while."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            for child in multiprocessing.active_children():
                with contextlib.suppress(OSError, StopIteration):  # it has just ended
                    told = Path(f"/proc/{child.pid}/status").read_text()
                    peak = next(line for line in told.splitlines() if line.startswith("VmHWM"))
                    self.peak_mb = max(self.peak_mb, int(peak.split()[1]) * 1024 / 1e6)


def upload(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[str]:
    written = []
    for key, data in files:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append(key)
    return written


def worked_out(root: Path, running: Local, *tables: str) -> dict[str, dict[str, dict[str, object]]]:
    """The rows of every table that decodes, by table and key."""
    media, store, day = root / "media", str(root / "store"), DAY.isoformat()
    ledger = Ledger(store)
    plan = plan_uploads(ledger, MediaSource(str(media)), STEPS["raw_media"], day, DAY, DAY)
    tasks = {
        "raw_media": ProbeUploads(str(media)),
        "frames": SampleFrames(str(media), store),
        "audio_spectrograms": Listen(str(media), store),
        "technical_quality": MeasureQuality(str(media)),
    }
    for name, task in tasks.items():
        if name in tables:
            advance(ledger, running, STEPS[name], day, task, plan=plan if name == "raw_media" else None)
    columns = {name: ["error", "status", "fields", *TABLES[name].columns.names] for name in tables}
    return {name: {row["media_id"]: row for row in ledger.rows(name, None, columns[name], status=None).to_pylist()} for name in tables}


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)


def judged(found: dict[str, dict[str, dict[str, object]]], expected: list[str]) -> Counter:
    """Hold every row to what is promised; how many are good and failed in each table."""
    assert sorted(found["raw_media"]) == sorted(expected)
    for table, rows in found.items():
        for key, row in rows.items():
            if row["status"] == "failed":
                assert 20 < len(str(row["error"])) < 2000 and "\n" not in str(row["error"]), (table, key, row["error"])
            else:
                assert all(map(math.isfinite, numbers(row))), (table, key)
    probed = {key: dict(row["fields"] or ()) for key, row in found["raw_media"].items()}  # type: ignore[call-overload]
    assert set(found["frames"]) == {key for key, fields in probed.items() if "video" in fields}
    assert set(found["audio_spectrograms"]) == {key for key, fields in probed.items() if "audio" in fields}
    return Counter((table, str(row["status"])) for table, rows in found.items() for row in rows.values())


@pytest.fixture(scope="module")
def running() -> Iterator[Local]:
    with closing(Local(2, Limits(cpu_s=30, wall_s=240))) as local:
        yield local


def test_what_is_broken_or_odd_ends_in_a_row_each(tmp_path, running):
    files = [file for name in FAST for file in FAMILIES[name]()]
    files += [file for name in ("cut", "damaged", "times", "streams") for file in list(FAMILIES[name]())[::10]]
    expected = upload(tmp_path / "media", files)
    assert len(expected) >= 60
    with Watched() as watched:
        counted = judged(worked_out(tmp_path, running, *DECODE), expected)
    assert counted["raw_media", "ok"] > 10
    assert counted["raw_media", "failed"] > 10
    assert 50 < watched.peak_mb < MOST_MB


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_corpus_ends_in_a_row_each(tmp_path):
    files = [file for family in FAMILIES.values() for file in family()]
    expected = upload(tmp_path / "media", files)
    with Watched() as watched, closing(Local(2, Limits(cpu_s=30, wall_s=120))) as running:
        found = worked_out(tmp_path, running, *ALL)
        counted = judged(found, expected)
    assert sum(counted.values()) >= len(expected) > 200
    assert watched.peak_mb < MOST_MB
    said = Counter(str(row["error"]).partition(": ")[2][:60] for rows in found.values() for row in rows.values() if row["error"])
    print(f"{len(expected)} files, {dict(counted)}, peak {watched.peak_mb:.0f} MB", *said.most_common(40), sep="\n")  # noqa: T201


@pytest.fixture
def listener() -> Iterator[tuple[str, Callable[[], int]]]:
    """An address on this machine, and how many have asked there, by TCP or UDP."""
    asked: list[tuple] = []
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(50)
        udp.bind(tcp.getsockname())
        for one in (tcp, udp):
            one.setblocking(False)

        def look() -> int:
            for take in (tcp.accept, lambda: udp.recvfrom(10)):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        asked.append(take())
                        if isinstance(asked[-1][0], socket.socket):
                            asked[-1][0].close()
            return len(asked)

        yield f"127.0.0.1:{tcp.getsockname()[1]}", look


def test_nothing_that_an_upload_names_is_read_or_asked(tmp_path, listener, running):
    address, asked = listener
    canary = tmp_path / "canary.mp4"
    canary.write_bytes(fast_start())
    os.utime(canary, ns=(1, canary.stat().st_mtime_ns))  # so that reading it would show
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "link.mp4").symlink_to(canary)
    (tmp_path / "media" / "loop.mp4").symlink_to(tmp_path / "media" / "loop.mp4")
    os.mkfifo(tmp_path / "media" / "pipe.mp4")
    expected = upload(tmp_path / "media", playlists(canary, address))
    named = upload(tmp_path / "media", ((key, fast_start()) for key in keys(canary, address)))
    found = worked_out(tmp_path, running, *DECODE)
    judged(found, [*expected, *named])
    assert canary.stat().st_atime_ns == 1
    assert {key: row["error"] for key, row in found["raw_media"].items() if key in named and row["error"]} == {}
    good = {key for key in expected if found["raw_media"][key]["status"] == "ok"}
    assert all("samples at" in key for key in good)  # what QuickTime may say of itself; the bytes are the upload's own
    assert {path.name for path in tmp_path.iterdir()} == {"canary.mp4", "media", "store"}
    assert not list(Path.cwd().glob("canary*"))
    assert asked() == 0
    with socket.create_connection(address.rsplit(":", 1), timeout=5):  # the listener does see who comes
        assert asked() == 1
