"""kill -9 under load: what the service acknowledged must be in the log once, and a new version must fail no request.

    bench/serve_faults.py [--kills 50] [--swaps 10] [--workers 2] [--json]

A flood of batches goes to the real command over a made library; at random moments the whole tree of processes is killed, or one worker,
and the service is started again (a worker by its parent). A batch without an answer is sent again with the same event ids until it is
acknowledged, as a client does. In the end the log is read: an event that was acknowledged and is not there is lost, one that is there
twice is doubled. Then versions: while lists and events are asked for, the model is fitted anew and the index made anew, again and again;
no request may fail, and the answers must name the new versions.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import load
import serve
import served
import sqlalchemy as sa
from load import Asked

from avrec_dag.recommend import indexing
from avrec_dag.recommend.training import update_recommender
from tests import made_service
from tests.made_dagster_dev import free_port

WRITERS, PER_BATCH, SEED = 8, 5, 0


class Service:
    """The command with its workers, which can be killed and started again on the same port."""

    def __init__(self, library: served.Made, workers: int) -> None:
        self.library, self.workers, self.port = library, workers, free_port()
        self.running = self._start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def _start(self) -> subprocess.Popen:
        options = "--workers", str(self.workers)
        running = made_service.started(self.library.folder, self.library.env, self.port, *options, log=self.library.said, group=True)
        made_service.wait_until_ready(self.address, running)
        return running

    def kill_all(self) -> None:
        """End the whole tree at once, and start again."""
        os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait()
        self.running = self._start()

    def kill_one(self, rng: random.Random) -> None:
        """End one worker; its parent starts another."""
        while not (living := made_service.workers_of(self.running)):  # those of a tree that was just started
            time.sleep(0.1)
        os.kill(rng.choice(living), signal.SIGKILL)

    def stop(self) -> float:
        """SIGTERM; how many seconds it took to end."""
        start = time.monotonic()
        self.running.terminate()
        self.running.wait(60)
        return time.monotonic() - start


async def flood(service: Service, done: asyncio.Event, acknowledged: list[str], writer: int) -> int:
    """Send batches, each until it is acknowledged; returns how many were sent again."""
    rng, wire, again, number, host = random.Random(f"{SEED}-{writer}"), None, 0, 0, urlsplit(service.address)
    while not done.is_set():
        ids = [f"flood-{writer}-{number}-{one}" for one in range(PER_BATCH)]
        number += 1
        at = datetime.now(UTC).isoformat()
        events = [
            {"event_id": one, "user_id": served.user_id(rng.randrange(service.library.users)), "kind": "like", "happened_at": at,
             "media_id": served.media_id(rng.randrange(service.library.items))}
            for one in ids
        ]  # fmt: skip
        asked = Asked("POST", "/v1/feedback", json.dumps({"events": events}).encode()).wire(host.netloc)
        while True:
            try:
                wire = wire or await asyncio.open_connection(host.hostname, host.port)
                status = await asyncio.wait_for(load.one(*wire, asked), 60)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
                status, wire = 0, None
            if status == 200:
                acknowledged += ids
                break
            again += 1
            await asyncio.sleep(0.05)
    return again


async def kills(service: Service, n: int) -> dict[str, float]:
    rng, done, acknowledged = random.Random(SEED), asyncio.Event(), []
    writers = [asyncio.create_task(flood(service, done, acknowledged, one)) for one in range(WRITERS)]
    kinds: Counter[str] = Counter()
    for _ in range(n):
        await asyncio.sleep(rng.uniform(0.2, 1.5))
        kind = rng.choice(["all", "one"]) if service.workers > 1 else "all"
        kinds[kind] += 1
        if kind == "all":
            await asyncio.to_thread(service.kill_all)
        else:
            service.kill_one(rng)
            await asyncio.sleep(1.0)
    await asyncio.sleep(1.0)
    done.set()
    again = sum(await asyncio.gather(*writers))
    stored = Counter(_stored(service.library))
    lost = len(set(acknowledged) - stored.keys())
    return {"kills of the tree": kinds["all"], "kills of a worker": kinds["one"], "acknowledged": len(acknowledged), "sent again": again,
            "lost": lost, "doubled": sum(count > 1 for count in stored.values()) + len(acknowledged) - len(set(acknowledged)),
            "stored and not acknowledged": len(stored.keys() - set(acknowledged))}  # fmt: skip


def _stored(library: served.Made) -> list[str]:
    engine = sa.create_engine(library.env["AVREC_FEEDBACK"])
    with engine.connect() as connection:
        return list(connection.scalars(sa.text("SELECT event_id FROM avrec_feedback WHERE event_id LIKE 'flood-%'")))


async def swaps(service: Service, n: int) -> dict[str, float]:
    """New versions land while lists and events are asked for."""
    told, done, versions = load.Told(), asyncio.Event(), set()
    host = urlsplit(service.address)

    async def asking(kind: str) -> None:
        wire = await asyncio.open_connection(host.hostname, host.port)
        for asked in serve.requests(service.library, kind):
            if done.is_set():
                return
            start = time.perf_counter()
            try:
                status = await asyncio.wait_for(load.one(*wire, asked.wire(host.netloc)), 60)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                status, wire = 0, await asyncio.open_connection(host.hostname, host.port)
            told.add(status, time.perf_counter() - start)
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(asking(kind)) for kind in ("recommendations", "feedback", "similar") for _ in range(2)]
    unready = 0
    for number in range(n):
        await asyncio.to_thread(_renew, service.library, number)
        for _ in range(10):
            await asyncio.sleep(0.3)
            unready += await asyncio.to_thread(_ask, f"{service.address}/readyz") != 200
            versions.add(await asyncio.to_thread(_versions, service.address))
    done.set()
    await asyncio.gather(*tasks)
    return {"swaps": n, "versions that answered": len(versions), "requests": len(told.seconds), "failed": told.failed, "not ready": unready}


def _renew(library: served.Made, number: int) -> None:
    """A model fitted from nothing with another seed, and an index under another name."""
    update_recommender(library.ledger, library.blobs, served.STEPS["recommender"], anew=True, seed=number + 1, run_id=f"swap-{number}")
    indexing.update_index(library.ledger, library.blobs, served.STEPS["item_index"], most_exact=50_000 + number, run_id=f"swap-{number}")


def _ask(address: str) -> int:
    try:
        with urlopen(address, timeout=30) as answer:
            return int(answer.status)
    except OSError:
        return 0


def _versions(address: str) -> str:
    with urlopen(f"{address}/v1/recommendations/{served.user_id(0)}", timeout=30) as answer:
        return str(answer.headers["avrec-versions"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        service = Service(served.made(Path(scratch), told.items, told.items), told.workers)
        try:
            found = {"kill -9": asyncio.run(kills(service, told.kills)), "new versions": asyncio.run(swaps(service, told.swaps))}
        finally:
            stopped_s = service.stop()
    facts = {"items": told.items, "workers": told.workers, "writers": WRITERS, "events a batch": PER_BATCH, "seed": SEED,
             "load": round(os.getloadavg()[0], 1), "python": platform.python_version(), "stopped in s": round(stopped_s, 1)}  # fmt: skip
    if told.json:
        print(json.dumps({**facts, **found}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    for what, row in found.items():
        print(f"\n| {what} | {' | '.join(row)} |\n{'|---' * (len(row) + 1)}|\n| | {' | '.join(f'{value:,}' for value in row.values())} |")


if __name__ == "__main__":
    main()
