"""A library whose year was made by older code, for `backfill.py`: its uploads, its records and its daemon."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.made_dagster_dev import ROOT, ask, running

TODAY = datetime.now(UTC).date()
PATIENCE_S, BUMPED = 900.0, "audio_embeddings"


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def answers(world: "World") -> bool:
    try:
        return "data" in world.ask("{ version }")
    except OSError:
        return False


def wait_for(done: Any, what: str, until_s: float = PATIENCE_S) -> float:
    """Seconds until `done()`."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > until_s:
            raise TimeoutError(f"{what} took more than {until_s:.0f} s")
        time.sleep(1)
    return time.monotonic() - began


@dataclass
class World:
    """A library below one folder, the records of its runs, and the page of its daemon."""

    root: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Settings of this library alone."""
        start = (TODAY - timedelta(days=1000)).isoformat()
        return {
            "AVREC_MEDIA": str(self.root / "media"), "AVREC_STORE": str(self.root / "store"), "AVREC_START": start,
            "AVREC_FEEDBACK": f"sqlite:///{self.root}/feedback.db", "AVREC_ENGINE": "inline", "AVREC_SPEECH": "off",
            "DAGSTER_HOME": str(self.root / "home"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def upload(self, day: str, name: str, seed: int) -> str:
        """A sound and its sidecar; the sidecar comes first, so that one listing finds both."""
        from avrec_dag import synthetic

        kind, folder = synthetic.KINDS[seed % 2], self.root / "media" / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / f"{name}.wav").exists():
            return f"dt={day}/{name}.wav"
        (folder / f"{name}.wav.json").write_text(json.dumps(synthetic.sidecar(kind, seed), ensure_ascii=False))
        made = self.root / "made.wav"
        synthetic.clip(made, kind=kind, seed=seed, duration_s=0.3)
        made.rename(folder / f"{name}.wav")
        return f"dt={day}/{name}.wav"

    def ask(self, query: str, **variables: object) -> Any:
        """What the page's GraphQL answers."""
        return ask(self.port, query, timeout_s=120, **variables)

    @contextmanager
    def served(self) -> Iterator[None]:
        """`dagster dev` until the block ends."""
        env = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT)}
        with running(self.port, self.root / "log", cwd=ROOT, env=env):
            wait_for(lambda: answers(self), "dagster dev")
            say("dagster dev answers")
            yield


def seed_people(world: World, keys: list[str]) -> None:
    from avrec_dag.feedback import Event, FeedbackLog

    log, at = FeedbackLog(world.environment["AVREC_FEEDBACK"]), datetime.now(UTC) - timedelta(days=1)
    log.add(Event(user_id=f"person {n}", media_id=key, kind="like", happened_at=at) for n in range(4) for key in keys[n % 2 : 4 : 2])
    log.close()


def build(instance: dg.DagsterInstance, days: list[str]) -> None:
    """The past, computed here, one of its tables by older code; Dagster is told of it as if it had been runs of its own.

    Days that have their classes already are not computed again.
    """
    from assets import automation, graph
    from assets.results import LISTING
    from avrec_dag.ledger import Ledger
    from avrec_dag.media.ingest import uploads_of
    from avrec_dag.media.spoken import digest
    from resources.media import Snapshot

    source, ledger = Snapshot(graph.SETTINGS.media), Ledger(graph.SETTINGS.store)
    tables = [name for name in automation.INGEST_TABLES if not graph.STEPS[name].off]
    built = set(ledger.partitions("content_classes"))
    with patch.dict(graph.STEPS, {BUMPED: replace(graph.STEPS[BUMPED], code="older")}):
        compute("past", tables, [day for day in days if day not in built])
    if not ledger.counts("content_classifier").ok:
        compute("taught", list(automation.TRAIN_TABLES), [None])
    unclassified = [day for day in days if ledger.plan(graph.STEPS["content_classes"], day).todo]
    compute("classified", list(automation.CLASSIFY_TABLES), unclassified)
    for day in days:
        seen = {LISTING: digest(uploads_of(ledger, source, day, TODAY, graph.SETTINGS.start))}
        for table in tables:
            tags = {"dagster/code_version": "older" if table == BUMPED else graph.STEPS[table].code}
            instance.report_runless_asset_event(dg.AssetMaterialization(table, partition=day, metadata=seen, tags=tags))


def compute(name: str, tables: list[str], partitions: Sequence[str | None]) -> None:
    """Materialise these tables in this process, without their checks and without a record."""
    from avrec_dag.definitions import defs

    bound = defs.get_repository_def().assets_defs_by_key
    unchecked = dg.define_asset_job(name, dg.AssetSelection.assets(*tables).without_checks(), executor_def=dg.in_process_executor)
    job = dg.Definitions([bound[dg.AssetKey(table)] for table in tables], jobs=[unchecked]).resolve_job_def(name)
    silent = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    for number, partition in enumerate(partitions):
        if number % 30 == 0:
            say(f"{name}: {number} of {len(partitions)}")
        with dg.DagsterInstance.ephemeral() as nowhere:
            job.execute_in_process(partition_key=partition, instance=nowhere, run_config=silent)


def n_stale(days: list[str]) -> int:
    """How many of the days have something to do."""
    from assets import automation, graph
    from avrec_dag.ledger import Ledger

    ledger, tables = Ledger(graph.SETTINGS.store), [name for name in automation.INGEST_TABLES[1:] if not graph.STEPS[name].off]
    return sum(any(ledger.plan(graph.STEPS[name], day).todo for name in tables) for day in days)
