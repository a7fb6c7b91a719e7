"""A year of days of older code catches up under `dagster dev` while new uploads arrive: how fast, and how long each upload waits.

python bench/backfill.py [--days 365] [--minutes 20] [--json]

What is made: one sound of 0.3 s a day (WAV, mono) with a title and a label, eight more today, four people. The days of the past are
recorded as made by older code and have no rows, so that each computes all of its tables: more than a bump of one step asks for. What the
schedule `nightly_catch_up` asks for is launched at once, as the daemon does at three in the morning. Meanwhile a new sound is uploaded as
soon as the one before it stands in the index and the lists were made. `--minutes` ends it early: what was done until then is told.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.made_dagster_dev import ask, free_port, running

ROOT = Path(__file__).resolve().parent.parent
TODAY = datetime.now(UTC).date()
N_FIRST, PATIENCE_S = 8, 900.0
LAUNCH = """mutation($all: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $all) {
  __typename ... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } } } }"""
NAMES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"


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


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def answers(world: World) -> bool:
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


def seed_people(world: World, keys: list[str]) -> None:
    from avrec_dag.feedback import Event, FeedbackLog

    log, at = FeedbackLog(world.environment["AVREC_FEEDBACK"]), datetime.now(UTC) - timedelta(days=1)
    log.add(Event(user_id=f"person {n}", media_id=key, kind="like", happened_at=at) for n in range(4) for key in keys[n % 2 : 4 : 2])
    log.close()


def record_old(instance: dg.DagsterInstance, days: list[str]) -> None:
    """The past as made by older code, of the uploads as they are."""
    from assets import automation, graph
    from assets.results import LISTING
    from avrec_dag.ledger import Ledger
    from avrec_dag.media.ingest import uploads_of
    from avrec_dag.media.spoken import digest
    from resources.media import Snapshot

    source, ledger, old = Snapshot(graph.SETTINGS.media), Ledger(graph.SETTINGS.store), {"dagster/code_version": "older"}
    for day in days:
        seen = {LISTING: digest(uploads_of(ledger, source, day, TODAY, graph.SETTINGS.start))}
        for table in automation.INGEST_TABLES:
            instance.report_runless_asset_event(dg.AssetMaterialization(table, partition=day, metadata=seen, tags=old))


def planned() -> tuple[list[dg.RunRequest], float]:
    """What the night's schedule asks for, and the seconds that its tick takes."""
    from assets import nights
    from avrec_dag.definitions import defs
    from resources import profiles

    parts = {"resources": profiles.from_env(), "repository_def": defs.get_repository_def()}
    began = time.monotonic()
    at = datetime.now(UTC)
    with dg.DagsterInstance.get() as records, dg.build_schedule_context(records, scheduled_execution_time=at, **parts) as context:
        asked = list(nights.nightly_catch_up.evaluate_tick(context).run_requests or ())
    return asked, time.monotonic() - began


def launch(world: World, asked: list[dg.RunRequest]) -> None:
    (found,) = world.ask(NAMES)["data"]["repositoriesOrError"]["nodes"]
    selector = {"repositoryLocationName": found["location"]["name"], "repositoryName": found["name"], "jobName": "ingest_and_embed"}
    for start in range(0, len(asked), 50):
        runs = [
            {"selector": selector, "executionMetadata": {"tags": [
                {"key": key, "value": value} for key, value in {**one.tags, "dagster/partition": str(one.partition_key)}.items()
            ]}}
            for one in asked[start : start + 50]
        ]  # fmt: skip
        told = world.ask(LAUNCH, all=runs)
        outcomes = [one["__typename"] for one in told["data"]["launchMultipleRuns"]["launchMultipleRunsResult"]]
        assert outcomes == ["LaunchRunSuccess"] * len(runs), told


