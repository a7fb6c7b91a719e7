from collections.abc import Iterator

import dagster as dg
import pytest

from assets import graph
from avrec_dag.expectations import RULES
from avrec_dag.items import Row
from avrec_dag.schema import TABLES
from tests.made_runs import BAD, DAYS, Library, Run, made_runs

DAY = DAYS[0]
GOOD = f"dt={DAY}/dots 0.mp4"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[tuple[Library, Run]]:
    library = made_runs(tmp_path_factory.mktemp("checks") / "library", per_kind=1)
    yield library, library.run("ingest_and_embed", DAY)
    library.close()


@pytest.fixture
def library(made, tmp_path) -> Iterator[Library]:
    library = made[0].copy(tmp_path / "library")
    yield library
    library.close()


def evaluations(run: Run, name: str) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in run.result.get_asset_check_evaluations() if one.asset_key.to_user_string() == name}


def spoil(library: Library, name: str, key: str, **changes: object) -> None:
    """Change a stored row so that the ledger sees nothing to do."""
    stored = next(row for row in library.ledger.rows(name, DAY).to_pylist() if row["media_id"] == key)
    values = {column: stored[column] for column in TABLES[name].columns.names}
    library.ledger.append(name, DAY, [Row(key, stored["version"], dict(stored["fields"]), {**values, **changes})])


@pytest.mark.parametrize("name", TABLES)
def test_every_asset_has_a_check_per_promise_partitioned_as_it_is(made, name):
    nodes = made[0].defs.resolve_asset_graph()
    keys = {key for key in nodes.asset_check_keys if key.asset_key.to_user_string() == name}
    assert {key.name for key in keys} == {rule.name for rule in RULES[name]}
    for key in keys:
        spec = nodes.get_check_spec(key)
        assert spec.partitions_def == graph.partitions_of(name)
        assert spec.blocking == next(rule for rule in RULES[name] if rule.name == key.name).blocking


def test_a_sound_day_passes_and_is_recorded_under_its_day(made):
    library, run = made
    assert run.ok, run.errors
    assert {one.partition for one in run.result.get_asset_check_evaluations()} == {DAY}
    assert {name for name in run.materialized if not evaluations(run, name)} == set()
    assert run.broken == {("raw_media", "few_items_failed")}
    found = library.instance.event_log_storage.get_asset_check_partition_info([dg.AssetCheckKey(dg.AssetKey("frames"), "times_ascend")])
    assert [(one.partition_key, one.latest_execution_status.value) for one in found] == [(DAY, "SUCCEEDED")]


def test_a_promise_that_only_warns_names_the_offender_and_stops_nothing(made):
    verdict = evaluations(made[1], "raw_media")["few_items_failed"]
    assert not verdict.passed
    assert verdict.severity == dg.AssetCheckSeverity.WARN
    assert verdict.metadata["offenders"].value == BAD
    assert "frames" in made[1].materialized


def test_a_broken_blocking_promise_names_the_offender_and_stops_what_follows(library):
    spoil(library, "raw_media", GOOD, kind="poem")
    run = library.run("ingest_and_embed", DAY)
    verdict = evaluations(run, "raw_media")["kind_is_known"]
    assert not run.ok
    assert not verdict.passed
    assert verdict.severity == dg.AssetCheckSeverity.ERROR
    assert verdict.metadata["offenders"].value == GOOD
    assert set(run.materialized) == {"raw_media"}


def test_a_bad_vector_stops_before_it_is_fused(library):
    spoil(library, "frame_embeddings", GOOD, vector=[3.0] * 8)
    run = library.run("ingest_and_embed", DAY)
    assert ("frame_embeddings", "vector_length_is_in_range") in run.broken
    assert "fused_features" not in run.materialized
    assert "audio_embeddings" in run.materialized


def test_one_bad_day_does_not_speak_for_another(library):
    spoil(library, "raw_media", GOOD, kind="poem")
    library.upload(f"dt={DAYS[1]}/rings 0.wav", "rings", 0, duration_s=0.5)
    run = library.run("ingest_and_embed", DAYS[1])
    assert run.ok, run.errors
    assert run.broken == set()


def test_a_lost_row_is_found_by_the_checks_alone(library):
    library.ledger.tombstone("frames", DAY, [GOOD])
    only = dg.define_asset_job("only_checks", dg.AssetSelection.checks_for_assets(dg.AssetKey("frames")))
    defs = dg.Definitions.merge(library.defs, dg.Definitions(jobs=[only]))
    result = defs.resolve_job_def("only_checks").execute_in_process(
        tags={"dagster/partition": DAY}, instance=library.instance, raise_on_error=False
    )
    run = Run(result)
    assert run.materialized == {}
    assert run.broken == {("frames", "nothing_is_missing"), ("frames", "row_count_is_as_called_for")}
    assert evaluations(run, "frames")["nothing_is_missing"].metadata["offenders"].value == GOOD
