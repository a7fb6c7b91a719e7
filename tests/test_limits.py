import re
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avrec_dag import limits
from avrec_dag.engine import Inline, Local
from avrec_dag.errors import SettingError
from avrec_dag.limits import Limits
from tests.made_tasks import Attacked, batches

TIGHT = Limits(memory_mb=200, cpu_s=60, wall_s=1, open_files=20, written_mb=2)
numbers = st.integers(1, 10**12)


@given(st.builds(Limits, *[numbers] * 7))
def test_a_setting_says_what_the_limits_are(made):
    assert Limits.read(made.canonical()) == made


def test_what_a_setting_leaves_out_is_as_usual():
    assert Limits.read(" wall_s=5 ,") == Limits(wall_s=5)
    assert Limits.read("") == Limits()


@pytest.mark.parametrize(
    "text", ["wall_s", "wall_s=", "wall_s=0", "wall_s=-1", "wall_s=1.5", "wall_s=9e9", "time=5", "5", f"cpu_s={10**13}"]
)
def test_a_setting_that_is_no_limit_is_refused_with_an_example(text):
    with pytest.raises(SettingError, match=r"AVREC_LIMITS has '.*', expected whole numbers above 0 such as memory_mb=768,"):
        Limits.read(text)


@pytest.mark.parametrize(
    ("size_mb", "patience", "cpu_s", "wall_s"), [(0, 1, 10, 20), (100, 1, 20, 40), (50, 2, 30, 60), (10_000, 1, 1010, 2020)]
)
def test_time_grows_with_the_upload(size_mb, patience, cpu_s, wall_s):
    assert Limits(cpu_s=10, wall_s=20).seconds(size_mb * 1_000_000, patience) == (cpu_s, wall_s)


def test_the_limits_of_a_process_are_put_back(tmp_path):
    import resource
    import signal

    names = ("RLIMIT_DATA", "RLIMIT_CPU", "RLIMIT_NOFILE", "RLIMIT_FSIZE")
    before = [resource.getrlimit(getattr(resource, name)) for name in names]
    with pytest.raises(MemoryError), limits.enforced(TIGHT, 0):
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 2_000_000
        assert limits.in_force() == TIGHT
        bytearray(400_000_000)
    assert [resource.getrlimit(getattr(resource, name)) for name in names] == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert limits.in_force() == Limits()
    assert len(bytearray(400_000_000)) == 400_000_000


@pytest.fixture(scope="module")
def local():
    with closing(Local(2, TIGHT)) as running:
        yield running


SAID = {
    "sleeps": "was not done after 1 s",
    "hoards": "needs more than 200 MB of memory",
    "writes": "a file of more than 2 MB",
    "opens": "opens more than 20 files",
    "crashes": "a crash inside a decoder or model \\(SIGSEGV\\)",
    "killed": "ended from outside.*SIGKILL",
    "leaves": "exit code 3",
}


def test_an_upload_that_passes_its_limits_costs_itself_alone_and_its_row_says_which(tmp_path, local):
    keys = [key for number, attack in enumerate(SAID) for key in (f"good {number}", attack)]
    began = time.monotonic()
    rows = {row.key: row for rows in local.run(Attacked(str(tmp_path)), batches(keys, 4)) for row in rows}
    assert time.monotonic() - began < 30
    assert sorted(rows) == sorted(keys)
    assert {key for key, row in rows.items() if row.error is None} == {key for key in keys if key.startswith("good")}
    for attack, said in SAID.items():
        assert re.search(said, rows[attack].error), rows[attack].error
        assert "\n" not in rows[attack].error
        assert not rows[attack].permanent  # another machine, or other limits, may well do it
    assert len({rows[key].values["n_frames"] for key in rows if key.startswith("good")}) > 2  # processes that died have followers


def test_an_upload_that_uses_up_its_processor_time_is_told_so(tmp_path):
    with closing(Local(1, Limits(cpu_s=1))) as running:
        (rows,) = running.run(Attacked(str(tmp_path)), batches(["spins"]))
    assert "more than 1 s of a processor" in rows[0].error


def test_what_ends_a_worker_by_itself_is_not_tried_twice_and_other_workers_go_on(tmp_path, local):
    bad, good = [["sleeps", "good 1"]], [[f"well {number}"] for number in range(6)]
    keys = [*bad, *good]
    rows = [row for rows in local.run(Attacked(str(tmp_path)), (batches(some, 4)[0] for some in keys)) for row in rows]
    assert {row.key for row in rows if row.error} == {"sleeps"}
    begun = {file.name: len(file.read_bytes()) for file in Path(tmp_path).iterdir()}
    assert begun == dict.fromkeys(("sleeps", "good 1", *(f"well {number}" for number in range(6))), 1)


def test_what_uploads_leave_in_memory_does_not_add_up(tmp_path):
    with closing(Local(1, TIGHT)) as running:  # 80 MB stay with every item, of 200 that each may take
        batches_of_one = ([item] for item in batches([f"keeps {number}" for number in range(5)], 5)[0])
        rows = [row for rows in running.run(Attacked(str(tmp_path)), batches_of_one) for row in rows]
    assert [row.error for row in rows] == [None] * 5
    assert len({row.values["n_frames"] for row in rows}) > 1


def test_a_worker_whose_uploads_leave_only_what_can_be_freed_is_kept(tmp_path):
    with closing(Local(1, TIGHT)) as running:
        batches_of_one = ([item] for item in batches([f"drops {number}" for number in range(5)], 5)[0])
        rows = [row for rows in running.run(Attacked(str(tmp_path)), batches_of_one) for row in rows]
    assert [row.error for row in rows] == [None] * 5
    assert len({row.values["n_frames"] for row in rows}) == 1


def test_a_large_upload_has_more_time(tmp_path, local):
    (rows,) = local.run(Attacked(str(tmp_path)), batches(["large"]))
    assert rows[0].error is None


def test_without_processes_of_its_own_an_engine_keeps_to_pixels_and_packets_only(tmp_path):
    seen = []

    def task(items):
        seen.append(limits.in_force())
        return [item.done({}, {}) for item in items]

    bounds = Limits(pixels=5, packets=7)
    (rows,) = Inline(bounds).run(task, batches(["a"]))
    assert (rows[0].error, seen, limits.in_force()) == (None, [bounds], Limits())
