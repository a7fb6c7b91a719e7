"""`avrec evaluate`: what it prints, on good files and bad ones."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from avrec_dag.cli import evaluating
from avrec_dag.cli.app import app
from avrec_dag.recommend.evaluation import reading, running, splits, worker
from avrec_dag.recommend.models import registry

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], prog_name="avrec")


@pytest.fixture(scope="module")
def inter(tmp_path_factory):
    """Two tastes, a broken line and a broken number."""
    rng = np.random.default_rng(0)
    lines = []
    for user in range(40):
        liked = rng.choice(15, 8, replace=False) + 15 * (user % 2)
        lines += [f"用户{user}\t{item}\t{rng.integers(1, 6)}\t{1000 + place}\n" for place, item in enumerate(liked)]
    lines[10:10] = ["only one field\n", "u\ti\tnan\t1\n"]
    path = tmp_path_factory.mktemp("evaluate") / "two tastes.inter"
    path.write_text(HEADER + "".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def answered(inter):
    result = invoke(inter, "--format", "inter", "--split", "random", "--model", "popularity", "--model", "ease", "--json", "--seed", 1)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def test_the_options_are_those_of_the_library():
    assert get_args(evaluating.Form) == get_args(reading.Format)
    assert get_args(evaluating.Kind) == splits.KINDS
    assert get_args(evaluating.Fit) == get_args(running.Fit)


def test_json_has_what_was_promised_in_plain_numbers(answered):
    told, _ = answered
    assert (told["dataset"], told["users"], told["items"], told["interactions"], told["split"]) == ("two tastes", 40, 30, 320, "random")
    assert list(told["models"]) == ["popularity", "ease"]
    for model, figures in told["models"].items():
        for name in ("hit", "ndcg", "recall", "precision", "map", "mrr"):
            assert all(0 <= figures[f"{name}@{k}"] <= 1 for k in (5, 10, 20))
            low, high = figures["intervals"][f"{name}@10"]
            assert low - 1e-9 <= figures[f"{name}@10"] <= high + 1e-9
        assert 0 < figures["coverage@10"] <= 1
        beyond = ("novelty", "serendipity", "intra_list_distance", "popularity_bias", "calibration_error", "quality")
        assert {f"{name}@10" for name in beyond} <= set(figures)
        assert figures["fit_s"] >= 0 and figures["rank_s"] > 0 and 30 < figures["peak_mb"] < 1000
        assert figures["settings"].keys() == registry.MODELS[model].axes.keys()
    assert told["models"]["ease"]["ndcg@10"] > told["models"]["popularity"]["ndcg@10"]
    assert (told["comparisons"][0]["significant"], told["evaluated_users"], told["failed"], told["interrupted"]) == (True, 40, {}, False)


def test_broken_lines_are_named_in_both_places(answered):
    told, stderr = answered
    assert [one["line"] for one in told["input"]["broken_lines"]] == [12, 13]
    assert "line 12 is left out" in stderr and "on validation" in stderr


def test_the_table_names_the_best_and_the_picture_is_drawn(inter, tmp_path):
    picture = tmp_path / "models.png"
    result = invoke(inter, "--format", "inter", "--model", "ease", "--fit", "train+valid", "--budget", 0, "--picture", picture)
    assert result.exit_code == 0, result.stderr
    assert "95 % interval" in result.stdout and "best by ndcg@10: ease" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("", (), "holds no interaction"),
        ("a x\nb x\nc x\n", (), "nothing can be measured"),
        ("a x\n", (), "nothing can be measured"),
        ("a x x x\n", (), "nothing can be measured"),
        ("a x y z\n", ("--split", "global-time"), "needs timestamps"),
        ("a x y z\n", ("--model", "oracle"), "known are popularity"),
        ("a x y z\n", ("--model", "content"), "--titles"),
        ("a x y z\n", ("--titles", "/nowhere.csv"), "cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_sentence(tmp_path, content, arguments, said):
    path = tmp_path / "events.txt"
    path.write_text(content)
    result = invoke(path, "--format", "sequences", "--json", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_one_user_is_enough(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("ada 1 2 3 4\n")
    result = invoke(path, "--format", "sequences", "--model", "popularity", "--json")
    assert result.exit_code == 0, result.stderr
    # One candidate is left for her: the test item itself.
    assert json.loads(result.stdout)["models"]["popularity"]["ndcg@10"] == 1.0


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A model that raises, one that kills its process, one made of two others, and one made of what cannot be fitted."""
    (tmp_path / "odd_models.py").write_text(
        "import os, signal\nclass Settings: pass\nclass Broken:\n    def __init__(self, settings): pass\n"
        "    def fit(self, data, seed=0): raise ValueError('no luck')\n"
        "class Killed(Broken):\n    def fit(self, data, seed=0): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # A process of its own imports the registry anew: it is changed where that process looks first.
    (tmp_path / "sitecustomize.py").write_text(
        "from avrec_dag.recommend.models.registry import MODELS, Entry\n"
        "blend = [f'avrec_dag.recommend.models.blend:Blend{end}' for end in ('', 'Settings')]\n"
        "MODELS |= {name: Entry(f'odd_models:{name.title()}', 'odd_models:Settings') for name in ('broken', 'killed')}\n"
        "MODELS |= {'pair': Entry(*blend, components=('popularity', 'ease', 'broken')), 'none': Entry(*blend, components=('broken',))}\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    known = dict(registry.MODELS)
    exec((tmp_path / "sitecustomize.py").read_text(), {})
    yield
    registry.MODELS.clear()
    registry.MODELS.update(known)


def test_a_model_that_breaks_or_dies_fails_alone(inter, odd):
    found = reading.read(inter, "inter")
    outcome = running.run(splits.split(found.interactions, "leave-one-out"), found.ratings, ["broken", "popularity", "killed"], budget_s=0)
    assert list(outcome.models) == ["popularity"]
    assert "ValueError: no luck" in outcome.failed["broken"]
    assert "SIGKILL" in outcome.failed["killed"]


def test_a_blend_is_made_of_what_could_be_fitted_and_pays_for_it(inter, odd):
    found = reading.read(inter, "inter")
    parts = splits.split(found.interactions, "leave-one-out")
    outcome = running.run(parts, found.ratings, ["pair", "none"], fit="train+valid", budget_s=0)
    assert list(outcome.models) == ["pair"]
    alone = running.run(parts, found.ratings, ["popularity", "ease"], fit="train+valid", budget_s=0).models
    assert outcome.models["pair"]["ndcg@10"] >= alone["popularity"]["ndcg@10"]
    assert "none of the models it is made of" in outcome.failed["none"]


def test_ctrl_c_shows_what_is_finished(inter):
    options = [str(inter), "--format", "inter", "--model", "popularity", "--model", "ease", "--json"]
    code = "from avrec_dag.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "evaluate", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("popularity") and "on test" in line:
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
    told = json.loads(stdout)
    assert (process.returncode, told["interrupted"]) == (130, True)
    assert list(told["models"]) == ["popularity"]


def test_peak_memory_is_that_of_the_process():
    code = "from avrec_dag.recommend.evaluation.worker import peak_mb; a = peak_mb(); b = bytearray(200 << 20); print(a, peak_mb())"
    held = bytearray(300 << 20)
    before, after = map(float, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    del held
    assert before < 250
    assert 190 < after - before < 260
    assert worker.peak_mb() > 0
