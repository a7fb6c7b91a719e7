"""What S3 is asked, against a real server (SeaweedFS); moto only for what that has not: the keys of AWS KMS."""

import io
import os
import threading
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from avrec_dag import s3
from avrec_dag.engine.base import attempt
from avrec_dag.errors import MissingError, ReplacedError, SettingError, UnreachableError
from avrec_dag.items import Item, Row
from avrec_dag.ledger import Ledger
from avrec_dag.media.uploads import MediaSource
from avrec_dag.s3 import Access, S3File, objects
from avrec_dag.storage import Blobs, check
from tests.s3_proxy import Proxy, certificate


@pytest.fixture
def root(s3_store) -> str:
    """`bucket/prefix` on the real server."""
    return s3_store.removeprefix("s3://")


@pytest.fixture
def proxy(s3_server, monkeypatch) -> Iterator[Proxy]:
    made = Proxy(s3_server.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
    yield made
    made.close()


class Asked:
    """What this process's client sends, seen just before it is signed."""

    def __init__(self, operation: str = "*") -> None:
        self.headers: list[dict[str, str]] = []
        self.urls: list[str] = []
        s3.client().meta.events.register_last(f"before-sign.s3.{operation}", self._note)

    def _note(self, request, **_) -> None:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.urls.append(request.url)


@pytest.fixture(autouse=True)
def fresh_clients():
    """Nothing that a test hangs onto a client outlives it."""
    yield
    s3.access._client.cache_clear()
    s3.conditions._probe.cache_clear()


def read(path: str, etag: str | None = None) -> bytes:
    with io.BufferedReader(S3File(path, etag)) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, s3.BLOCK_BYTES, s3.BLOCK_BYTES + 1, 5 * s3.BLOCK_BYTES + 17])
