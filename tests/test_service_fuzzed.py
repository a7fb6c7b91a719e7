"""The service against its own description (schemathesis), over real HTTP."""

from collections.abc import Iterator

import httpx
import pytest

from avrec_dag.serving.app import create_app
from bench.fuzz_service import fuzz
from tests.made_service import in_a_thread
from tests.small_library import Small

SLOW = {"search_by_file"}
"""Decodes in processes that take seconds to start; `python bench/fuzz_service.py` has it, too."""


@pytest.fixture
def library(small, tmp_path) -> Small:
    return small.copy(tmp_path / "library")


@pytest.fixture
def address(library) -> Iterator[str]:
    log = library.log
    with in_a_thread(create_app(library.ledger, library.blobs, library.source, log)) as there:
        yield there
    log.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of schemathesis and what it brings
def test_a_few_requests_of_every_operation_are_answered_as_described(library, address):
    ids = library.ledger.rows("raw_media", None, [])["media_id"].to_pylist()
    done = fuzz(address, 60, 1, ids, ["person 1"], without=SLOW)

    described = httpx.get(f"{address}/openapi.json").json()["paths"].values()
    assert done.failures == [] and done.failed == done.unanswered == done.server_errors == 0
    assert {name for name, _ in done.answers} == {one["operationId"] for methods in described for one in methods.values()} - SLOW


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of schemathesis and what it brings
def test_no_request_made_from_the_description_is_answered_with_a_failure_or_other_than_it_says(library, address):
    ids = library.ledger.rows("raw_media", None, [])["media_id"].to_pylist()
    done = fuzz(address, 200, 1, ids, ["person 1", "person 2"], without=SLOW)

    assert done.failures == [] and done.failed == done.unanswered == done.server_errors == 0
    assert done.cases > 120 and len({status for _, status in done.answers}) > 4
