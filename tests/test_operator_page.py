import time
from typing import Any

import httpx
import pytest

from avrec_dag.moderation.decisions import TABLE
from avrec_dag.serving.access.keys import Keyring
from tests.axe import axe, faults
from tests.browser import CHROMIUM, visiting
from tests.small_library import BROKEN, DAY

PARTS = ("library", "classes", "quality", "duplicates", "moderation", "models", "freshness")


@pytest.fixture(scope="module")
def told(address) -> dict[str, Any]:
    """What every part answers."""
    with httpx.Client(base_url=address, timeout=60) as client:
        return {part: client.get(f"/v1/operator/{part}").raise_for_status().json() for part in PARTS}


def whole(tab: Any) -> None:
    tab.wait_for_function("n => document.querySelectorAll('section[aria-busy=false]').length === n", arg=len(PARTS))


def test_the_library_is_counted_by_day_and_every_failure_is_named(told, served):
    found = told["library"]
    assert found["n_items"] == served.ledger.counts("raw_media").ok == 14
    assert {one["media_id"] for one in found["failures"]} == {f"dt={DAY}/{name}" for name in BROKEN}
    assert all(one["error"] for one in found["failures"])
    assert found["days"] == [{"day": DAY, "video": 13, "audio": 1, "image": 0, "failed": 3}]


def test_classes_quality_and_decisions_add_up_to_the_items(told, served):
    assert sum(one["items"] for one in told["classes"]) == served.ledger.counts("content_classes").ok
    assert sum(told["quality"]["histogram"]) == served.ledger.counts("quality_scores").ok
    assert sum(told["quality"]["technical"]) == served.ledger.counts("technical_quality").ok
    assert sum(told["moderation"]["decided"].values()) == served.ledger.counts(TABLE).ok
    worst = [one["score"] for one in told["quality"]["worst"]]
    assert worst == sorted(worst)


def test_models_and_tables_say_what_serves_and_how_new_it_is(told, served):
    models = {one["name"]: one for one in told["models"]["serving"]}
    row = served.ledger.row("recommender", "recommender")
    assert models["recommender"]["version"] == row["version"]
    assert models["recommender"]["n_examples"] == row["n_examples"]
    states = {one["name"]: one for one in told["freshness"]["tables"]}
    assert states["raw_media"]["ok"] == 14
    assert states["raw_media"]["failed"] == 3
    assert states["screen_text"]["newest_at"] is None
    assert {one["metric"] for one in told["freshness"]["health"]} == set(served.ledger.rows("recommendation_health")["metric"].to_pylist())


def test_duplicates_have_the_item_that_stands_for_them_first(told):
    for members in told["duplicates"]["largest"]:
        assert [one["kind"] == "canonical" for one in members] == [True] + [False] * (len(members) - 1)


@CHROMIUM
@pytest.mark.parametrize(("width", "locale", "heading"), [(1280, "en", "Library"), (360, "zh-CN", "内容库")])
def test_the_page_shows_every_part_and_goes_on_to_an_item(browser, address, width, locale, heading):
    with visiting(browser, f"{address}operator", width=width, locale=locale) as (tab, complaints):
        whole(tab)
        assert tab.locator("h2").first.inner_text() == heading
        assert tab.locator("main .bad", has_text=":").count() == 0
        assert tab.locator("svg[role=img]").count() >= 5
        assert all(tab.eval_on_selector_all("svg[role=img]", "all => all.map((one) => one.getAttribute('aria-label'))"))
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.locator("#again").click()
        tab.wait_for_selector("#said.on")
        whole(tab)
        tab.locator("#language").click()
        whole(tab)
        assert tab.locator("h2").first.inner_text() != heading
        tab.locator("#parts a").nth(2).click()
        assert tab.url.endswith("#quality")
        tab.locator("#classes a").first.click()
        tab.wait_for_function("() => document.querySelector('#facts')?.textContent.includes('dt=')")
    assert complaints == []


@CHROMIUM
def test_one_part_that_fails_says_so_and_leaves_the_others(browser, address):
    with visiting(browser, f"{address}operator") as (tab, _complaints):
        tab.route(
            "**/v1/operator/quality", lambda route: route.fulfill(status=500, json={"detail": '<img src=x onerror="document.title=1">'})
        )
        tab.reload()
        whole(tab)
        assert tab.locator("#quality .bad").inner_text() == 'That did not work: <img src=x onerror="document.title=1">'
        assert tab.locator("#models table").count() >= 1


@CHROMIUM
@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        ("dark", 360),
        pytest.param("dark", 1280, marks=pytest.mark.slow),
        pytest.param("light", 360, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious(browser, address, tmp_path_factory, worker_id, scheme, width):
    base = tmp_path_factory.getbasetemp()
    source = axe(base if worker_id == "master" else base.parent)
    with visiting(browser, address, scheme=scheme, width=width) as (tab, _complaints):
        tab.wait_for_selector("#list li")
        tab.locator("#who").fill("person 1")
        tab.locator("#who").press("Enter")
        tab.wait_for_selector("#said.on")
        for name in ("why", "about", "taste", "tune"):
            tab.locator(f"#{name} summary").click()
        for name in ("comment", "label"):
            tab.locator(f"[data-act={name}]").click()
        tab.wait_for_selector("#taste-told svg")
        tab.wait_for_selector("#about-told h3")
        tab.wait_for_function("() => getComputedStyle(document.querySelector('#said')).opacity % 1 === 0")
        assert faults(tab, source) == []
        tab.locator("[data-act=report]").click()
        assert faults(tab, source) == []
        tab.goto(f"{address}operator")
        whole(tab)
        assert faults(tab, source) == []


@CHROMIUM
def test_where_there_are_keys_the_page_asks_for_one_and_keeps_it_from_scripts(browser, address, served):
    """The last test of this file, as the first key closes the service."""
    keyring = Keyring(served.folder / "var" / "keys.db")
    mine, reading = keyring.add("mine", ["read", "feedback"], user_id="person 1"), keyring.add("reading", ["read"])
    time.sleep(1.5)
    with visiting(browser, address) as (tab, complaints):
        tab.wait_for_selector("#door[open]")
        tab.keyboard.press("Escape")
        tab.locator("#key").fill("nonsense")
        tab.keyboard.press("Enter")
        tab.wait_for_function("() => document.querySelector('#door-why').textContent.includes('not known')")
        tab.locator("#key").fill(mine)
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#list li img")
        assert tab.locator("#who").input_value() == "person 1"
        assert tab.locator("#who").is_disabled()
        assert tab.locator("nav a").count() - tab.locator("nav a:visible").count() == 1
        assert tab.locator("[data-act=label]").is_hidden()
        tab.locator("[data-act=like]").click()
        tab.wait_for_function("() => document.querySelector('#said').textContent.startsWith('Liked')")
        tab.wait_for_function("() => document.querySelector('#list img').naturalWidth > 0")
        assert mine not in tab.evaluate("JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie")
        tab.reload()
        tab.wait_for_selector("#list li")
        tab.locator("#leave").click()
        tab.wait_for_selector("#door[open]")
        tab.locator("#key").fill(reading)
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#list li")
        assert tab.locator("[data-act=like]").is_hidden()
        tab.goto(f"{address}operator")
        whole(tab)
        assert "has no scope admin" in tab.locator("#library .bad").inner_text()
    assert all("401" in one or "403" in one for one in complaints)
