"""A small library, materialised by the real command in a process of its own: good, bad and strangely named uploads, and people."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock

from avrec_dag import synthetic
from avrec_dag.dagster_home import prepared
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.ledger import Ledger
from avrec_dag.media.uploads import MediaSource
from avrec_dag.storage import Blobs

KINDS = ("bars", "rings", "snow", "waves")
DAY = "2026-02-01"
ODD = f'dt={DAY}/猫 咪\'s "first" clip & more.mp4'
SOUND = f"dt={DAY}/waves only heard.wav"
BROKEN = {"empty.mp4": b"", "words.mp4": b"this is a letter, not a clip\n", "cut.mp4": None}


@dataclass(frozen=True)
class Place:
    """Where a library is."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """What makes the command work on it."""
        return {
            "AVREC_MEDIA": str(self.folder / "media"),
            "AVREC_STORE": str(self.folder / "store"),
            "AVREC_FEEDBACK": f"sqlite:///{self.folder}/feedback.db",
        }

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.env["AVREC_STORE"])

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.env["AVREC_STORE"])

    @property
    def source(self) -> MediaSource:
        return MediaSource(self.env["AVREC_MEDIA"])

    @property
    def log(self) -> FeedbackLog:
        return FeedbackLog(self.env["AVREC_FEEDBACK"])


@dataclass(frozen=True)
class Small(Place):
    """The small library, and the command on it."""

    cache: Path

    def copy(self, to: Path) -> "Small":
        """The same library elsewhere, to be changed."""
        shutil.copytree(self.folder, to)
        return Small(to, self.cache)

    @property
    def env(self) -> dict[str, str]:
        mine = {"AVREC_CACHE": str(self.cache), "AVREC_ENGINE": "inline", "DAGSTER_HOME": str(self.folder / "dagster")}
        return {**super().env, **mine}

    def avrec(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The installed command, in a process of its own."""
        command = [str(Path(sys.executable).with_name("avrec")), *arguments]
        return subprocess.run(
            command, env={**os.environ, **self.env, **env}, cwd=self.folder, capture_output=True, text=True, timeout=280, check=False
        )

    def json(self, *arguments: str, **env: str) -> Any:
        done = self.avrec(*arguments, "--json", **env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def build(root: Path) -> Small:
    """The library under `root`, built by whichever test process comes first."""
    small = Small(root / "small-library", root / "avrec-cache")
    with FileLock(root / "small-library.lock"):
        if not (small.folder / "built.json").exists():
            _upload(small.folder / "media" / f"dt={DAY}")
            prepared(small.folder / "dagster")
            small.log.add(people())
            done = small.avrec("materialize", "--json")
            assert done.returncode in {0, 1}, done.stderr
            (small.folder / "built.json").write_text(done.stdout)
    return small


def _upload(folder: Path) -> None:
    folder.mkdir(parents=True)
    for kind in KINDS:
        for number in range(3):
            path = folder / f"{kind}-{number}.mp4"
            synthetic.clip(path, kind=kind, seed=number, duration_s=1, size=(160, 90))
            path.with_suffix(".json").write_text(json.dumps(synthetic.sidecar(kind, number)), encoding="utf-8")
    odd = folder / Path(ODD).name
    synthetic.clip(odd, kind="rings", seed=9, duration_s=1, size=(160, 90))
    title = '<script>alert("猫")</script> & "quotes"'
    odd.with_name(f"{odd.name}.json").write_text(json.dumps({"title": title, "tags": ["cat"]}, ensure_ascii=False), encoding="utf-8")
    synthetic.clip(folder / Path(SOUND).name, kind="waves", seed=8, duration_s=1)
    (folder / Path(SOUND).with_suffix(".json").name).write_text('{"title": broken', encoding="utf-8")
    whole = (folder / "bars-0.mp4").read_bytes()
    for name, content in BROKEN.items():
        (folder / name).write_bytes(whole[: len(whole) // 3] if content is None else content)


def people() -> list[Event]:
    """Eight people, each of whom likes two kinds and dislikes another."""
    start = datetime(2026, 2, 2, 12, tzinfo=UTC)
    events = []
    for person in range(8):
        for number in range(2):
            liked, other = KINDS[person % 4], KINDS[(person + 2) % 4]
            for kind, what in ((liked, "like"), (KINDS[(person + 1) % 4], "share"), (other, "dislike")):
                facts = {"user_id": f"person {person}", "media_id": f"dt={DAY}/{kind}-{number}.mp4", "kind": what}
                events.append(Event.model_validate({**facts, "happened_at": start + timedelta(minutes=len(events))}))
    return events
