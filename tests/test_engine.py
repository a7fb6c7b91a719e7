import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from avrec_dag import synthetic
from avrec_dag.engine import Inline, Local, OnRay, attempt, engine
from avrec_dag.engine.worker import Worker
from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.incremental import advance
from avrec_dag.items import Item
from avrec_dag.ledger import Counts, Ledger
from avrec_dag.limits import Limits
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.ingest import ProbeUploads, plan_uploads
from avrec_dag.media.spectrograms import Listen
from avrec_dag.media.uploads import MediaSource
from avrec_dag.steps import Recipe, graph
from tests.made_graph import Compute, thirty
from tests.made_tasks import Forgetful, KilledOnce, Unhurried, WhoAmI, batches
from tests.waiting import until

KEYS = [f"k{i:02}" for i in range(30)]
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def local():
    with closing(Local(2)) as running:
        yield running


def results(running, task, keys=KEYS):
    return sorted((row for rows in running.run(task, batches(keys)) for row in rows), key=lambda row: row.key)


def test_every_item_is_computed_once_by_workers_that_keep_their_models_and_one_thread(local):
    first, second = results(local, WhoAmI()), results(local, WhoAmI())
    assert [row.key for row in first] == [row.key for row in second] == KEYS
    processes = {row.values["n_frames"] for row in (*first, *second)}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert {(row.values["width"], row.values["method"]) for row in second} == {(1, "1")}
    assert "OMP_NUM_THREADS" not in os.environ or os.environ["OMP_NUM_THREADS"] != "1"


def test_an_item_that_kills_its_worker_costs_itself_alone(local):
    rows = results(local, Compute("frames", "1", kills="k13"))
    assert [row.key for row in rows] == KEYS
    assert [(row.key, row.permanent) for row in rows if row.error] == [("k13", False)]
    assert "worker process died" in rows[13].error
    assert all(row.error is None for row in results(local, WhoAmI()))


@pytest.mark.parametrize("size", [1, 4])
def test_a_worker_killed_from_outside_costs_no_item(local, tmp_path, size):
    rows = [row for rows in local.run(KilledOnce(str(tmp_path)), batches(KEYS[:8], size)) for row in rows]
    assert sorted(row.key for row in rows) == KEYS[:8]
    assert [row.error for row in rows if row.error] == []
    assert (tmp_path / "killed").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_killed_while_it_starts_is_started_again_once(monkeypatch, times):
    taken, killed = Worker(0, Limits()), set()
    begin = ProcessPoolExecutor.submit

    def submit(pool, *work):
        future = begin(pool, *work)
        (pid,) = pool._processes
        if len(killed) < times:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    with closing(taken):
        if times == 1:
            assert [row.error for row in taken.rows(WhoAmI(), batches(["a"])[0])] == [None]
        else:
            with pytest.raises(AvrecError, match="killed while they start"):
                taken.rows(WhoAmI(), batches(["a"])[0])
    assert len(killed) == times


def test_batches_are_taken_only_as_fast_as_they_are_computed(local):
    taken = []

    def endless():
        for number in range(1000):
            taken.append(number)
            yield [Item(f"{number}", "v", "all")]

    stream = local.run(WhoAmI(), endless())
    for _ in range(3):
        next(stream)
    assert len(taken) <= 3 + 2 * local.workers
    stream.close()


def test_a_task_that_cannot_be_sent_to_a_worker_is_an_error_and_no_failed_row(local):
    with pytest.raises((AttributeError, pickle.PicklingError)):
        list(local.run(lambda _: [], batches(KEYS)))


def test_an_item_that_a_task_leaves_out_becomes_a_failed_row():
    rows = attempt(Forgetful("k01"), batches(KEYS[:3])[0])
    assert [(row.key, row.error is None) for row in rows] == [("k00", True), ("k01", False), ("k02", True)]
    assert "one row per item" in rows[1].error


@pytest.mark.parametrize(("n_items", "n_batches"), [(1, 1), (8, 8), (40, 8), (300, 19)])
def test_a_day_is_cut_into_batches_for_every_worker(tmp_path, local, n_items, n_batches):
    ledger = Ledger(str(tmp_path))
    plan = ledger.wanted("frames", "all", {f"k{i:03}": "1" for i in range(n_items)})
    sent = []
    running = Watched(local, sent)
    outcome = advance(ledger, running, graph(Recipe("f", "a", "e", "t", "s"))["frames"], "all", WhoAmI(), plan=plan)
    assert (outcome.rows, len(sent), max(sent) <= 16) == (n_items, n_batches, True)


class Watched:
    """Another engine, and how many items each of its batches had."""

    def __init__(self, engine, sent):
        self.engine, self.sent, self.workers = engine, sent, engine.workers

    def run(self, task, batches):
        return self.engine.run(task, (self.sent.append(len(batch)) or batch for batch in batches))

    def close(self):
        self.engine.close()


