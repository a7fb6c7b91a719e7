import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets import automation, graph
from avrec_dag import expectations, steps
from avrec_dag.definitions import GROUPS, build
from avrec_dag.schema import TABLES
from resources.profiles import Settings

ROOT = Path(__file__).parent.parent
DEFS = build(Settings().resources())
SPECS = {spec.key.to_user_string(): spec for spec in sorted(DEFS.resolve_all_asset_specs(), key=lambda spec: spec.key)}
HEAVY = ("torch", "cv2", "onnxruntime", "great_expectations", "av", "faiss", "ray", "matplotlib", "sklearn", "implicit")


def run_python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AVREC_")}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, timeout=120)


def test_definitions_load_alone_and_light():
    done = run_python(f"import sys, avrec_dag.definitions; print([name for name in {HEAVY} if name in sys.modules])")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr[-2000:]


def test_a_wrong_setting_stops_the_loading_with_one_sentence():
    done = run_python("import avrec_dag.definitions", AVREC_START="soon")
    assert done.returncode != 0
    assert "SettingError: AVREC_START is 'soon'" in done.stderr.splitlines()[-1]


def test_everything_fits_together():
    dg.Definitions.validate_loadable(DEFS)
    assert DEFS.executor is dg.in_process_executor


def test_there_is_one_asset_for_every_table_and_every_step():
    assert set(SPECS) == set(TABLES) == set(graph.STEPS)


@pytest.mark.parametrize("name", SPECS)
def test_an_asset_is_what_its_step_says(name):
    spec, step = SPECS[name], steps.graph(Settings().recipe())[name]
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == set(step.parents)
    assert spec.code_version == step.code
    assert (spec.partitions_def is None) == (step.partition == "whole")


@pytest.mark.parametrize("name", SPECS)
def test_an_asset_is_described_owned_tagged_and_has_its_columns(name):
    spec = SPECS[name]
    assert spec.description
    assert spec.description.endswith(".")
    assert spec.owners == ["team:avrec"]
    assert spec.kinds
    assert spec.tags["partition"] == graph.STEPS[name].partition
    schema = spec.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [TABLES[name].key, *TABLES[name].columns.names]


@pytest.mark.parametrize(("group", "module"), GROUPS.items())
def test_a_group_is_a_file(group, module):
    names = {key.to_user_string() for one in dg.load_assets_from_modules([module]) for key in one.keys}
    assert names
    assert {SPECS[name].group_name for name in names} == {group}


def test_what_may_sit_on_a_graphics_card_shares_one_pool():
    pools = {name for name in SPECS if DEFS.resolve_assets_def(name).op.pool == "gpu"}
    assert pools == {
        "frame_embeddings",
        "audio_embeddings",
        "text_embeddings",
        "transcripts",
        "moderation",
        "classifier_candidate",
        "fusion_model",
        "content_classes",
        "comment_sentiment",
    }


def test_every_job_selects_its_assets_with_their_checks():
    selected: dict[str, set[str]] = {}
    for job in automation.JOBS:
        layer = DEFS.resolve_job_def(job.name).asset_layer
        selected[job.name] = {key.to_user_string() for key in layer.executable_asset_keys}
        checked = {(key.asset_key.to_user_string(), key.name) for key in layer.asset_graph.asset_check_keys}
        assert checked == {(name, rule.name) for name in selected[job.name] for rule in expectations.RULES[name]}
    assert set().union(*selected.values()) == set(SPECS)
    twice = selected["ingest_and_embed"] & selected["classify"]
    assert twice == {"fused_features", "content_classes"}  # a training is followed by the days that it changes
    assert sum(map(len, selected.values())) == len(SPECS) + len(twice)


def test_the_jobs_have_the_names_that_the_command_line_runs():
    assert [job.name for job in automation.JOBS] == ["ingest_and_embed", "collect_feedback", "train_classifier", "classify", "recommend"]


@pytest.mark.parametrize("name", SPECS)
def test_every_asset_is_named_in_the_readme(name):
    assert f"`{name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_instance_sends_nothing_home_and_frees_the_slots_of_killed_runs():
    import yaml

    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    assert settings["telemetry"] == {"enabled": False}
    assert settings["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert settings["storage"]["custom"]["config"]["base_dir"].startswith(".dagster")
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    assert workspace["load_from"][0]["python_module"]["module_name"] == "avrec_dag.definitions"
