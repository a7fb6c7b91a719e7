"""A year of days of older code catches up under `dagster dev` while new uploads arrive: how fast, and how long each upload waits.

python bench/backfill.py [--days 365] [--minutes 20] [--every 120] [--library DIR] [--json]

What is made: one sound of 0.3 s a day (WAV, mono) with a title and a label, eight more today, four people. The days of the past have all
their rows, those of the sound's vectors made by older code, so that each day computes these, the joined vectors and the classes anew.
What the schedule `nightly_catch_up` asks for is launched at once, as the daemon does at three in the morning. Meanwhile a new sound is
uploaded every `--every` seconds, or as soon as the one before it stands in the lists. `--minutes` ends it early: what was done until then
is told. `--library` keeps the library; days that an interrupted bench computed there are not computed again.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg

sys.path.insert(0, str(Path(__file__).parent.parent))
from backfill_year import TODAY, World, build, n_stale, say, seed_people, wait_for

from tests.made_dagster_dev import free_port, recorded_in

N_FIRST, DAY = 8, "dagster/partition"
LAUNCH = """mutation($all: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $all) {
  __typename ... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } } } }"""
NAMES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"


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
    runs = [
        {
            "selector": {**selector, "assetSelection": [{"path": key.path} for key in one.asset_selection or ()]},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (*one.tags.items(), (DAY, one.partition_key))]},
        }
        for one in asked
    ]
    for start in range(0, len(runs), 20):
        some = runs[start : start + 20]
        told = world.ask(LAUNCH, all=some)
        outcomes = [one["__typename"] for one in told["data"]["launchMultipleRuns"]["launchMultipleRunsResult"]]
        assert outcomes == ["LaunchRunSuccess"] * len(some), told


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


def done_days(instance: dg.DagsterInstance, days: set[str]) -> int:
    found = instance.get_runs(
        dg.RunsFilter(job_name="ingest_and_embed", statuses=[dg.DagsterRunStatus.SUCCESS], tags={"avrec/backfill": "planner"})
    )
    return len({run.tags[DAY] for run in found} & days)


def measured(world: World, n_days: int, minutes: float, every_s: float) -> dict[str, Any]:
    days = [(TODAY - timedelta(days=n)).isoformat() for n in range(n_days, 0, -1)]
    for number, day in enumerate(days):
        world.upload(day, "of that day", number)
    seed_people(world, [world.upload(TODAY.isoformat(), f"first {n}", 500 + n) for n in range(N_FIRST)])
    from avrec_dag.ledger import Ledger

    ledger = Ledger(world.environment["AVREC_STORE"])
    with dg.DagsterInstance.get() as instance:
        build(instance, days)
        stale = n_stale(days)
        say(f"{stale} days have something to do")
        with world.served():
            wait_for(lambda: ledger.counts("recommendation_health").ok > 0, "the first lists")
            say("the first lists were made")
            alone = [delay_of(world, instance, number) for number in range(2)]
            asked, tick_s = planned()
            say(f"{len(asked)} days asked for; alone: {alone}")
            began = time.monotonic()
            meanwhile = []
            with ThreadPoolExecutor(1) as beside:
                launched = beside.submit(launch, world, asked)
                while (ingested := done_days(instance, set(days))) < n_days and time.monotonic() - began < 60 * minutes:
                    next_at = time.monotonic() + every_s
                    meanwhile.append(delay_of(world, instance, 10 + len(meanwhile)))
                    say(f"{ingested} days done; {meanwhile[-1]}")
                    while time.monotonic() < next_at and done_days(instance, set(days)) < n_days:
                        time.sleep(10)
                launched.result()
            took_s = time.monotonic() - began
            failed = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return {
        "days": n_days, "stale_before": stale, "stale_after": n_stale(days), "asked": len(asked), "tick_s": tick_s,
        "took_s": took_s, "ingested": ingested, "every_s": every_s,
        "failed_runs": failed, "alone": alone, "meanwhile": meanwhile,
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    print(f"{found['cores']} cores, Python {found['python']}, dagster {found['dagster']}; load average {found['load']:.1f}\n")
    print(
        f"Of {found['days']} days {found['stale_before']} had rows of older code, {found['stale_after']} have some at the end. "
        f"The night's plan: {found['asked']} days asked for, in {found['tick_s']:.1f} s."
    )
    rate = 3600 * found["ingested"] / found["took_s"]
    print(
        f"In {found['took_s'] / 60:.1f} min {found['ingested']} of them were done, to their classes "
        f"({rate:.0f} days an hour), an upload every {found['every_s']:.0f} s; {found['failed_runs']} runs failed.\n"
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
    parser.add_argument("--every", type=float, default=120.0)
    parser.add_argument("--library", type=lambda text: Path(text).resolve())
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avrec-backfill-", ignore_cleanup_errors=True) as folder:
        world = World(told.library or Path(folder), free_port())
        home = world.root / "home"
        shutil.rmtree(home, ignore_errors=True)
        recorded_in(home)
        os.environ.update(world.environment)
        found = measured(world, told.days, told.minutes, told.every)
    found |= {"cores": os.cpu_count(), "python": platform.python_version(), "dagster": version("dagster"), "load": os.getloadavg()[2]}
    print(json.dumps(found)) if told.json else show(found)


if __name__ == "__main__":
    main()
