import io
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from avrec_dag.engine import Inline
from avrec_dag.errors import SettingError, UnreachableError
from avrec_dag.items import Item
from avrec_dag.storage import Blobs, check, filesystem, write


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    return str(tmp_path / "a store" / "内容") if request.param == "folder" else request.getfixturevalue("s3_store")


def test_a_blob_is_read_back_as_it_was_put(store):
    blobs = Blobs(store)
    data = os.urandom(100_000)
    path = blobs.put("frames", "dt=2026-01-01/../猫 'quoted'.mp4", "v1", "sheet.jpg", data)
    assert path.startswith("blobs/frames/")
    assert path.endswith("/v1/sheet.jpg")
    assert blobs.get(path) == data
    assert blobs.exists(path)
    assert not blobs.exists(path + "x")


def test_a_key_never_becomes_part_of_a_path(store):
    prefix = Blobs(store).prefix("frames", "../../etc/passwd", "v1")
    assert ".." not in prefix
    assert len(prefix.split("/")) == 4


def test_an_opened_blob_can_be_sought_as_a_zip_archive_needs(store):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("0001.jpg", b"x" * 50_000)
    blobs = Blobs(store)
    path = blobs.put("frames", "k", "v", "frames.zip", buffer.getvalue())
    with blobs.open(path) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("0001.jpg") == b"x" * 50_000


def test_a_blob_that_was_never_stored_is_not_found(store):
    with pytest.raises(FileNotFoundError):
        Blobs(store).open("blobs/frames/none/v/x")


def test_putting_a_blob_again_replaces_it(store):
    blobs = Blobs(store)
    blobs.put("frames", "k", "v", "x", b"first")
    assert blobs.get(blobs.put("frames", "k", "v", "x", b"second")) == b"second"


def test_a_large_blob_is_stored_whole(store):
    data = os.urandom(12_000_000)  # more than one part of a multipart upload
    blobs = Blobs(store)
    assert blobs.get(blobs.put("frames", "k", "v", "large", data)) == data


def test_a_store_that_can_be_reached_passes_the_check(store):
    check(store)
    fs, root = filesystem(store)
    write(fs, f"{root}/x", b"1")
    assert fs.open_input_file(f"{root}/x").read() == b"1"


def test_a_blob_in_a_folder_is_a_local_file_and_on_s3_is_not(tmp_path, s3_store):
    folder = Blobs(str(tmp_path))
    path = folder.put("frames", "k", "v", "x", b"1")
    assert folder.local(path).read_bytes() == b"1"
    assert Blobs(s3_store).local(path) is None


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    fs, root = filesystem(str(tmp_path))
    with pytest.raises(TypeError):
        write(fs, f"{root}/x", "text")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full_disk(tmp_path):
    """A real disk of 64 kB, which needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_no_items_fault_and_leaves_nothing_behind(full_disk):
    blobs = Blobs(str(full_disk))
    kept = blobs.put("frames", "before", "v", "x", b"kept")

    def task(items):
        return [item.done({}, {"blob": blobs.put("frames", item.key, "v", "x", bytes(100_000))}) for item in items]

    with pytest.raises(UnreachableError, match=r"the disk is full .*; free some of it, then the next run goes on from here"):
        list(Inline().run(task, [[Item("a", "v", "all"), Item("b", "v", "all")]]))
    assert [path.read_bytes() for path in full_disk.rglob("*") if path.is_file()] == [b"kept"]
    assert blobs.get(kept) == b"kept"


def test_a_file_uri_names_the_same_folder_as_its_path(tmp_path):
    folder = tmp_path / "a b"
    assert filesystem(folder.as_uri())[1] == filesystem(str(folder))[1] == str(folder)


def test_a_home_relative_folder_is_expanded():
    assert filesystem("~/store")[1] == str(Path.home() / "store")


@pytest.mark.parametrize("uri", ["gs://bucket", "s3://", "http://x/y", ""])
def test_a_store_of_another_kind_is_a_setting_error(uri):
    with pytest.raises(SettingError, match="AVREC_STORE"):
        filesystem(uri)


def test_a_bucket_that_does_not_exist_is_a_setting_error(s3_store):
    with pytest.raises(SettingError, match="no bucket"):
        check("s3://absent-bucket/x")


def test_an_endpoint_where_nothing_listens_is_a_setting_error(s3_store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SettingError, match="AWS_ENDPOINT_URL"):
        check(s3_store)


def test_wrong_credentials_are_a_setting_error(s3_store, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(SettingError, match="does not answer"):
        check(s3_store)


def test_a_folder_that_cannot_be_made_is_a_setting_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingError, match="cannot be created"):
        check(str(tmp_path / "file" / "store"))