def test_an_object_is_read_back_whole_and_in_pieces(root, size):
    data = os.urandom(size)
    s3.put(f"{root}/x", data)
    assert read(f"{root}/x") == data
    with io.BufferedReader(S3File(f"{root}/x"), 4096) as file:
        for at in (size - 3, size // 2, 0, size + 10):
            file.seek(max(0, at))
            assert file.read(1000) == data[max(0, at) : max(0, at) + 1000]


def test_a_small_object_is_one_request_and_a_large_one_takes_fewer_the_longer_it_is_read(root):
    s3.put(f"{root}/small", os.urandom(100_000))
    s3.put(f"{root}/large", os.urandom(24 * s3.BLOCK_BYTES))
    asked = Asked()
    read(f"{root}/small")
    assert len(asked.urls) == 1
    read(f"{root}/large")
    assert len(asked.urls) == 1 + 6  # 1, 2, 4, 8, 8 and 1 blocks


def test_jumping_between_sound_and_picture_fetches_nothing_twice(root):
    s3.put(f"{root}/x", os.urandom(12 * s3.BLOCK_BYTES))
    with S3File(f"{root}/x") as file:
        asked = Asked()
        for turn in range(200):
            file.seek((turn % 2) * 6 * s3.BLOCK_BYTES + turn * 100)
            file.readinto(bytearray(100))
    assert len(asked.urls) == 1


def test_a_large_write_goes_in_parts_and_leaves_none_behind_when_it_fails(root, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    data = os.urandom((12 << 20) + 7)
    s3.put(f"{root}/x", memoryview(data), new=True)
    assert read(f"{root}/x") == data
    with pytest.raises(FileExistsError, match="something else"):
        s3.put(f"{root}/x", data[::-1], new=True)
    assert read(f"{root}/x") == data
    assert not s3.client().list_multipart_uploads(Bucket=root.partition("/")[0]).get("Uploads")


def test_a_new_object_never_overwrites_and_a_lost_answer_is_no_failure(root):
    s3.put(f"{root}/x", b"one", new=True)
    s3.put(f"{root}/x", b"one", new=True)  # as a retry whose first attempt did arrive
    with pytest.raises(FileExistsError):
        s3.put(f"{root}/x", b"two", new=True)
    assert read(f"{root}/x") == b"one"


def test_another_version_than_the_listed_one_is_refused_in_a_sentence(root):
    s3.put(f"{root}/a.mp4", b"first")
    source = MediaSource(f"s3://{root}")
    (listed,) = source.list()
    assert source.open("a.mp4", listed.etag).read() == b"first"
    s3.put(f"{root}/a.mp4", b"other")
    with pytest.raises(ReplacedError, match="was replaced after it was listed"):
        source.open("a.mp4", listed.etag)


def test_an_object_replaced_while_it_is_read_never_gives_a_mixture(root):
    s3.put(f"{root}/x", b"a" * 3_000_000)
    with S3File(f"{root}/x", name="x") as file:
        file.readinto(bytearray(10))
        s3.put(f"{root}/x", b"b" * 3_000_000)
        with pytest.raises(ReplacedError, match="was replaced"):
            file.readall()


def test_in_a_bucket_with_versions_reading_goes_on_with_the_one_that_was_opened(root):
    s3.client().put_bucket_versioning(Bucket=root.partition("/")[0], VersioningConfiguration={"Status": "Enabled"})
    s3.put(f"{root}/x", b"a" * 3_000_000)
    with S3File(f"{root}/x") as file:
        s3.put(f"{root}/x", b"b" * 3_000_000)
        assert file.readall() == b"a" * 3_000_000
    s3.delete(f"{root}/x")
    with pytest.raises(MissingError):
        S3File(f"{root}/x")


def test_a_store_that_honours_conditions_passes_and_is_left_as_it_was(root, s3_store):
    check(s3_store)
    bucket = root.partition("/")[0]
    assert "Contents" not in s3.client().list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(("operation", "header"), [("PutObject", "If-None-Match"), ("GetObject", "If-Match")])
def test_a_store_that_ignores_a_condition_is_refused_in_a_sentence(root, s3_store, operation, header):
    def ignore(params, **_) -> None:
        params["headers"].pop(header, None)

    # A store that ignores a header answers as one that never got it.
    s3.client().meta.events.register(f"before-call.s3.{operation}", ignore)
    with pytest.raises(SettingError, match=f"ignores {header}: "):
        check(s3_store)


def test_bodies_that_break_off_are_asked_for_again(root, proxy):
    data = os.urandom(3_000_000)
    s3.put(f"{root}/x", data)
    proxy.break_after = [900, 900]
    assert read(f"{root}/x") == data
    assert proxy.break_after == []


@pytest.mark.parametrize("fault", [{"refuse": 1_000}, {"status": 500}, {"status": 503}])
def test_when_nothing_answers_no_item_is_blamed(root, proxy, monkeypatch, fault):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AVREC_S3_PATIENCE_S", "0")
    proxy.set(**fault)

    def task(items):
        return [S3File(f"{root}/x") for _ in items]

    for fails in (
        lambda: s3.put(f"{root}/x", b"1"),
        lambda: s3.delete(f"{root}/x"),
        lambda: attempt(task, [Item("a", "1", "all")]),
        lambda: Ledger(f"s3://{root}").rows("frames"),
        lambda: Blobs(f"s3://{root}").exists("x"),
    ):
        with pytest.raises(UnreachableError, match="nothing is lost, the next run goes on from here"):
            fails()


def test_requests_are_tried_again_until_the_server_is_back(root, proxy):
    s3.access._client.cache_clear()  # a client keeps its connections
    proxy.refuse = 2
    s3.put(f"{root}/x", b"1")
    assert (read(f"{root}/x"), proxy.refuse) == (b"1", 0)


@pytest.mark.parametrize("fault", [{"refuse": 1_000}, {"status": 500}])
def test_work_under_way_waits_for_s3_to_come_back(root, proxy, monkeypatch, fault, caplog):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # the client's own retries would be over by then anyway
    monkeypatch.setattr(s3.patience, "_FIRST_S", 0.1)
    ledger, blobs = Ledger(f"s3://{root}"), Blobs(f"s3://{root}")
    path = blobs.put("frames", "k", "v", "x", b"1")
    for work in (
        lambda: ledger.append("frames", "2026-01-01", [Row("a", "1")]),
        lambda: blobs.get(path) == b"1" or pytest.fail("other bytes"),
        lambda: ledger.rows("frames").num_rows == 1 or pytest.fail("other rows"),
        lambda: MediaSource(f"s3://{root}").list(),
    ):
        proxy.set(**fault)
        back = threading.Timer(0.2, proxy.set)
        back.start()
        work()
        assert not back.is_alive(), "it was done before S3 was back"
    assert "does not answer" in caplog.text
    proxy.set(**fault)
    with s3.at_once(), pytest.raises(UnreachableError):
        ledger.rows("frames")


def test_a_refusal_is_not_waited_for(root, monkeypatch):
    monkeypatch.setattr(s3.patience.time, "sleep", lambda _: pytest.fail("waited"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    s3.access._client.cache_clear()
    with pytest.raises(OSError, match="InvalidAccessKeyId"):
        s3.put(f"{root}/x", b"1")


def test_what_is_not_there_is_not_waited_for(root, monkeypatch):
    monkeypatch.setattr(s3.patience.time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(MissingError):
        S3File(f"{root}/missing")


def test_tls_with_an_authority_of_ones_own(s3_server, s3_store, tmp_path, monkeypatch):
    context, authority = certificate(tmp_path)
    proxy = Proxy(s3_server.endpoint, context)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SettingError, match="does not answer"):
        check(s3_store)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    check(s3_store)
    blobs = Blobs(s3_store)
    assert blobs.get(blobs.put("frames", "k", "v", "x", b"1")) == b"1"
    assert Ledger(s3_store).partitions("frames") == []
    proxy.close()


def test_writes_ask_for_encryption_and_every_request_to_pay(root, monkeypatch):
    monkeypatch.setenv("AVREC_S3_ENCRYPTION", "AES256")
    monkeypatch.setenv("AVREC_S3_REQUESTER_PAYS", "1")
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    asked = Asked()
    s3.put(f"{root}/x", b"1")
    s3.put(f"{root}/y", os.urandom(6 << 20))
    assert read(f"{root}/x") == b"1"
    MediaSource(f"s3://{root}").list()
    s3.delete(f"{root}/x")
    encrypted = [headers.get("x-amz-server-side-encryption") for headers in asked.headers]
    assert encrypted == ["AES256", "AES256", *[None] * (len(encrypted) - 2)]
    assert {headers.get("x-amz-request-payer") for headers in asked.headers} == {"requester"}


def test_the_key_of_kms_is_named_and_kept(monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AVREC_S3_ENCRYPTION", "aws:kms:alias/films")
    s3.client().create_bucket(Bucket="films")
    s3.put("films/x", b"1")
    head = s3.client().head_object(Bucket="films", Key="x")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/films")
    server.stop()


@pytest.mark.parametrize(("addressing", "host"), [("auto", "127.0.0.1"), ("path", "127.0.0.1"), ("virtual", "films.s3.test")])
def test_the_bucket_is_addressed_as_asked(monkeypatch, addressing, host):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.test:9" if addressing == "virtual" else "http://127.0.0.1:9")
    monkeypatch.setenv("AVREC_S3_ADDRESSING", addressing)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    url = s3.client().generate_presigned_url("get_object", Params={"Bucket": "films", "Key": "k"})
    assert url.startswith(f"http://{host}:9/{'k' if addressing == 'virtual' else 'films/k'}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AVREC_S3_ADDRESSING", "dns"),
        ("AVREC_S3_ENCRYPTION", "rot13"),
        ("AVREC_S3_ENCRYPTION", "kms"),
        ("AVREC_S3_REQUESTER_PAYS", "maybe"),
        ("AVREC_S3_PATIENCE_S", "a minute"),
        ("AVREC_S3_PATIENCE_S", "nan"),
        ("AVREC_S3_PATIENCE_S", "-1"),
    ],
)
def test_a_wrong_setting_is_one_sentence(name, value):
    with pytest.raises(SettingError, match=f"{name} is '{value}', expected "):
        Access.read({name: value})


def test_settings_are_read_as_written():
    env = {"AVREC_S3_ADDRESSING": "Virtual", "AVREC_S3_ENCRYPTION": "aws:kms:arn:aws:kms:eu-1:1:key/2", "AVREC_S3_REQUESTER_PAYS": "yes"}
    access = Access.read(env | {"AVREC_S3_PATIENCE_S": "7.5"})
    assert access == Access("virtual", "aws:kms:arn:aws:kms:eu-1:1:key/2", True, 7.5)
    assert access.writes == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-1:1:key/2"}
    assert (Access.read({}).asks, Access.read({}).writes) == ({}, {})
