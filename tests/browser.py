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
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, for any number of tabs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_PROGRAM), args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Any, address: str, *, scheme: str = "light", width: int = 1280, height: int = 850, **more: Any
) -> Iterator[tuple[Any, list[str]]]:
    """A tab of somebody new at `address`, and what went wrong so far: what the page complained about, and requests that left its origin."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
    tab, complaints = context.new_page(), []
    tab.set_default_timeout(60_000)
    origin = "/".join(address.split("/")[:3]) + "/"
    inside = (origin, "data:", "file:")
    tab.on("console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    context.on("request", lambda request: None if request.url.startswith(inside) else complaints.append(f"asked for {request.url}"))
    tab.goto(address)
    yield tab, complaints
    context.close()


@contextmanager
def opened(address: str, *, scheme: str = "light", width: int = 1280) -> Iterator[tuple[Any, list[str]]]:
    """The same in a browser of its own."""
    with chromium() as browser, visiting(browser, address, scheme=scheme, width=width) as tab_and_complaints:
        yield tab_and_complaints
