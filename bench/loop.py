"""Follow one event from a click over HTTP to the next list, to its day in the tables, to tomorrow's model and the list that this makes.

    python bench/loop.py

The real commands on a small made library (14 clips, 8 people) in a folder of its own: `avrec materialize` builds it, `avrec serve` runs
from the first list to the last, and `avrec materialize` between them collects the day and fits the models anew, as the nightly
schedules do. Each hop prints its versions; the command ends with 1 where a hop does not know what the one before it did.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from avrec_dag.experiments.impressions import Impression, ImpressionLog
from tests.made_service import serving
from tests.small_library import Small, build

WHO, NAME, K, WITHIN_S = "somebody new", "loop", 5, 60.0
TRIAL = json.dumps({"name": NAME, "arms": [{"name": "usual", "share": 1}]})


def main() -> None:
    """Run it and print every hop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, help="a folder in which `tests.small_library.build` made one, to copy it instead")
    parser.add_argument("--json", action="store_true", help="the hops as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avrec-loop-") as folder:
        small = build(asked.library or Path(folder)).copy(Path(folder) / "library")
        hops = []
        for hop in followed(small):
            hops.append(hop)
            if not asked.json:
                print(f"{'ok  ' if hop['ok'] else 'FAIL'} {hop['hop']}: {hop['told']} ({hop['seconds']:.3f} s)", flush=True)
    if asked.json:
        print(json.dumps(hops, ensure_ascii=False, indent=2))
    sys.exit(not all(hop["ok"] for hop in hops))


def followed(small: Small) -> Iterator[dict[str, object]]:
    """Every hop: what it is, what it tells, seconds, and whether it knows the one before."""
    with serving(small, AVREC_EXPERIMENT=TRIAL) as address:
        listed(address)  # the first answer loads the library
        took, first = listed(address)
        before = shown(small, first)
        yield hop("a list", took, bool(first[1]), f"{first[1][0]} stands first of {len(first[1])}; {versions(before)}")

        event_id = f"loop-{time.time_ns()}"
        event = {
            "user_id": WHO,
            "media_id": first[1][0],
            "kind": "like",
            "event_id": event_id,
            "happened_at": datetime.now(UTC).isoformat(),
        }
        took, kept = timed(f"{address}v1/feedback", json.dumps({"events": [event]}).encode())
        yield hop("a click over HTTP", took, kept["added"] == 1, f"{event_id}, a like of {event['media_id']}, is on disk")

        took, at_once = listed(address)
        then = shown(small, at_once)
        knows = event["media_id"] not in at_once[1] and at_once[1] != first[1][1:]
        same = then.versions["model"] == before.versions["model"]
        yield hop("the next list", took, knows and same, f"{at_once[1][0]} stands first, what was liked is gone; {versions(then)}")

        began = time.perf_counter()
        done = materialized(small)
        took = time.perf_counter() - began
        row = small.ledger.row("feedback_events", event_id)
        facts = ("partition", "kind", "weight", "version")
        told = ", ".join(f"{name} {row[name]}" for name in facts) if row else "it is not there"
        yield hop("feedback_events of that day", took, row is not None and done.returncode in {0, 1}, told)

        history, model = small.ledger.row("interactions", WHO) or {}, small.ledger.row("recommender", "recommender") or {}
        learned = event["media_id"] in history.get("media_ids", ()) and model.get("version") != before.versions["model"]
        told = f"interactions of {WHO!r}, version {history.get('version')}; model {model.get('version')}, {model.get('trained_at')}"
        yield hop("tomorrow's model", 0.0, learned, told)

        began, after = time.perf_counter(), then
        while after.versions["model"] != model.get("version") and time.perf_counter() - began < WITHIN_S:
            time.sleep(0.5)
            _, tomorrow = listed(address)
            after = shown(small, tomorrow)
        good = after.versions["model"] == model.get("version") and event["media_id"] not in after.shown
        told = f"{after.shown[0]} stands first, the service was not restarted; {versions(after)}"
        yield hop("the list of the new model", time.perf_counter() - began, good, told)


def materialized(small: Small) -> subprocess.CompletedProcess[bytes]:
    """The real command; on a machine that is busy it takes minutes."""
    command = [str(Path(sys.executable).with_name("avrec")), "materialize", "--json"]
    return subprocess.run(command, env={**os.environ, **small.env}, cwd=small.folder, capture_output=True, timeout=1800, check=False)


def hop(name: str, seconds: float, ok: bool, told: str) -> dict[str, object]:
    return {"hop": name, "ok": ok, "told": told, "seconds": round(seconds, 3)}


def timed(address: str, body: bytes | None = None) -> tuple[float, dict]:
    began = time.perf_counter()
    with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=120) as answer:
        told = json.load(answer)
    return time.perf_counter() - began, told


def listed(address: str) -> tuple[float, tuple[str, list[str]]]:
    """Seconds; the impression and the items of the person's list."""
    began = time.perf_counter()
    with urlopen(f"{address}v1/recommendations/{quote(WHO)}?k={K}", timeout=120) as answer:
        told, impression = json.load(answer), answer.headers["Avrec-Impression"]
    return time.perf_counter() - began, (impression, [one["media_id"] for one in told])


def shown(small: Small, answer: tuple[str, list[str]]) -> Impression:
    """The impression of an answer, which is written just behind it."""
    log, deadline = ImpressionLog(small.env["AVREC_FEEDBACK"]), time.monotonic() + WITHIN_S
    try:
        while time.monotonic() < deadline:
            for one in log.impressions(NAME):
                if one.impression_id == answer[0]:
                    return one
            time.sleep(0.1)
    finally:
        log.close()
    raise SystemExit(f"the impression {answer[0]} was not logged within {WITHIN_S:.0f} s")


def versions(one: Impression) -> str:
    return ", ".join(f"{part} {one.versions[part]}" for part in ("model", "index", "features", "interactions"))


if __name__ == "__main__":
    main()
