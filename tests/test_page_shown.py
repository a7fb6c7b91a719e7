import pytest

from avrec_dag.serving.pages import web_vtt
from tests.browser import CHROMIUM, visiting
from tests.watch_page import made, shown

pytestmark = CHROMIUM


def test_every_control_is_reached_by_the_keyboard_and_says_what_it_is(page):
    page.locator("#tune summary").click()
    controls = page.eval_on_selector_all(
        "a, button, input, select, textarea, summary, video", "all => all.filter((one) => one.checkVisibility() && !one.disabled).length"
    )
    page.locator("#title").focus()
    seen = set()
    for _ in range(3 * controls):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.act || document.activeElement.textContent"))
    ids = {"words", "file", "mine", "who", "newcomer", "language", "video", "relevance", "quality", "diversity", "untuned", "more"}
    acts = {"like", "dislike", "not_interested", "skip", "similar", "share", "comment", "label", "report"}
    assert (ids - {"more"}) | acts <= seen
    page.locator("[data-act=skip]").focus()
    before = shown(page)
    page.keyboard.press("Enter")
    page.wait_for_function("was => !document.querySelector('#facts').textContent.endsWith(was)", arg=before)


def test_whatever_a_title_a_tag_or_an_error_holds_is_text(browser, address):
    evil = "<img src=x onerror=\"document.title='owned'\">"
    why = {"part": "content", "because": "score", "label": evil, "missing": evil, "words": [evil], "also": [evil], "shares": {evil: 1.0}}
    facts = {"title": evil, "labels": [evil], "reason": evil, "causes": [evil], "why": why, "kind": "audio"}
    told_of = {
        "description": evil,
        "tags": [evil],
        "classes": [{"label": evil, "probability": 1.0}],
        "quality": {"score": 1.0, "reason": evil},
    }
    moments = [{"start_s": 0.0, "end_s": 1.0, "kind": "speech", "text": evil}]
    taste = {
        "text": evil,
        "met": 1,
        "classes": [{"label": evil, "share": 1.0, "usual": 1.0, "disliked": 1}],
        "creators": [{"creator": evil}],
        "variety": {"says": evil},
    }

    with visiting(browser, address) as (tab, _complaints):
        tab.route(
            "**/v1/recommendations/**", lambda route: route.fulfill(json=[{**made(0)[0], **facts, "media_id": f"{evil}{n}"} for n in "ab"])
        )
        tab.route("**/v1/media/**", lambda route: route.fulfill(json={"media_id": evil, **facts, **told_of, "moments": moments}))
        tab.route("**/v1/users/**", lambda route: route.fulfill(json=taste))
        tab.route("**/v1/feedback", lambda route: route.fulfill(status=422, json={"detail": evil}))
        for name in ("en", "zh"):
            tab.reload()
            tab.wait_for_selector("#list li")
            for part in ("why", "about", "taste"):
                tab.locator(f"#{part} summary").click()
            tab.wait_for_selector("#about-told .moments button")
            tab.wait_for_selector("#taste-told svg")
            tab.locator("[data-act=like]").click()
            tab.wait_for_function("evil => document.querySelector('#said').textContent.includes(evil)", arg=evil)
            assert tab.locator("#title").inner_text() == evil
            assert tab.locator("img[src=x], script:not([src]), [onerror]").count() == 0, name
            assert "owned" not in tab.title()
            tab.locator("#language").click()


def test_titles_are_text_whatever_is_in_them(page):
    page.locator("#words").fill("cat quotes script alert")
    page.locator("#words").press("Enter")
    page.wait_for_selector("#back:visible")
    hostile = page.locator("#list b", has_text='<script>alert("猫")</script>')
    hostile.first.click()
    assert page.locator("#title").inner_text() == '<script>alert("猫")</script> & "quotes"'
    assert page.locator("#list script, #stage script").count() == 0


@pytest.mark.parametrize("width", [1280, 360])
def test_it_is_chinese_where_the_browser_is_and_fits_a_phone(browser, address, width):
    asked: list[str] = []
    with visiting(browser, address, width=width, locale="zh-CN") as (tab, complaints):
        tab.on("request", lambda request: asked.append(request.url))
        tab.reload()
        tab.wait_for_selector("#list li")
        assert tab.locator("[data-act=like]").inner_text().endswith("喜欢")
        assert tab.locator("html").get_attribute("lang") == "zh-CN"
        assert any("/v1/recommendations/" in one and "language=zh" in one for one in asked)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.locator("#language").click()
        assert tab.locator("[data-act=like]").inner_text().endswith("Like")
        tab.reload()
        tab.wait_for_selector("#list li")
        assert tab.locator("#heading").inner_text() == "Next for you"
    assert complaints == []


def test_a_sound_plays_without_a_picture(page):
    page.locator("#words").fill("waves sea")
    page.locator("#words").press("Enter")
    page.wait_for_selector("#back:visible")
    page.locator("#list li:has-text('sound') button").first.click()
    page.wait_for_function("() => document.querySelector('#video').currentTime > 0.1")
    assert page.locator("#player").get_attribute("class") == "audio"


def test_captions_hold_what_is_said_as_text():
    cues = [
        {"start_s": 0.0, "end_s": 1.25, "text": "a <b>bold</b>\n\nclaim --> here & there"},
        {"start_s": 3661.5, "end_s": 3662.0, "text": "later"},
        {"start_s": 2.0, "end_s": 2.0, "text": "never"},
        {"start_s": 1.0, "end_s": 2.0, "text": "  "},
    ]
    assert web_vtt(cues) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\na &lt;b&gt;bold&lt;/b&gt; claim --&gt; here &amp; there\n\n"
        "01:01:01.500 --> 01:01:02.000\nlater\n"
    )
    assert web_vtt([]) == "WEBVTT\n"
