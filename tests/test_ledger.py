"""What a plan asks for after each kind of change: the table of behaviour that the ledger is held to."""

from dataclasses import replace

import pytest

from avrec_dag.items import Row
from avrec_dag.steps import WHOLE, Recipe, Step, graph
from tests.made_graph import DAY, FIELD, GRAPH, STEPS, Crash, Crashing, World, sha

TABLES = ("raw_media", *STEPS)


@pytest.fixture
def world(tmp_path):
    world = World(str(tmp_path))
    for key in ("a", "b", "c", "d", "e"):
        world.upload(key)
    world.run()
    return world


def nothing(**changed):
    """(computed, removed) of every table, zero where not said."""
    return {table: changed.get(table, (0, 0)) for table in TABLES}


def edit(world, key, **contents):
    world.uploads[key] |= contents


def forget(world, key):
    del world.uploads[key]


def again(world, key):
    contents = world.uploads.pop(key)
    world.run()
    world.uploads[key] = contents


def bump(world, step, code):
    world.code[step] = code


def bump_and_delete(world):
    bump(world, "frames", "2")
    forget(world, "c")


def crash_after_one_batch(world):
    bump(world, "frames", "2")
    world.ingest()
    with pytest.raises(Crash):
        world.bring("frames", Crashing(1))


def there_and_back(world):
    bump(world, "frames", "2")
    world.run()
    bump(world, "frames", "1")