def delay_of(world: World, instance: dg.DagsterInstance, number: int) -> dict[str, float]:
    """Seconds from one upload to its features, and to lists that know it."""
    from avrec_dag.ledger import Ledger

    ledger, began = Ledger(world.environment["AVREC_STORE"]), time.time()
    key = world.upload(TODAY.isoformat(), f"new {number}", 1000 + number)
    wait_for(lambda: ledger.row("fused_features", key) is not None, f"the features of {key}")
    features_s = time.time() - began
    wait_for(lambda: ledger.row("quality_scores", key) is not None, f"the quality of {key}")
    seen, success = time.time(), dg.RunsFilter(job_name="recommend", statuses=[dg.DagsterRunStatus.SUCCESS])

    def listed() -> bool:
        return any((record.end_time or 0) >= seen for record in instance.get_run_records(success, limit=3))

    wait_for(listed, f"lists after {key}")
    return {"features_s": features_s, "lists_s": time.time() - began}


def done_days(instance: dg.DagsterInstance, days: set[str], job: str) -> int:
    found = instance.get_runs(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], tags={"avrec/backfill": "planner"}))
    return len({run.tags["dagster/partition"] for run in found} & days)


def measured(world: World, n_days: int, minutes: float) -> dict[str, Any]:
    days = [(TODAY - timedelta(days=n)).isoformat() for n in range(n_days, 0, -1)]
    for number, day in enumerate(days):
        world.upload(day, "of that day", number)
    seed_people(world, [world.upload(TODAY.isoformat(), f"first {n}", 500 + n) for n in range(N_FIRST)])
    from avrec_dag.ledger import Ledger

    ledger = Ledger(world.environment["AVREC_STORE"])
    with dg.DagsterInstance.get() as instance:
        record_old(instance, days)
        with world.served():
            wait_for(lambda: ledger.counts("recommendation_health").ok > 0, "the first lists")
            say("the first lists were made")
            alone = [delay_of(world, instance, number) for number in range(2)]
            asked, tick_s = planned()
            began = time.monotonic()
            launch(world, asked)
            say(f"{len(asked)} days launched; alone: {alone}")
            meanwhile = []
            while (ingested := done_days(instance, set(days), "ingest_and_embed")) < n_days and time.monotonic() - began < 60 * minutes:
                meanwhile.append(delay_of(world, instance, 10 + len(meanwhile)))
                say(f"{ingested} days ingested; {meanwhile[-1]}")
            took_s = time.monotonic() - began
            classified = done_days(instance, set(days), "classify")
            failed = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return {
        "days": n_days, "asked": len(asked), "tick_s": tick_s, "took_s": took_s, "ingested": ingested, "classified": classified,
        "failed_runs": failed, "alone": alone, "meanwhile": meanwhile,
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    print(f"{found['cores']} cores, Python {found['python']}, dagster {found['dagster']}; load average {found['load']:.1f}\n")
    print(f"The night's plan over {found['days']} days: {found['asked']} asked for, in {found['tick_s']:.1f} s.")
    rate = 3600 * found["ingested"] / found["took_s"]
    print(
        f"In {found['took_s'] / 60:.1f} min {found['ingested']} of them were ingested and {found['classified']} classified "
        f"({rate:.0f} days an hour); {found['failed_runs']} runs failed.\n"
    )
    print("| uploads | n | to features, median s | most | to lists, median s | most |\n" + "|---" * 6 + "|")
    for name in ("alone", "meanwhile"):
        rows = found[name]
        figures = [[row[part] for row in rows] for part in ("features_s", "lists_s")]
        told = " | ".join(f"{statistics.median(values):.0f} | {max(values):.0f}" if values else "- | -" for values in figures)
        print(f"| {name} | {len(rows)} | {told} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avrec-backfill-", ignore_cleanup_errors=True) as folder:
        world = World(Path(folder), free_port())
        (world.root / "home").mkdir()
        yaml = (ROOT / "dagster.yaml").read_text(encoding="utf-8").replace(".dagster", str(world.root / "home" / ".dagster"))
        (world.root / "home" / "dagster.yaml").write_text(yaml, encoding="utf-8")
        os.environ.update(world.environment)
        found = measured(world, told.days, told.minutes)
    found |= {"cores": os.cpu_count(), "python": platform.python_version(), "dagster": version("dagster"), "load": os.getloadavg()[2]}
    print(json.dumps(found)) if told.json else show(found)


if __name__ == "__main__":
    main()
