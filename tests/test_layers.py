import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RANKS = {"avrec_dag": 0, "resources": 1, "assets": 2, "avrec_dag.definitions": 3, "avrec_dag.cli": 4}
FILES = sorted(path for package in ("avrec_dag", "resources", "assets") for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def rank(module: str) -> int | None:
    """The rank of the longest listed prefix; None for a stranger."""
    parts = module.split(".")
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((RANKS[prefix] for prefix in prefixes if prefix in RANKS), None)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_left(path):
    here = rank(module_of(path))
    assert here is not None
    assert {name for name in imported(path) if (rank(name) or 0) > here} == set()


@pytest.mark.parametrize("path", [path for path in FILES if rank(module_of(path)) == 0], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_does_not_know_dagster(path):
    assert not any(name.split(".")[0].startswith("dagster") for name in imported(path))


def test_the_generic_package_names_mean_this_project():
    import assets
    import resources

    assert Path(str(assets.__file__)).is_relative_to(ROOT)
    assert Path(str(resources.__file__)).is_relative_to(ROOT)


@pytest.mark.parametrize(
    ("module", "expected"), [("avrec_dag.cli.app", 4), ("avrec_dag.ledger.ledger", 0), ("assets.checks", 2), ("numpy", None)]
)
def test_ranks_follow_the_longest_prefix(module, expected):
    assert rank(module) == expected


def test_a_file_stays_short():
    long = {str(path.relative_to(ROOT)): n for path in FILES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 260}
    assert long == {}
