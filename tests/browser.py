"""Debian's chromium, driven as a person would use it; tests that need it are left out where it is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = Path("/usr/bin/chromium")
CHROMIUM = pytest.mark.skipif(not _PROGRAM.exists(), reason="needs Debian's chromium (apt-get install chromium)")
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def opened(address: str, *, scheme: str = "light", width: int = 1280) -> Iterator[tuple[Any, list[str]]]:
    """A tab at `address`, and what the page complained about so far: errors and refused requests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_PROGRAM), args=_FLAGS)
        context = browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme)
        tab, complaints = context.new_page(), []
        tab.on("console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(address)
        yield tab, complaints
        browser.close()
