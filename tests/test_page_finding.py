import re
from typing import Any

import httpx
import pytest

from avrec_dag import synthetic
from tests.browser import CHROMIUM, visiting
from tests.small_library import SOUND
from tests.watch_page import act, listed, made, told

pytestmark = CHROMIUM
_LISTED = "Array.from(document.querySelectorAll('#list li'), (one) => one.dataset.id).join(',')"


def test_searching_by_words_jumps_to_the_moment_and_leads_back(page):
    before = listed(page)
    page.locator("#words").fill("rings")
    page.locator("#words").press("Enter")
    page.wait_for_selector("#back:visible")
    assert page.locator("#heading").inner_text() == "Found for “rings”"
    page.locator("#list li button").first.click()
    assert page.locator("#jump").is_hidden()  # where the moment is the beginning
    page.route("**/v1/search?**", lambda route: route.fulfill(json=[{**made(0)[0], "media_id": SOUND, "moment": moment}]))
    moment = {"start_s": 0.6, "end_s": 0.9, "kind": "speech"}
    page.locator("#words").press("Enter")
    page.wait_for_function("() => document.querySelectorAll('#list li').length === 1")
    assert page.locator("#list small.line").inner_text() == "0:01 · made"
    page.locator("#list li button").first.click()
    page.wait_for_function(
        "() => document.querySelector('#video').played.length && document.querySelector('#video').played.start(0) >= 0.5"
    )
    page.evaluate("document.querySelector('#video').pause()")
    page.locator("#jump").click()
    act(page, "similar")
    page.wait_for_function("() => document.querySelector('#heading').textContent.startsWith('Like “')")
    page.locator("#back").click()
    page.wait_for_selector("#back", state="hidden")
    assert set(listed(page)) & set(before)


def test_a_search_that_takes_long_is_not_lost_to_an_item_that_ends_meanwhile(page):
    def slowly(route: Any) -> None:
        page.wait_for_timeout(1500)
        route.continue_()

    page.route("**/v1/search?**", slowly)
    page.locator("#list li:has-text('video') button").first.click()
    page.locator("#words").fill("rings")
    page.locator("#words").press("Enter")
    page.wait_for_function("() => document.querySelector('#heading').textContent === 'Found for “rings”'")


def test_searching_by_a_file_that_is_chosen_sends_it_as_it_is(page, tmp_path):
    sent: list[Any] = []

    def answered(route: Any) -> None:
        sent.append(route.request)
        url = re.sub("part=[a-z]+", "q=rings", route.request.url)  # words instead of the file, which takes a process to look at
        route.fulfill(json=httpx.get(url, timeout=60).json())

    page.route(lambda url: "/v1/search?part=" in url, answered)
    picture = synthetic.clip(tmp_path / "rings.png", kind="rings", seed=5, size=(160, 90))
    page.locator("#file").set_input_files(picture)
    page.wait_for_function("() => document.querySelector('#heading').textContent === 'Like rings.png'")
    assert "part=picture" in sent[0].url
    assert (sent[0].method, sent[0].headers["content-type"], sent[0].post_data_buffer) == ("POST", "image/png", picture.read_bytes())
    page.locator("#unfile").click()
    page.wait_for_selector("#back", state="hidden")
    clip = synthetic.clip(tmp_path / "waves.mp4", kind="waves", seed=5, duration_s=1, size=(160, 90))
    page.locator("#file").set_input_files(clip)
    page.wait_for_function("() => document.querySelector('#heading').textContent === 'Like waves.mp4'")
    page.locator("#part").select_option("sound")
    page.locator("#mine").check()
    page.wait_for_function("() => document.querySelector('#list small.line')?.textContent.includes('; ')")
    assert ["part=sound" in one.url for one in sent[1:]] == [False, True, True]


