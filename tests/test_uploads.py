import os
from datetime import UTC, date, datetime

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from avrec_dag import synthetic
from avrec_dag.errors import MissingError, ReplacedError, SettingError
from avrec_dag.media.probe import probe
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.uploads import MediaSource, Upload, day_of
from avrec_dag.media.video import sample

ODD_NAMES = [
    "a b.mp4",
    'it\'s "quoted".mp4',
    "..mp4",
    "x..y/z.mp4",
    "你好/猫.mp4",
    "100%.mp4",
    "a:b?.mp4",
    "new\nline.mp4",
    "dt=2026-02-03/a.mp4",
]
START, TODAY = date(2026, 1, 1), date(2026, 6, 1)


def test_a_folder_is_listed_completely_sorted_and_without_hidden_files(tmp_path):
    for name in [*ODD_NAMES, ".hidden.mp4", ".git/a.mp4"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    listed = MediaSource(str(tmp_path)).list()
    assert [upload.key for upload in listed] == sorted(set(ODD_NAMES) - {"..mp4"})
    assert [upload.size_bytes for upload in listed] == [len(upload.key.encode()) for upload in listed]


def test_every_listed_upload_can_be_opened_by_its_key(tmp_path):
    source = MediaSource(tmp_path.as_uri())
    for name in ODD_NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for upload in source.list():
        with source.open(upload.key) as file:
            assert file.read() == upload.key.encode()


def test_the_etag_changes_when_the_file_does(tmp_path):
    source = MediaSource(str(tmp_path))
    (tmp_path / "a.mp4").write_bytes(b"1")
    os.utime(tmp_path / "a.mp4", ns=(0, 1_000))
    before = source.list()[0].etag
    (tmp_path / "a.mp4").write_bytes(b"2")
    assert source.list()[0].etag != before


def test_a_file_that_was_written_to_since_it_was_listed_is_refused_also_while_it_is_read(tmp_path):
    source, path = MediaSource(str(tmp_path)), tmp_path / "a.mp4"
    path.write_bytes(b"a" * 1_000_000)
    os.utime(path, ns=(0, 1_000))
    (listed,) = source.list()
    with source.open("a.mp4", listed.etag) as file:
        assert file.read(10) == b"a" * 10
        path.write_bytes(b"b" * 1_000_000)
        with pytest.raises(ReplacedError, match="was written to after it was listed"):
            file.read()
    with pytest.raises(ReplacedError, match="was written to after it was listed"):
        source.open("a.mp4", listed.etag)


@pytest.mark.parametrize("key", ["../secret.txt", "/etc/passwd", "sub/../../secret.txt", "link.mp4", "nowhere.mp4"])
def test_no_key_leads_out_of_the_library(tmp_path, key):
    library = tmp_path / "library"
    (library / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (library / "link.mp4").symlink_to(tmp_path / "secret.txt")
    source = MediaSource(str(library))
    assert source.list() == []
    with pytest.raises(MissingError, match="no such upload"):
        source.open(key)


def test_a_name_that_is_not_utf_8_is_listed_under_one_that_can_be_stored(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"1")
    source = MediaSource(str(tmp_path))
    (upload,) = source.list()
    assert upload.key.encode() == b"caf\\xe9.mp4"
    with pytest.raises(MissingError, match="UTF-8"):
        source.open(upload.key)


def test_a_missing_folder_is_a_setting_to_mend(tmp_path):
    with pytest.raises(SettingError, match="AVREC_MEDIA"):
        MediaSource(str(tmp_path / "nowhere")).list()


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", "us-east-1")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="films")
        yield client
    server.stop()


def test_a_bucket_is_listed_below_its_prefix_over_many_pages_and_read_in_ranges(s3):
    names = [f"n{i:04d}.mp4" for i in range(1005)]
    for name in ["猫 猫.mp4", *names]:
        s3.put_object(Bucket="films", Key=f"up/{name}", Body=name.encode())
    s3.put_object(Bucket="films", Key="elsewhere.mp4", Body=b"x")
    s3.put_object(Bucket="films", Key="up/folder/", Body=b"")
    source = MediaSource("s3://films/up")
    listed = source.list()
    assert [upload.key for upload in listed] == [*names, "猫 猫.mp4"]
    assert listed[0].dated and len(listed[0].etag) >= 32
    with source.open("猫 猫.mp4") as file:
        assert file.seek(-4, os.SEEK_END) == len("猫 猫.mp4".encode()) - 4
        assert file.read() == b".mp4"
        file.seek(0)
        assert file.read() == "猫 猫.mp4".encode()


def test_a_film_is_decoded_straight_from_a_bucket(s3, tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=1, duration_s=1.0, size=(96, 64))
    s3.put_object(Bucket="films", Key="in/a.mp4", Body=path.read_bytes())
    with MediaSource("s3://films/in/").open("a.mp4") as remote, path.open("rb") as local:
        assert probe(remote, "a.mp4") == probe(local, "a.mp4")
        assert [t for t, _ in sample(remote, Sampling(), 1.0)] == [t for t, _ in sample(local, Sampling(), 1.0)]


def test_what_s3_does_not_have_is_said(s3):
    with pytest.raises(MissingError, match="no such upload"):
        MediaSource("s3://films").open("nowhere.mp4")
    with pytest.raises(SettingError, match="cannot be listed"):
        MediaSource("s3://no-such-bucket").check()


def _upload(key: str, day: date, *, dated: bool) -> Upload:
    return Upload(key, 1, "e", datetime(day.year, day.month, day.day, tzinfo=UTC), dated)


@settings(deadline=None)
@given(
    key=st.text(min_size=1), day=st.dates(date(1990, 1, 1), date(2090, 1, 1)), dated=st.booleans(), known=st.none() | st.just("2026-03-03")
)
def test_every_upload_has_a_day_that_exists_and_keeps_it(key, day, dated, known):
    upload = _upload(key, day, dated=dated)
    found = day_of(upload, {key: known} if known else {}, TODAY, START)
    assert START <= date.fromisoformat(found) <= TODAY
    assert known is None or found == known
    assert day_of(upload, {key: found}, date(2027, 1, 1), START) == found


@pytest.mark.parametrize(
    ("key", "dated", "day"),
    [
        ("dt=2026-02-03/a.mp4", False, "2026-02-03"),
        ("x/dt=2026-02-03/y/a.mp4", True, "2026-02-03"),
        ("dt=2026-13-40/a.mp4", False, "2026-06-01"),
        ("dt=2020-01-01/a.mp4", True, "2026-01-01"),
        ("a.mp4", True, "2026-05-05"),
        ("a.mp4", False, "2026-06-01"),
    ],
)
def test_the_day_is_that_in_the_key_else_the_upload_time_of_s3_else_today(key, dated, day):
    assert day_of(_upload(key, date(2026, 5, 5), dated=dated), {}, TODAY, START) == day
