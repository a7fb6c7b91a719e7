"""How many events a second the feedback log keeps, on SQLite and on PostgreSQL, side by side on one disk, and what reading costs.

Every event is durable when it counts: SQLite with `synchronous=FULL`, PostgreSQL with `fsync` and `synchronous_commit` on. The server
(Debian's, `apt-get install postgresql`) is started on a free port and stopped again, or `--postgres URL` names another, whose database
must be empty. Run: `.venv/bin/python bench/feedback_log.py [--json]`.
"""

import argparse
import json
import multiprocessing
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent.parent))

from avrec_dag.feedback import Event, FeedbackLog
from tests.made_postgres import serving

KINDS = ("impression", "play", "like", "share", "save", "skip")
START = datetime(2026, 1, 1, tzinfo=UTC)


def events(rng: random.Random, n: int, days: int = 1) -> list[Event]:
    """Made ones, of 1,000 people and 5,000 items."""
    return [
        Event(
            user_id=f"user-{rng.randrange(1000)}", media_id=f"dt=2026-01-01/{rng.randrange(5000):05d}.mp4", kind=rng.choice(KINDS),
            happened_at=START + timedelta(microseconds=rng.randrange(days * 86_400_000_000)),
        )
        for _ in range(n)
    ]  # fmt: skip


def write(url: str, seed: int, n: int, per_call: int, begin: "multiprocessing.Barrier", told: "multiprocessing.Queue") -> None:
    """Add n events as soon as every writer is ready; tells from when to when that took, by a clock that all processes share."""
    log, made = FeedbackLog(url), events(random.Random(seed), n)
    log.days()
    begin.wait()
    start = time.monotonic()
    kept = sum(log.add(made[at : at + per_call]) for at in range(0, n, per_call))
    told.put((start, time.monotonic()) if kept == n else None)
    log.close()


def appended(url: str, writers: int, n: int, per_call: int) -> float:
    """Events a second of so many processes together, each with n."""
    spawn = multiprocessing.get_context("spawn")
    begin, told = spawn.Barrier(writers), spawn.Queue()
    seeds = [1000 * per_call + 10 * writers + one for one in range(writers)]  # never the same twice, so that every event is new
    processes = [spawn.Process(target=write, args=(url, seed, n, per_call, begin, told)) for seed in seeds]
    for process in processes:
        process.start()
    spans = [told.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    if None in spans:
        raise SystemExit("events were lost, or counted wrongly")
    return writers * n / (max(end for _, end in spans) - min(start for start, _ in spans))


def median_ms(call: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def measure(url: str, n: int, alone: int, in_batches: int) -> Iterator[tuple[str, float]]:
    for writers in (1, 4):
        for per_call, written in ((1, alone), (500, in_batches)):
            who = "one process" if writers == 1 else f"{writers} processes"
            yield f"events a second, {per_call} a call, {who}", appended(url, writers, written, per_call)
    log, rng = FeedbackLog(url), random.Random(0)
    for start in range(0, n, 10_000):
        log.add(events(rng, min(10_000, n - start), days=60))
    day = "2026-02-01"
    yield (
        f"ms for the newest 500 events of a person, of {n:,} in 60 days",
        median_ms(lambda: log.of_user(f"user-{rng.randrange(1000)}", limit=500), 50),
    )
    yield "ms for the list of days", median_ms(log.days, 10)
    took = median_ms(lambda: list(log.events(day)), 5)
    yield "events a second, a day read", len(list(log.events(day))) / took * 1000
    log.close()


@contextmanager
def server(url: str | None) -> Iterator[tuple[str, str]]:
    """The address of an empty database, and the server's version."""
    if url is not None:
        yield url, version(url)
        return
    with serving(fsync=True) as made:
        address = made.url(made.new_database())
        yield address, version(address)


def version(url: str) -> str:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    with engine.connect() as connection:
        found = str(connection.scalar(sa.text("SHOW server_version")))
    engine.dispose()
    return found.split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="in the log that is read")
    parser.add_argument("--alone", type=int, default=2000, help="events that every writer adds one by one")
    parser.add_argument("--in-batches", type=int, default=50_000, help="events that every writer adds 500 at a time")
    parser.add_argument("--postgres", help="address of an empty database of a server of yours")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(asked.postgres) as (url, postgres):
        here = dict(measure(f"sqlite:///{folder}/feedback.db", asked.events, asked.alone, asked.in_batches))
        there = dict(measure(url, asked.events, asked.alone, asked.in_batches))
    facts = {"events": asked.events, "alone": asked.alone, "in_batches": asked.in_batches, "python": platform.python_version()}
    facts |= {"sqlite": sqlite3.sqlite_version, "postgresql": postgres, "sqlalchemy": sa.__version__}
    rows = [{"what": what, "sqlite": round(here[what], 2), "postgresql": round(there[what], 2)} for what in here]
    if asked.json:
        print(json.dumps({**facts, "results": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'':72} {'SQLite':>10} {'PostgreSQL':>11}")
    for row in rows:
        print(f"{row['what']:72} {row['sqlite']:10,.1f} {row['postgresql']:11,.1f}")


if __name__ == "__main__":
    main()