def test_a_small_day_is_computed_by_both_workers(tmp_path, local):
    ledger = Ledger(str(tmp_path))
    plan = ledger.wanted("frames", "all", {f"k{i}": "1" for i in range(8)})
    advance(ledger, local, graph(Recipe("f", "a", "e", "t", "s"))["frames"], "all", Unhurried(), plan=plan)
    assert len(set(ledger.rows("frames")["n_frames"].to_pylist())) == 2


def test_closing_stops_the_workers_and_the_next_batch_starts_new_ones():
    with closing(Local(1)) as running:
        (before,) = {row.values["n_frames"] for row in results(running, WhoAmI())}
        running.close()
        (after,) = {row.values["n_frames"] for row in results(running, WhoAmI())}
    assert before != after
    for process in (before, after):
        assert not alive(process)


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"


PARENT = """
import sys
from avrec_dag.engine import Local
from tests.made_tasks import Slow, batches

if __name__ == "__main__":
    list(Local(2).run(Slow(sys.argv[1]), batches([str(i) for i in range(20)])))
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, -signal.SIGINT)])
def test_no_worker_outlives_a_parent_that_is_killed_or_interrupted(tmp_path, sent, code):
    script, started = tmp_path / "parent.py", tmp_path / "started"
    script.write_text(PARENT)
    started.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script), str(started)], env=environment, stderr=subprocess.DEVNULL)
    until(lambda: len(list(started.iterdir())) == 2, 60)
    parent.send_signal(sent)
    assert parent.wait(timeout=20) == code
    workers = [int(file.name) for file in started.iterdir()]
    until(lambda: not any(map(alive, workers)), 60)


def test_a_script_without_a_main_guard_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PARENT.replace('if __name__ == "__main__":', "if True:"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "AVREC_ENGINE=inline" in done.stderr


NAMED = {"local": Local, "inline": Inline, "ray": OnRay, "ray://head:10001": OnRay, "10.0.0.1:6379": OnRay, "auto": OnRay}


@pytest.mark.parametrize(("setting", "kind"), NAMED.items())
def test_an_engine_is_named_by_its_setting_and_starts_nothing_yet(setting, kind):
    assert isinstance(engine(setting), kind)


def test_an_unknown_engine_is_a_setting_error():
    with pytest.raises(SettingError, match="local, inline, ray"):
        engine("spark")


def test_the_number_of_workers_is_a_setting(monkeypatch):
    monkeypatch.setenv("AVREC_WORKERS", "3")
    assert (Local().workers, Local(5).workers) == (3, 5)
    monkeypatch.delenv("AVREC_WORKERS")
    assert Local().workers == os.cpu_count()


@pytest.fixture(scope="module")
def ray():
    pytest.importorskip("ray")
    with closing(engine("ray", 2)) as running:
        yield running


def test_processes_and_ray_fill_the_ledger_alike(tmp_path, local, ray):
    world, twin = thirty(tmp_path / "local", local), thirty(tmp_path / "ray", ray)
    world.run()
    twin.run()
    assert twin.tables() == world.tables()
    assert twin.ledger.counts("frames") == Counts(29, 1)


def test_an_item_that_kills_its_ray_worker_costs_itself_alone(ray):
    rows = results(ray, Compute("frames", "1", kills="k13"))
    assert [row.key for row in rows] == KEYS
    assert [row.key for row in rows if row.error] == ["k13"]


def test_a_day_of_real_clips_comes_out_the_same_of_processes_and_of_ray(tmp_path, local, ray):
    media = tmp_path / "media"
    media.mkdir()
    for seed, kind in enumerate(synthetic.KINDS[:3]):
        synthetic.clip(media / f"{kind}.mp4", kind=kind, seed=seed, duration_s=1, size=(160, 90))
    (media / "broken.mp4").write_bytes(b"\0" * 1000)
    assert real_day(media, tmp_path / "local", local) == real_day(media, tmp_path / "ray", ray)


def real_day(media, store, running):
    """The tables and the blobs of one day, from uploads to frames and spectrograms."""
    ledger, steps, day = Ledger(str(store)), graph(Recipe("f", "a", "e", "t", "s")), date(2026, 5, 4)
    plan = plan_uploads(ledger, MediaSource(str(media)), steps["raw_media"], day.isoformat(), day, date(2026, 1, 1))
    advance(ledger, running, steps["raw_media"], day.isoformat(), ProbeUploads(str(media)), plan=plan, batch_size=2)
    advance(ledger, running, steps["frames"], day.isoformat(), SampleFrames(str(media), str(store)), batch_size=2)
    advance(ledger, running, steps["audio_spectrograms"], day.isoformat(), Listen(str(media), str(store)), batch_size=2)
    assert [ledger.counts(name) for name in ("raw_media", "frames", "audio_spectrograms")] == [Counts(3, 1), Counts(3, 0), Counts(3, 0)]
    blobs = {file.relative_to(store): file.read_bytes() for file in (store / "blobs").rglob("*") if file.is_file()}
    return [ledger.rows(name).to_pylist() for name in ("raw_media", "frames", "audio_spectrograms")], blobs
