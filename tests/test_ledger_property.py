"""Whatever happened to the uploads, the code and the runs: what is stored equals what a run from scratch would store."""

import tempfile
from contextlib import suppress
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avrec_dag.items import Row
from avrec_dag.ledger import Kept, Ledger
from avrec_dag.ledger.files import TableFiles
from avrec_dag.ledger.newest import newest
from tests.made_graph import DAY, STEPS, Crash, Crashing, World

KEYS = st.sampled_from(["a", "b c.mp4", "猫"])
FIELDS = st.sampled_from(["video", "audio", "metadata"])
CONTENTS = st.sampled_from(["one", "two", "three", "broken", "flaky"])
UPLOAD = st.dictionaries(FIELDS, CONTENTS, min_size=1)
CHANGES = st.one_of(
    st.tuples(st.just("upload"), KEYS, UPLOAD),
    st.tuples(st.just("edit"), KEYS, FIELDS, st.one_of(st.none(), CONTENTS)),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("bump"), st.sampled_from(STEPS), st.sampled_from(["1b", "2", "3"])),  # 1b gives the output of 1
    st.tuples(st.just("run"), st.integers(0, len(STEPS))),
    st.tuples(st.just("crash"), st.sampled_from(STEPS), st.integers(0, 2)),
    st.tuples(st.just("half a compaction"), st.sampled_from(("raw_media", *STEPS))),
)


def apply(world, name, *details):
    match name, details:
        case "upload", (key, contents):
            world.uploads[key] = dict(contents)
        case "edit", (key, field, content) if key in world.uploads:
            world.uploads[key] = {**world.uploads[key], field: content}
            if content is None:
                del world.uploads[key][field]
        case "delete", (key,):
            world.uploads.pop(key, None)
        case "bump", (step, code):
            world.code[step] = code
        case "run", (n,):
            world.run(STEPS[:n])
        case "crash", (step, batches):
            world.run(STEPS[: STEPS.index(step)])
            with suppress(Crash):
                world.bring(step, Crashing(batches))
        case "half a compaction", (table,):
            files = TableFiles(world.uri, table)
            if files.paths(DAY):
                files.add(DAY, newest(files.read(DAY, files.schema.names), files.key).drop_columns("partition"))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(["good", "failed", "gone", "compacted", "nothing"]), KEYS, st.sampled_from([DAY, "2026-02-04"])),
        max_size=8,
    )
)
def test_a_reader_who_keeps_what_did_not_change_reads_what_one_who_comes_anew_does(changes):
    with tempfile.TemporaryDirectory() as folder:
        kept, anew = Kept(f"{folder}/store"), Ledger(f"{folder}/store")
        for version, (what, key, day) in enumerate(changes):
            if what in ("good", "failed"):
                anew.append(
                    "raw_media", day, [Row(key, str(version), {}, {"title": f"{version}"}, error="broken" if what == "failed" else None)]
                )
            elif what == "gone":
                anew.tombstone("raw_media", day, [key])
            elif what == "compacted":
                anew.compact("raw_media", day)
            assert kept.data_version("raw_media") == anew.data_version("raw_media")
            for columns in ([], ["version", "title"]):
                for status in ("ok", None):
                    assert kept.rows("raw_media", None, columns, status=status) == anew.rows("raw_media", None, columns, status=status)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(uploads=st.dictionaries(KEYS, UPLOAD, min_size=2), changes=st.lists(CHANGES, min_size=1, max_size=6))
def test_incremental_equals_from_scratch(uploads, changes):
    with tempfile.TemporaryDirectory() as folder:
        world = World(f"{folder}/grown", {key: dict(contents) for key, contents in uploads.items()})
        world.run()
        for change in changes:
            apply(world, *change)
        world.run()
        scratch = replace(world, uri=f"{folder}/scratch")
        scratch.run()
        assert world.tables() == scratch.tables()
        settled = {table for table, done in world.run().items() if done != (0, 0)}
        assert not settled
