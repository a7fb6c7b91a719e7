"""The service under load: lists, similar items, search and feedback, beside an empty FastAPI route and a bare faiss search.

    bench/serve.py [--items 2000] [--users 2000] [--dim 512] [--seconds 5] [--folder DIR] [--workers 1] [--json]

The library is made (`served.py`) and kept where `--folder` says. The real command serves it on a free port of this machine. 32 connections
are kept alive; requests a second in a closed loop are counted by wrk where it is installed (`apt-get install wrk`), else by `load.py`,
which always does the open loop of 200 a second. The figures of the README: --items 100000 --users 100000 --seconds 20.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import load
import numpy as np
import served
from load import Asked
from served import CLASSES, Made, media_id, user_id

from avrec_dag.recommend.live import Recommender
from tests import made_service
from tests.made_dagster_dev import free_port

CONNECTIONS, PER_S, TRIES, SEED = 32, 200.0, 100, 1
_OWN_FLOOR, _FLAT_FLOOR = "bare search, the index that lists ask (inverted file)", "bare search, every vector compared (flat)"
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_EMPTY = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def empty() -> dict[str, str]:
    return {}
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


def requests(library: Made, kind: str, seed: int = SEED) -> Iterator[Asked]:
    """Requests of one kind, drawn anew each time."""
    rng, start = np.random.default_rng([seed, len(kind)]), datetime.now(UTC)
    for number in count():
        user, item = user_id(int(rng.integers(library.users))), media_id(int(rng.integers(library.items)))
        if kind == "recommendations":
            yield Asked("GET", f"/v1/recommendations/{user}?k=10")
        elif kind == "similar":
            yield Asked("GET", f"/v1/similar/{quote(item)}?k=10")
        elif kind == "search":
            yield Asked("GET", f"/v1/search?q={quote(f'{rng.choice(CLASSES)} {rng.choice(served.WORDS)}')}&k=10")
        elif kind == "feedback":
            at = (start + timedelta(milliseconds=number)).isoformat()
            event = {"user_id": user, "media_id": item, "kind": "like", "happened_at": at}
            yield Asked("POST", "/v1/feedback", json.dumps({"events": [event]}).encode())
        else:
            yield Asked("GET", "/")


def by_wrk(address: str, asked: Iterator[Asked], lasts_s: float) -> dict[str, float]:
    """The closed loop, as wrk counts it."""
    some = [next(asked) for _ in range(5000)]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        rows = ",".join("{" + json.dumps([one.method, one.path, one.body.decode()])[1:-1] + "}" for one in some)
        script.write(f"local all = {{{rows}}}\nlocal at = 0\nlocal head = {{['Content-Type'] = 'application/json'}}\n")
        script.write("request = function()\n  at = at % #all + 1\n  local one = all[at]\n")
        script.write("  return wrk.format(one[1], one[2], head, one[3] ~= '' and one[3] or nil)\nend\n")
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{lasts_s:.0f}s", "--latency", "--timeout", "30s", "-s", script.name, address]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed = (int(errors[1]) if errors else 0) + (sum(map(int, broken.groups())) if broken else 0)
    per_s, total = float(_found(r"Requests/sec:\s+([\d.]+)", said)), int(_found(r"(\d+) requests in", said))
    return {"per_s": per_s, "p50_ms": _ms(said, "50%"), "p99_ms": _ms(said, "99%"), "failed": failed, "requests": total}


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    if found is None:
        raise SystemExit(f"wrk said something else than expected:\n{said}")
    return found[1]


def _ms(said: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s|m)\b", said)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def closed(address: str, asked: Iterator[Asked], lasts_s: float) -> dict[str, float]:
    if shutil.which("wrk"):
        return by_wrk(address, asked, lasts_s)
    return load.closed(address, asked, lasts_s, CONNECTIONS).figures()


def empty(lasts_s: float) -> tuple[dict[str, float], dict[str, float]]:
    """The floor: a FastAPI route that does nothing, closed and open."""
    port = free_port()
    running = subprocess.Popen([sys.executable, "-c", _EMPTY, str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        made_service.wait_until_ready(address, running, route="/")
        nothing = (Asked("GET", "/") for _ in count())
        return closed(address, nothing, lasts_s), load.open_loop(address, nothing, lasts_s, CONNECTIONS, PER_S).figures()
    finally:
        running.terminate()
        running.wait(30)


def inside(library: Made, tries: int) -> dict[str, float]:
    """Milliseconds in this process, one after the other: a whole list, and what it is held against.

    Two floors: a bare search of the ten nearest by the index that lists ask themselves, which is the inverted file in a library of this
    size, and by a flat index that compares every vector.
    """
    import faiss

    from avrec_dag.recommend.context import Context
    from avrec_dag.recommend.reranking.knobs import Knobs
    from avrec_dag.serving.live import Live

    faiss.omp_set_num_threads(1)
    live = Live(library.ledger, library.blobs, library.log)
    index, rng = live.newest.current().recommender.catalogue.index, np.random.default_rng(SEED)
    users, rows = [user_id(one) for one in rng.integers(0, library.users, tries)], rng.integers(0, len(index.items), tries)
    queries = index.vectors("fused", rows)
    flat = faiss.IndexFlatIP(queries.shape[1])
    flat.add(np.ascontiguousarray(index.fused))
    found = {"list": _timed(lambda at: live.recommend(users[at], 10, Knobs(), Context()), tries)}
    filed = getattr(index, "filed", {}).get("fused")
    if filed is not None:
        found[_OWN_FLOOR] = _timed(lambda at: filed.index.search(queries[at : at + 1], 10), tries)
    found[_FLAT_FLOOR] = _timed(lambda at: flat.search(queries[at : at + 1], 10), tries)
    found["share of the list of everything"] = agreed(live.newest.current().recommender, users[:30])
    live.close()
    return found


def agreed(recommender: Recommender, users: list[str]) -> float:
    """How much of the lists that scoring every item makes is found by scoring what is retrieved; without drawn new items."""
    from avrec_dag.recommend import retrieving

    shares, usual = [], retrieving.MOST_SCORED
    for user in users:
        lists = []
        for most in (usual, 1 << 62):
            retrieving.MOST_SCORED = most
            lists.append({one.media_id for one in recommender.recommend(user, 10, exploration=0.0)})
        shares.append(len(lists[0] & lists[1]) / max(len(lists[1]), 1))
    retrieving.MOST_SCORED = usual
    return round(float(np.mean(shares)), 3)


def _timed(what: Callable[[int], object], tries: int) -> float:
    """The median, in milliseconds; the first few warm up."""
    taken = []
    for at in [*range(min(5, tries)), *range(tries)]:
        start = time.perf_counter()
        what(at)
        taken.append(time.perf_counter() - start)
    return round(float(np.median(taken[min(5, tries) :])) * 1000, 3)


def changed(library: Made, address: str) -> int:
    """After how many of `TRIES` likes the next list no longer holds what was liked and is another."""
    rng, moved = np.random.default_rng(SEED + 1), 0
    for one in rng.choice(library.users, min(TRIES, library.users), replace=False).tolist():
        route = f"{address}/v1/recommendations/{user_id(one)}?k=10"
        before = [item["media_id"] for item in json.load(urlopen(route))]
        event = {"user_id": user_id(one), "media_id": before[0], "kind": "like", "happened_at": datetime.now(UTC).isoformat()}
        body = json.dumps({"events": [event]}).encode()
        urlopen(Request(f"{address}/v1/feedback", body, {"content-type": "application/json"})).close()
        after = [item["media_id"] for item in json.load(urlopen(route))]
        moved += before[0] not in after and after != before
    return moved


def settle(address: str, within_s: float = 120.0) -> None:
    """Wait until every worker has the library, and have each do its first work: two seconds of new connections find nobody unready."""
    until, since = time.monotonic() + within_s, time.monotonic()
    while time.monotonic() - since < 2.0:
        try:
            urlopen(f"{address}/readyz").close()
        except HTTPError:
            since = time.monotonic()
        if time.monotonic() > until:
            raise SystemExit(f"a worker is not ready after {within_s:.0f} s")
        time.sleep(0.02)


def measured(library: Made, lasts_s: float, more: tuple[str, ...]) -> dict:
    rows = {"inside": inside(library, 200)}
    rows["empty route"], rows["empty route, 200/s"] = empty(lasts_s)
    with made_service.serving(library, *more, log=library.said, route="/readyz") as slashed:
        address = slashed.rstrip("/")
        settle(address)
        rows["changed"] = changed(library, address)
        load.open_loop(address, requests(library, "recommendations", SEED + 2), 3.0, CONNECTIONS, PER_S)  # a warm start, not counted
        rows["recommendations, 200/s"] = load.open_loop(
            address, requests(library, "recommendations"), lasts_s, CONNECTIONS, PER_S
        ).figures()
        for kind in ("recommendations", "similar", "search", "feedback"):
            rows[kind] = closed(address, requests(library, kind), lasts_s)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--folder", type=Path, help="keep the library here, to be used again")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        library = served.made(told.folder or Path(scratch), told.items, told.users, told.dim)
        before = os.getloadavg()[0]
        more = ("--workers", str(told.workers)) if told.workers > 1 else ()
        rows = measured(library, told.seconds, more)
    tool = "wrk" if shutil.which("wrk") else "load.py"
    facts = {"items": told.items, "users": told.users, "dim": told.dim, "cores": os.cpu_count(), "workers": told.workers,
             "seed": served.SEED, "load before": round(before, 2), "python": platform.python_version(), "numpy": np.__version__,
             "tool": tool}  # fmt: skip
    print(json.dumps({**facts, "rows": rows}) if told.json else _table(facts, rows))


def _table(facts: dict, rows: dict) -> str:
    said = [
        ", ".join(f"{name} {value}" for name, value in facts.items()),
        "",
        "| | requests/s | p50 ms | p99 ms | failed |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if name not in ("inside", "changed"):
            said.append(f"| {name} | {row['per_s']:,.0f} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['failed']} |")
    inside = rows["inside"]
    said += ["", *(f"{name}: {value}{'' if name.startswith('share') else ' ms'}" for name, value in inside.items())]
    said += [f"a list over the {name}: {inside['list'] / inside[name]:.2f}" for name in (_OWN_FLOOR, _FLAT_FLOOR) if name in inside]
    return "\n".join([*said, f"one event changes the next list in {rows['changed']} of {TRIES} tries"])


if __name__ == "__main__":
    main()
