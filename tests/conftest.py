import signal
from collections.abc import Iterator

import pytest

from avrec_dag.demo.s3_server import S3Server, serving
from tests.made_postgres import MISSING, Postgres, programs
from tests.made_postgres import serving as serving_postgres
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server that lives as long as the test session."""
    pytest.importorskip("psycopg2", reason="needs the extra postgres")
    if programs() is None:
        pytest.skip(MISSING)
    with serving_postgres() as server:
        yield server
