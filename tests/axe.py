"""axe-core, the accessibility checker, fetched from the npm registry into a folder of the test session."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

_VERSION = "4.14.1"


def axe(base: Path) -> str:
    """Its source; the test is left out where npm is missing or reaches no registry.

    Args:
        base: A folder that the test processes share.
    """
    if shutil.which("npm") is None:
        pytest.skip("needs npm, to fetch axe-core")
    folder, wanted = base / "axe", base / "axe/node_modules/axe-core/axe.min.js"
    with FileLock(base / "axe.lock"):
        if not wanted.exists():
            folder.mkdir(exist_ok=True)
            command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", f"axe-core@{_VERSION}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm could not fetch axe-core {_VERSION}: {done.stderr.strip()[-200:]}")
    return wanted.read_text(encoding="utf-8")


def faults(tab: Any, source: str) -> list[str]:
    """What axe finds serious or critical on the page in a tab, with where."""
    tab.evaluate(source)
    found = tab.evaluate("async () => (await axe.run()).violations")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