VIDEO = ("frames", "frame_embeddings", "fused_features")
WORDS = ("raw_media", "text_embeddings", "fused_features")
CASES = {
    "nothing changed": (lambda _: None, {}),
    "one title changed": (
        lambda world: edit(world, "a", metadata="new"),
        dict.fromkeys(WORDS, (1, 0)),
    ),
    "one video changed": (lambda world: edit(world, "a", video="new"), dict.fromkeys(("raw_media", *VIDEO), (1, 0))),
    "code bump": (lambda world: bump(world, "frames", "2"), dict.fromkeys(VIDEO, (5, 0))),
    "code bump with the same output": (lambda world: bump(world, "frames", "1b"), {"frames": (5, 0)}),
    "code rolled back": (there_and_back, dict.fromkeys(VIDEO, (5, 0))),
    "one upload deleted": (lambda world: forget(world, "a"), dict.fromkeys(TABLES, (0, 1))),
    "the same bytes uploaded again": (lambda world: again(world, "a"), dict.fromkeys(TABLES, (1, 0))),
    "deletion together with a code bump": (bump_and_delete, dict.fromkeys(TABLES, (0, 1)) | dict.fromkeys(VIDEO, (4, 1))),
    "crash mid-way": (crash_after_one_batch, {"frames": (3, 0), "frame_embeddings": (5, 0), "fused_features": (5, 0)}),
    "a new upload": (lambda world: world.upload("f"), dict.fromkeys(TABLES, (1, 0))),
    "sound lost": (
        lambda world: world.uploads["a"].pop("audio"),
        {"raw_media": (1, 0), "audio_spectrograms": (0, 1), "audio_embeddings": (0, 1), "fused_features": (1, 0)},
    ),
    "a video that cannot be read any more": (
        lambda world: edit(world, "a", video="broken"),
        {"raw_media": (1, 0), "frames": (0, 0), "frame_embeddings": (0, 1), "fused_features": (1, 0)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_computes_and_removes_exactly_what_a_change_asks_for(world, name):
    change, expected = CASES[name]
    change(world)
    assert world.run() == nothing(**expected)
    assert world.run() == nothing()


def test_the_first_run_computes_everything_once(tmp_path):
    world = World(str(tmp_path))
    world.upload("a")
    assert world.run() == nothing(**dict.fromkeys(TABLES, (1, 0)))


def test_an_item_without_an_optional_parent_is_computed_and_again_when_the_parent_arrives(tmp_path):
    world = World(str(tmp_path))
    world.upload("silent", video="v", metadata="m")
    first = world.run()
    assert first["fused_features"] == (1, 0)
    assert first["audio_spectrograms"] == (0, 0)
    world.uploads["silent"]["audio"] = "a"
    later = world.run()
    assert later["audio_spectrograms"] == later["fused_features"] == (1, 0)
    assert later["frames"] == (0, 0)


def test_an_optional_parent_whose_table_does_not_exist_is_absent(tmp_path):
    world = World(str(tmp_path))
    world.upload("a")
    done = world.run(["text_embeddings", "fused_features"])
    assert done["fused_features"] == (1, 0)


def test_an_item_of_which_nothing_needed_is_there_is_not_wanted(tmp_path):
    world = World(str(tmp_path))
    world.upload("a", metadata="m")
    world.ingest()
    assert world.ledger.plan(GRAPH["fused_features"], DAY).todo == []
    assert [item.key for item in world.ledger.plan(GRAPH["text_embeddings"], DAY).todo] == ["a"]


def test_a_failed_upload_has_no_children_even_where_it_only_orders(tmp_path):
    world = World(str(tmp_path))
    world.upload("a")
    world.run()
    world.ledger.append("raw_media", DAY, [Row("a", "v2", error="cannot be read", permanent=True)])
    assert world.ledger.plan(GRAPH["fused_features"], DAY).gone == ["a"]
    assert world.ledger.plan(GRAPH["frames"], DAY).gone == ["a"]


def test_readers_see_the_old_rows_until_the_new_ones_are_there(world):
    before = world.ledger.rows("frames", DAY, ["version", "blob"]).to_pylist()
    bump(world, "frames", "2")
    plan = world.ledger.plan(world.step("frames"), DAY)
    assert (len(plan.todo), plan.stale) == (5, 5)
    assert world.ledger.rows("frames", DAY, ["version", "blob"]).to_pylist() == before


def test_a_crash_keeps_what_was_computed(world):
    crash_after_one_batch(world)
    versions = [row["version"] for row in world.ledger.rows("frames", DAY, ["version"]).to_pylist()]
    wanted = {item.key for item in world.ledger.plan(world.step("frames"), DAY).todo}
    assert len(versions) == 5
    assert wanted == {"c", "d", "e"}


@pytest.mark.parametrize(("content", "tries"), [("broken", 1), ("flaky", 3)])
def test_a_failed_item_is_tried_as_often_as_trying_can_help(tmp_path, content, tries):
    world = World(str(tmp_path))
    world.upload("bad", video=content)
    world.upload("good", video="v")
    outcomes = [world.run() and world.ledger.counts("frames") for _ in range(5)]
    assert {(counts.ok, counts.failed) for counts in outcomes} == {(1, 1)}
    (failed,) = world.ledger.rows("frames", DAY, ["attempts", "error"], status="failed").to_pylist()
    assert failed["attempts"] == 3
    assert failed["error"] == {"broken": "cannot be read", "flaky": "RuntimeError: no idea"}[content]
    assert world.bring("frames").failed == 0
    fresh = World(str(tmp_path / "fresh"), world.uploads)
    fresh.ingest()
    assert [fresh.bring("frames").failed for _ in range(5)] == [1] * tries + [0] * (5 - tries)


def test_a_failed_item_is_tried_anew_when_its_content_or_the_code_changes(tmp_path):
    world = World(str(tmp_path))
    world.upload("bad", video="broken")
    world.run()
    world.code["frames"] = "2"
    assert world.bring("frames").failed == 1
    world.uploads["bad"]["video"] = "mended"
    assert world.run()["frame_embeddings"] == (1, 0)


def test_a_planned_item_carries_what_its_step_reads_only_after_filling(world):
    edit(world, "a", video="new")
    world.ingest()
    plan = world.ledger.plan(GRAPH["frames"], DAY)
    assert [dict(item.parents) for item in plan.todo] == [{}]
    (item,) = world.ledger.fill(GRAPH["frames"], DAY, plan.todo)
    assert item.parents == {"raw_media": {"kind": "new", "duration_s": None, "size_bytes": None, "etag": None}}


def test_a_plan_for_some_keys_leaves_the_others_alone(world):
    bump(world, "frames", "2")
    forget(world, "b")
    world.ingest()
    plan = world.ledger.plan(world.step("frames"), DAY, keys=["a", "b"])
    assert ([item.key for item in plan.todo], plan.gone) == (["a"], ["b"])


def test_a_new_model_makes_every_item_of_its_children_stale(world):
    step = replace(
        graph(Recipe("f", "a", "e", "t", "s"))["content_classes"], needs={"fused_features": ("vector",)}
    )  # all that made items have
    before = {item.key: item.version for item in world.ledger.plan(step, DAY).todo}
    world.ledger.append("content_classifier", WHOLE, [Row("content_classifier", "m1", {"model": "m1"})])
    after = {item.key: item.version for item in world.ledger.plan(step, DAY).todo}
    assert before.keys() == after.keys() == set("abcde")
    assert not set(before.values()) & set(after.values())


def test_a_step_of_the_whole_library_plans_over_every_day(world):
    world.ledger.append("raw_media", DAY, [Row("a", "2", {"labels": "x"}, {"labels": ["cat"]})])
    world.ledger.append("raw_media", "2026-01-02", [Row("z", "1", {"labels": "y"}, {"labels": ["dog"]})])
    step = graph(Recipe("f", "a", "e", "t", "s"))["labels"]
    plan = world.ledger.plan(step, WHOLE)
    assert [(item.key, item.partition) for item in plan.todo] == [("a", WHOLE), ("z", WHOLE)]
    filled = world.ledger.fill(step, WHOLE, plan.todo)
    assert [item.parents["raw_media"]["labels"] for item in filled] == [["cat"], ["dog"]]


def test_a_parent_that_only_orders_does_not_enter_the_version(world):
    scored = {key: Row(key, "1", {"score": sha(key)}, {"score": 0.5}) for key in "ab"}
    world.ledger.append("technical_quality", DAY, list(scored.values()))
    step = graph(Recipe("f", "a", "e", "t", "s"))["quality_scores"]
    before = world.ledger.plan(step, WHOLE)
    world.ledger.append("interactions", WHOLE, [Row("user", "1", {"history": "h"}, {"media_ids": ["a"]})])
    assert [item.key for item in before.todo] == ["a", "b"]
    assert world.ledger.plan(step, WHOLE) == before


def test_of_several_fields_of_a_needed_parent_one_is_enough(world):
    step = graph(Recipe("f", "a", "e", "t", "s"))["technical_quality"]
    world.upload("sound only", audio="a", metadata="m")
    world.upload("words only", metadata="m")
    world.ingest()
    assert [item.key for item in world.ledger.plan(step, DAY).todo] == ["a", "b", "c", "d", "e", "sound only"]


def test_a_step_none_of_whose_parents_has_its_key_is_refused(world):
    with pytest.raises(ValueError, match=r"Ledger\.wanted"):
        world.ledger.plan(Step("item_index", "1", {"fused_features": ("vector",)}, partition="whole"), WHOLE)


def test_a_step_whose_parents_are_all_optional_wants_every_item_that_has_one(world):
    edit(world, "a", video="new")
    del world.uploads["b"]["audio"]
    world.uploads["c"] = {"audio": "only"}
    world.run()
    needs = dict.fromkeys(("frame_embeddings", "audio_embeddings", "text_embeddings"), ("vector",))
    step = replace(GRAPH["fused_features"], code="2", needs=needs, optional=frozenset(needs))
    assert [item.key for item in world.ledger.plan(step, DAY).todo] == ["a", "b", "c", "d", "e"]


def test_the_field_a_child_needs_is_the_one_its_parent_gives():
    for name, step in GRAPH.items():
        for parent, fields in step.needs.items():
            if parent in GRAPH:
                assert fields == (FIELD.get(parent, "vector"),), name
