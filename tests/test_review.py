import json

import pytest
from typer.testing import CliRunner

from avrec_dag.cli.app import app
from avrec_dag.ledger import Ledger
from avrec_dag.moderation.decisions import update_decisions
from avrec_dag.moderation.policy import Policy
from avrec_dag.moderation.reviews import ReviewLog
from resources.profiles import Settings
from tests.test_moderation import STEP, scored


@pytest.fixture
def library(tmp_path, monkeypatch):
    for name, value in {"STORE": tmp_path / "store", "MEDIA": tmp_path, "FEEDBACK": f"sqlite:///{tmp_path}/feedback.db"}.items():
        monkeypatch.setenv(f"AVREC_{name}", str(value))
    ledger = scored(Ledger(str(tmp_path / "store")), good=0.1, odd=0.7, bad=0.95)
    update_decisions(ledger, STEP, Policy(), {})
    return ledger


def avrec(*arguments: str):
    return CliRunner().invoke(app, ["review", *arguments])


def test_what_is_held_is_listed_and_what_is_blocked_when_asked(library):
    assert [row["media_id"] for row in json.loads(avrec("--json").stdout)] == ["odd"]
    assert [row["media_id"] for row in json.loads(avrec("--blocked", "--json").stdout)] == ["bad", "odd"]
    assert "worst frame at 1.5 s scores 0.70" in avrec().stdout


def test_a_decision_is_kept_with_who_and_holds_at_once(library):
    done = avrec("odd", "allow", "--by", "ada", "--because", "a statue", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["decision"], told["origin"], told["reviewer"]) == ("allow", "person", "ada")
    assert json.loads(avrec("--json").stdout) == []
    assert ReviewLog(Settings.from_env().feedback).newest()["odd"].because == "a statue"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("odd", "maybe", "--by", "ada"), 2, "allow or block"),
        (("odd", "allow"), 2, "--by"),
        (("odd", "block", "--by", "  "), 2, "--by"),
        (("nothing", "allow", "--by", "ada"), 1, "is not in the library"),
    ],
)
def test_what_cannot_be_decided_says_why_and_changes_nothing(library, arguments, code, words):
    done = avrec(*arguments)
    assert done.exit_code == code
    assert words in done.output
    assert ReviewLog(Settings.from_env().feedback).newest() == {}
