import re
from pathlib import Path

from typer.main import get_command

from avrec_dag.cli.app import app
from avrec_dag.schema import TABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> set[str]:
    group = get_command(app)
    return {f"avrec {name}" for name in group.commands}


def settings() -> set[str]:
    sources = [path for folder in ("avrec_dag", "resources", "assets") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"AVREC_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))}
    return {name for name in named if not name.startswith("AVREC_ROOT")}


def test_every_asset_is_in_the_table_and_in_the_graph():
    for name in TABLES:
        assert f"| `{name}` |" in README, name
    graph = README.partition("```mermaid")[2].partition("```")[0]
    assert {name for name in TABLES if name not in graph} == set()


def test_every_command_is_in_the_table():
    assert {command for command in commands() if f"`{command}" not in README} == set()


def test_every_setting_is_in_the_table():
    assert {name for name in settings() if f"| `{name}` |" not in README} == set()


def test_every_part_of_the_library_is_in_the_tree():
    tree = README.partition("## The tree")[2].partition("## ")[0]
    parts = {path.stem for path in (ROOT / "avrec_dag").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert {part for part in parts - {"__init__"} if not re.search(rf"\b{part}\b", tree)} == set()


def test_the_changelog_has_a_place_for_what_comes_next():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_file_that_security_names_exists():
    named = re.findall(r"`((?:avrec_dag|tests|bench)/[^`]+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