def dropped(tab: Any, name: str, content: bytes, kind: str) -> None:
    """Drop a file on the page, as a person drags it there."""
    tab.evaluate(
        """([name, content, kind]) => { const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(content)], name, { type: kind }));
        for (const one of ["dragenter", "drop"]) dispatchEvent(new DragEvent(one, { dataTransfer: carried })); }""",
        [name, list(content), kind],
    )


def test_what_is_no_picture_sound_or_clip_is_not_sent(page):
    dropped(page, "letter.txt", b"words", "text/plain")
    told(page, "letter.txt is no picture, sound or clip")
    assert page.locator("#drop").is_hidden()
    assert page.locator("#chosen").is_hidden()


@pytest.mark.slow
def test_a_picture_that_is_dropped_finds_what_is_like_it(page, tmp_path):
    picture = synthetic.clip(tmp_path / "rings.png", kind="rings", seed=5, size=(160, 90))
    dropped(page, "rings.png", picture.read_bytes(), "image/png")
    page.wait_for_function("() => document.querySelector('#heading').textContent === 'Like rings.png'")
    assert "rings" in listed(page)[0]


def test_sliders_change_the_list_while_they_are_moved(page):
    before = listed(page)
    page.locator("#tune summary").click()
    for name, value in (("diversity", "1"), ("quality", "0.9"), ("relevance", "0")):
        with page.expect_response(lambda answer, name=name, value=value: f"{name}={value}" in answer.url):
            page.locator(f"#{name}").fill(value)
    page.wait_for_function(f"before => {_LISTED} !== before", arg=",".join(before))
    assert "100 %" in page.locator("#diversity-told").inner_text()
    with page.expect_response(lambda answer: "diversity" not in answer.url and "/v1/recommendations" in answer.url):
        page.locator("#untuned").click()
    page.wait_for_function(f"before => {_LISTED} === before", arg=",".join(before))


def test_why_an_item_is_shown_is_told_in_words_and_as_a_picture(browser, address):
    with visiting(browser, address) as (tab, complaints):
        tab.wait_for_selector("#list li")
        tab.locator("#who").fill("person 1")
        tab.locator("#who").press("Enter")
        told(tab, "Now person 1")
        tab.locator("#why summary").click()
        tab.wait_for_selector("#why-told svg")
        assert "%" in tab.locator("#why-told svg").get_attribute("aria-label")
        assert tab.locator("#reason").inner_text()
        tab.locator("#newcomer").click()
        tab.wait_for_function("() => document.querySelector('#who').value.startsWith('guest-')")
    assert complaints == []


def test_the_list_goes_on_while_one_scrolls_by_the_cursor_and_without_one_that_is_too_old(browser, address):
    asked: list[str] = []

    def answered(route: Any) -> None:
        url = route.request.url
        asked.append(url)
        if "cursor=one" in url:
            route.fulfill(json=made(20), headers={"Avrec-Cursor": "two", "content-type": "application/json"})
        elif "cursor=two" in url:
            route.fulfill(status=410, json={"detail": "too old"})
        elif "k=60" in url:
            route.fulfill(json=made(30, 50))  # the list has moved on: forty are there already or have left
        elif "k=80" in url or "k=100" in url:
            route.fulfill(json=made(70, 10))
        else:
            route.fulfill(json=made(0), headers={"Avrec-Cursor": "one", "content-type": "application/json"})

    with visiting(browser, address) as (tab, complaints):
        tab.wait_for_selector("#list li")
        tab.route("**/v1/recommendations/**", answered)
        tab.locator("#tune summary").click()
        tab.locator("#untuned").click()
        tab.wait_for_function("() => document.querySelectorAll('#list li').length >= 20")
        for _ in range(40):
            tab.mouse.move(1100, 600)
            tab.mouse.wheel(0, 2500)
            tab.wait_for_timeout(50)
            if tab.locator("#end").is_visible():
                break
        assert listed(tab) == [f"made/{place}.wav" for place in range(80)]
        assert sum("cursor=" in one for one in asked) == 2
    assert all("410" in one for one in complaints)
