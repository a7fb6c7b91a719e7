import signal
from collections.abc import Iterator
from typing import Any

import pytest

from avrec_dag.demo.s3_server import S3Server, serving
from tests.browser import chromium, visiting
from tests.made_postgres import MISSING, Postgres, programs
from tests.made_postgres import serving as serving_postgres
from tests.made_service import serving as serving_library
from tests.small_library import Small, build

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[S3Server]:
    """A real S3 server (SeaweedFS) that lives as long as the test session."""
    with serving(tmp_path_factory.mktemp("s3"), keep=False) as server:
        yield server


@pytest.fixture
def s3_store(s3_server, monkeypatch) -> str:
    """A store on S3 of its own, with the environment that reaches it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_server.new_bucket()}/a store/内容"


@pytest.fixture(scope="session")
def small(tmp_path_factory, worker_id) -> Small:
    """A small library, materialised once for all test processes; copy it before changing it."""
    base = tmp_path_factory.getbasetemp()
    return build(base if worker_id == "master" else base.parent)


@pytest.fixture(scope="module")
def served(small, tmp_path_factory) -> Small:
    """A copy of the small library, which the tests of one file change."""
    return small.copy(tmp_path_factory.mktemp("served") / "library")


@pytest.fixture(scope="module")
def address(served) -> Iterator[str]:
    """Where the service answers from that copy."""
    with serving_library(served) as there:
        yield there


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture
def page(browser, address) -> Iterator[Any]:
    """A tab of somebody new on the watch page; nothing may be complained about, and nothing asked for elsewhere."""
    with visiting(browser, address) as (tab, complaints):
        tab.wait_for_selector("#list li")
        yield tab
        assert complaints == []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server that lives as long as the test session."""
    pytest.importorskip("psycopg2", reason="needs the extra postgres")
    if programs() is None:
        pytest.skip(MISSING)
    with serving_postgres() as server:
        yield server
