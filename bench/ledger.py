"""What finding nothing to do costs in a large library: one day of technical_quality among a million items in a year.

Each figure stands beside a floor measured in the same run on the same Parquet files: the plan written as one DuckDB query for
this one step, and pyarrow reading the files without choosing the newest rows. Run: `.venv/bin/python bench/ledger.py [--json]`.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from avrec_dag.ledger import Ledger
from avrec_dag.ledger.files import TableFiles, now_ns
from avrec_dag.steps import Recipe, graph

STEP = graph(Recipe("f", "a", "e", "t", "s"))["technical_quality"]
FIELDS = {
    "raw_media": ("video", "audio", "metadata"),
    "audio_spectrograms": ("waveform", "log_mel"),
    "technical_quality": ("score",),
    "frame_embeddings": ("vector",),
}
DIM = 512
PLAN_BAR_S, ROWS_BAR_S = 1.0, 0.3
NEWEST = "FROM read_parquet({}) QUALIFY row_number() OVER (PARTITION BY media_id ORDER BY written_ns DESC) = 1"
DUCKDB_PLAN = f"""
    WITH raw AS (SELECT media_id, fields FROM (SELECT * {NEWEST.format("$raw")}) WHERE status = 'ok' AND NOT gone),
    sound AS (SELECT media_id, fields FROM (SELECT * {NEWEST.format("$sound")}) WHERE status = 'ok' AND NOT gone),
    own AS (SELECT media_id, version FROM (SELECT * {NEWEST.format("$own")}) WHERE NOT gone),
    wanted AS (SELECT media_id, left(sha256(concat_ws(chr(10), '{STEP.name}@{STEP.code}', 'raw_media.video=' || raw.fields['video'],
        'raw_media.audio=' || raw.fields['audio'], 'audio_spectrograms.waveform=' || sound.fields['waveform'])), 32) AS version
        FROM raw LEFT JOIN sound USING (media_id))
    SELECT count(*) FROM wanted ANTI JOIN own USING (media_id, version)
"""


def hashes(rng: np.random.Generator, n: int) -> list[str]:
    digits = rng.bytes(16 * n).hex()
    return [digits[i : i + 32] for i in range(0, len(digits), 32)]


def stored(files: TableFiles, keys: list[str], versions: list[str], rng: np.random.Generator) -> pa.Table:
    """A day's rows in the ledger's own file format, with random hashes and numbers."""
    n, names = len(keys), FIELDS[files.table]
    given = {
        files.key: pa.array(keys),
        "version": pa.array(versions),
        "fields": pa.MapArray.from_arrays(np.arange(n + 1, dtype=np.int32) * len(names), list(names) * n, hashes(rng, n * len(names))),
        "status": pa.array(["ok"] * n),
        "attempts": pa.array([1] * n, pa.int32()),
        "written_ns": pa.array([now_ns()] * n),
        "gone": pa.array([False] * n),
    }
    if files.table == "frame_embeddings":
        values = rng.standard_normal(n * DIM, dtype=np.float32)
        given["vector"] = pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * DIM, values)
    for field in files.schema:
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            given.setdefault(field.name, pa.array(rng.integers(0, 1000, n)).cast(field.type))
    return pa.table([given.get(field.name, pa.nulls(n, field.type)) for field in files.schema], schema=files.schema)


def build(ledger: Ledger, n_items: int, days: list[str], measured: set[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for day, numbers in zip(days, np.array_split(np.arange(n_items), len(days)), strict=True):
        keys = [f"dt={day}/{number:08d}.mp4" for number in numbers]
        for table in FIELDS:
            if table == "frame_embeddings" and day not in measured:
                continue  # its files would be 2 GB, and one day's rows are all that is read
            versions = hashes(rng, len(keys))
            if table == STEP.name and day in measured:
                versions = [item.version for item in ledger.plan(STEP, day).todo]
            files = TableFiles(ledger.uri, table)
            files.add(day, stored(files, keys, versions, rng))


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure(ledger: Ledger, days: list[str]) -> Iterator[tuple[str, float, float | None, str, float]]:
    """(what, seconds, bar, floor, seconds of the floor), each the median over the days."""
    paths = {table: {day: TableFiles(ledger.uri, table).paths(day) for day in days} for table in FIELDS}
    for day in days:
        plan = ledger.plan(STEP, day)
        if plan.todo or plan.gone:
            raise SystemExit(f"{day}: the plan should have been empty, but {len(plan.todo)} items are to do")

    def duckdb_plan(day: str) -> None:
        given = {"raw": paths["raw_media"][day], "sound": paths["audio_spectrograms"][day], "own": paths[STEP.name][day]}
        if connection.execute(DUCKDB_PLAN, given).fetchall() != [(0,)]:
            raise SystemExit(f"{day}: DuckDB disagrees that there is nothing to do")

    with duckdb.connect() as connection:
        ours = over(days, lambda day: ledger.plan(STEP, day))
        yield "plan of one day, nothing to do", ours, PLAN_BAR_S, "one DuckDB query", over(days, duckdb_plan)
    for table in ("raw_media", "frame_embeddings"):
        files, ours = paths[table], over(days, partial(ledger.rows, table))
        floor = over(days, lambda day, files=files: [pq.read_table(path) for path in files[day]])
        yield f"rows of one day, {table}", ours, ROWS_BAR_S, "pyarrow.read_table", floor
    every = TableFiles(ledger.uri, "raw_media").paths()
    floor = seconds(lambda: [pq.read_table(path, columns=["media_id"]) for path in every])
    yield "keys of the whole library", seconds(lambda: ledger.rows("raw_media", None, [])), None, "pyarrow.read_table", floor


def over(days: list[str], call: Callable[[str], object]) -> float:
    return statistics.median(seconds(partial(call, day)) for day in days)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    days = [(date(2026, 1, 1) + timedelta(i)).isoformat() for i in range(asked.days)]
    measured = [days[i] for i in np.linspace(0, len(days) - 1, min(5, len(days)), dtype=int)]
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(folder)
        start = time.perf_counter()
        build(ledger, asked.items, days, set(measured), asked.seed)
        built_s = time.perf_counter() - start
        found = list(measure(ledger, measured))
        size_mb = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet")) / 1e6
    facts = {
        "items": asked.items, "days": asked.days, "items_a_day": asked.items // asked.days, "seed": asked.seed, "size_mb": round(size_mb),
        "built_s": round(built_s, 1), "python": platform.python_version(), "pyarrow": pa.__version__, "duckdb": duckdb.__version__,
    }  # fmt: skip
    rows = [
        {"what": what, "s": round(s, 4), "bar_s": bar, "floor": floor, "floor_s": round(floor_s, 4), "ratio": round(s / floor_s, 2)}
        for what, s, bar, floor, floor_s in found
    ]
    if asked.json:
        print(json.dumps({**facts, "results": rows}))
    else:
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
        print(f"{'':40} {'here':>8} {'bar':>7} {'floor':>26} {'times floor':>12}")
        for row in rows:
            bar = f"{row['bar_s']} s" if row["bar_s"] else ""
            floor = f"{row['floor']} {row['floor_s']:.3f} s"
            print(f"{row['what']:40} {row['s']:6.3f} s {bar:>7} {floor:>26} {row['ratio']:>12}")
    if any(row["bar_s"] and row["s"] > row["bar_s"] for row in rows):
        raise SystemExit("slower than the bar")


if __name__ == "__main__":
    main()
