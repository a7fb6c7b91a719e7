"""Throw requests made from the service's own description (schemathesis) at the running service: no answer may be a 5xx, none undescribed.

    python bench/fuzz_service.py --cases 20000 --seed 0

Half of the cases fit the description, half break it somewhere, where that can be; half name a real item and a real person. Every answer is
held to the description: its status, its type, its headers, its schema.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SHARES = {"forget": 0.1, "search_by_file": 0.3}
"""Operation -> how many cases it gets for one of another: these take long each."""
_GIVEN = {"parameters", "requestBody"}


@dataclass
class Fuzzed:
    """What came of it.

    Attributes:
        answers: (operation, status) -> how many.
        seconds: Operation -> what its cases took, making them included.
        failures: What was wrong with an answer, at most 50, with the request as a curl command.
        failed: Cases with something wrong.
        unanswered: Requests that got no answer at all.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    unanswered: int = 0

    @property
    def cases(self) -> int:
        """Requests that were sent."""
        return self.answers.total() + self.unanswered

    @property
    def server_errors(self) -> int:
        """Answers of 500 and above."""
        return sum(n for (_, status), n in self.answers.items() if status >= 500)


def fuzz(
    address: str, cases: int, seed: int, media_ids: Sequence[str], user_ids: Sequence[str], *, without: Collection[str] = ()
) -> Fuzzed:
    """Send about so many cases to the service at an address, every operation in turn, without those named."""
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{address}/openapi.json", wait_for_schema=60)
    found = [one.ok() for one in schema.get_all_operations()]
    operations = [one for one in found if one.definition.raw["operationId"] not in without]
    known = {"media_id": media_ids, "user_id": user_ids, "happened_at": ["2026-02-03T10:00:00Z"]}
    plain, rich = ([one for one in operations if bool(one.definition.raw.keys() & _GIVEN) == given] for given in (False, True))
    done = Fuzzed()
    for place, operation in enumerate(plain):  # nothing of these can be varied
        _one(operation, 4, seed + place, known, done)
    left, weights = cases - done.cases, [SHARES.get(one.definition.raw["operationId"], 1.0) for one in rich]
    for place, (operation, weight) in enumerate(zip(rich, weights, strict=True)):
        _one(operation, max(2, round(left * weight / sum(weights))), seed + len(plain) + place, known, done)
    return done


def _one(operation: Any, cases: int, seed: int, known: dict[str, Sequence[str]], done: Fuzzed) -> None:
    import hypothesis
    import requests
    from hypothesis import strategies as st
    from hypothesis.errors import NonInteractiveExampleWarning
    from schemathesis import GenerationMode

    warnings.simplefilter("ignore", NonInteractiveExampleWarning)
    session = requests.Session()
    held = 0
    # Of some operations little or nothing can be broken: what is missing then fits the description.
    for turn, mode in enumerate((GenerationMode.POSITIVE, GenerationMode.NEGATIVE, GenerationMode.POSITIVE)):
        if mode is GenerationMode.NEGATIVE and not _breakable(operation.definition.raw):
            continue
        wanted = (cases + 1) // 2 if turn == 0 else cases - held
        if wanted <= 0:
            break
        real = {name: st.one_of(st.none(), st.sampled_from(list(ids))) for name, ids in known.items()}

        @hypothesis.seed(seed + 1000 * turn)
        @hypothesis.settings(
            max_examples=wanted,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(mode), chosen=st.fixed_dictionaries(real))
        def send(case: Any, chosen: dict[str, str | None]) -> None:
            for name, one in chosen.items():
                if one is not None:
                    _put(case, name, one)
            _judge(case, session, done)

        before, begun = done.cases, time.monotonic()
        with suppress(hypothesis.errors.Unsatisfiable):  # nothing of this operation can be broken
            send()
        held += done.cases - before
        done.seconds[operation.definition.raw["operationId"]] += time.monotonic() - begun
    session.close()


def _breakable(described: dict[str, Any]) -> bool:
    """Whether something of a request can be other than described; an id or a header may be any text, and to look for none takes seconds."""
    return "requestBody" in described or any(one["in"] == "query" for one in described.get("parameters", ()))


def _put(case: Any, name: str, one: str) -> None:
    for container, key in ((case.path_parameters, name), (case.query, name), (case.query, name.removesuffix("_id"))):
        if isinstance(container, dict) and key in container:
            container[key] = one
    for part in (case.body, *_events(case.body)):
        if isinstance(part, dict) and name in part:
            part[name] = one


def _events(body: Any) -> list[Any]:
    events = body.get("events") if isinstance(body, dict) else None
    return events if isinstance(events, list) else []


def _judge(case: Any, session: Any, done: Fuzzed) -> None:
    import requests
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi import checks

    held_to = [
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]  # fmt: skip
    try:
        answer = case.call(session=session, timeout=60)
    except requests.RequestException as error:
        done.unanswered += 1
        done.failures.append(f"{case.method} {case.path}: no answer ({error})")
        return
    done.answers[case.operation.definition.raw["operationId"], answer.status_code] += 1
    try:
        case.validate_response(answer, checks=held_to)
    except FailureGroup as group:
        done.failed += 1
        if len(done.failures) < 50:
            done.failures.append(
                f"{case.as_curl_command()[:600]}\n    {answer.status_code}: {[str(one)[:600] for one in group.exceptions]}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--library", type=Path, help="folder of a small library (tests/small_library.py) to copy, in place of making one")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    from importlib.metadata import version

    from tests.made_service import serving
    from tests.small_library import Small, build

    folder = Path(tempfile.mkdtemp(prefix="avrec-fuzz-"))
    try:
        made = Small(asked.library / "small-library", asked.library / "avrec-cache") if asked.library else build(folder)
        library = made.copy(folder / "fuzzed")
        ids = library.ledger.rows("raw_media", None, [])["media_id"].to_pylist()
        begun = time.monotonic()
        with serving(library, AVREC_KEYS=str(library.folder / "keys.db")) as address:
            done = fuzz(address.rstrip("/"), asked.cases, asked.seed, ids, [f"person {n}" for n in range(8)])
        by_status = Counter[int]()
        for (_, status), n in done.answers.items():
            by_status[status] += n
        told = {
            "cases": done.cases,
            "server_errors": done.server_errors,
            "undescribed": done.failed,
            "unanswered": done.unanswered,
            "by_status": dict(sorted(by_status.items())),
            "seconds": round(time.monotonic() - begun, 1),
            "seed": asked.seed,
            "versions": {name: version(name) for name in ("schemathesis", "hypothesis", "fastapi", "uvicorn")},
        }
        if asked.json:
            print(json.dumps({**told, "failures": done.failures}, indent=2))
            return
        names = sorted({name for name, _ in done.answers})
        statuses = sorted(by_status)
        print("| operation | " + " | ".join(map(str, statuses)) + " | ms a case |\n|---|" + "---|" * (len(statuses) + 1))
        for name in names:
            n = sum(done.answers[name, status] for status in statuses)
            row = [str(done.answers[name, status] or "") for status in statuses]
            print(f"| {name} | {' | '.join(row)} | {done.seconds[name] / n * 1000:.0f} |")
        print("\n".join(done.failures))
        print(json.dumps(told))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
