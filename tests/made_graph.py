"""A small graph in the project's own tables, uploads that can be edited, and tasks whose output is a pure function of their input."""

import hashlib
import os
import signal
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

from avrec_dag.engine import Engine, Inline
from avrec_dag.errors import MediaError
from avrec_dag.incremental import advance
from avrec_dag.items import Item, Outcome, Row, Task
from avrec_dag.ledger import Ledger
from avrec_dag.steps import Recipe, Step, graph

DAY = "2026-01-01"
STEPS = ("frames", "audio_spectrograms", "frame_embeddings", "audio_embeddings", "text_embeddings", "fused_features")
FIELD = {"frames": "frames", "audio_spectrograms": "log_mel"}
USED = {"frames": ("kind",), "audio_spectrograms": ("container",)}
GRAPH = {name: replace(graph(Recipe("f", "a", "e", "t", "s"))[name], code="1") for name in STEPS}
GRAPH["audio_spectrograms"] = replace(GRAPH["audio_spectrograms"], reads={"raw_media": ("container",)})
"""The real graph of an upload day; the made uploads keep their picture in `kind`, their sound in `container`, their words in `title`."""


def sha(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


class Crash(BaseException):
    """What a lost process looks like from inside: nothing handles it."""


@dataclass(frozen=True)
class Crashing:
    """An engine whose process is lost after some batches."""

    batches: int
    workers: ClassVar[int] = 1

    def run(self, task: Task, batches: Iterable[Sequence[Item]]) -> Iterator[list[Row]]:
        yield from Inline().run(task, islice(batches, self.batches))
        raise Crash

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Compute:
    """Hashes what it is given; the hash is the field that children depend on, so equal input gives equal output.

    Contents that hold the word "broken" cannot be read, ever; those that hold "flaky" raise something unforeseen.

    Attributes:
        table: The step's table.
        code: The step's code version; its first character alone shapes the output.
        kills: Key whose computation kills the process.
    """

    table: str
    code: str
    kills: str = ""

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Row:
        if item.key == self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        seen = {parent: {name: columns[name] for name in USED.get(self.table, columns)} for parent, columns in sorted(item.parents.items())}
        if "broken" in str(seen):
            raise MediaError("cannot be read")
        if "flaky" in str(seen):
            raise RuntimeError("no idea")
        output = sha(self.table, self.code[0], item.key, seen)
        return item.done({FIELD.get(self.table, "vector"): output}, self._values(output))

    def _values(self, output: str) -> dict[str, object]:
        if self.table in FIELD:
            return {"blob": output}
        return {"vector": [int(output[i : i + 2], 16) / 255 for i in range(0, 8, 2)]}


@dataclass
class World:
    """Uploads of one day and the tables made from them.

    Attributes:
        uri: The store.
        uploads: Key -> field -> content; a missing field is a clip without it.
        code: Step -> code version, where it is not the graph's own.
        engine: Runs the tasks.
    """

    uri: str
    uploads: dict[str, dict[str, str]] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    engine: Engine = field(default_factory=Inline)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.uri)

    def upload(self, key: str, **contents: str) -> None:
        self.uploads[key] = contents or {"video": f"{key} v", "audio": f"{key} a", "metadata": f"{key} m"}

    def step(self, name: str) -> Step:
        return replace(GRAPH[name], code=self.code.get(name, GRAPH[name].code))

    def ingest(self) -> tuple[int, int]:
        versions = {key: sha(sorted(contents.items())) for key, contents in self.uploads.items()}
        plan = self.ledger.wanted("raw_media", DAY, versions)
        self.ledger.tombstone("raw_media", DAY, plan.gone)
        columns = {"video": "kind", "audio": "container", "metadata": "title"}
        values = {key: {columns[name]: content for name, content in contents.items()} for key, contents in self.uploads.items()}
        fields = {key: {name: sha(content) for name, content in contents.items()} for key, contents in self.uploads.items()}
        self.ledger.append("raw_media", DAY, [item.done(fields[item.key], values[item.key]) for item in plan.todo])
        self.ledger.compact("raw_media", DAY)
        return len(plan.todo), len(plan.gone)

    def bring(self, name: str, engine: Engine | None = None) -> Outcome:
        step = self.step(name)
        return advance(self.ledger, engine or self.engine, step, DAY, Compute(name, step.code), batch_size=2)

    def run(self, steps: Collection[str] = STEPS) -> dict[str, tuple[int, int]]:
        """Bring the tables up to date in order; per table, how many rows were computed and removed."""
        done = {"raw_media": self.ingest()}
        for name in steps:
            outcome = self.bring(name)
            done[name] = outcome.computed, outcome.removed
        return done

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """Everything readers see, and which items failed."""
        seen = {name: self.ledger.rows(name, DAY).to_pylist() for name in ("raw_media", *STEPS)}
        failed = {f"{name} failed": self.ledger.rows(name, DAY, ["version", "error"], status="failed").to_pylist() for name in STEPS}
        return seen | failed


def thirty(folder: Path, engine: Engine) -> World:
    """Thirty uploads k00 to k29, of which k03 cannot be read and the words of k05 raise."""
    world = World(str(folder), engine=engine)
    for key in (f"k{i:02}" for i in range(30)):
        world.upload(key, video="broken" if key == "k03" else f"{key} v", metadata="flaky" if key == "k05" else key)
    return world
