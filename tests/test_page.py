import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from avrec_dag import synthetic
from avrec_dag.feedback import Event
from avrec_dag.labelling import LabelLog
from avrec_dag.serving.pages import web_vtt
from tests.browser import CHROMIUM, chromium, visiting
from tests.made_service import serving
from tests.small_library import SOUND, Small

pytestmark = CHROMIUM
UNASKED = {"play", "impression"}


@pytest.fixture(scope="module")
def served(small, tmp_path_factory) -> Small:
    return small.copy(tmp_path_factory.mktemp("page") / "library")


@pytest.fixture(scope="module")
def address(served) -> Iterator[str]:
    with serving(served) as there:
        yield there


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture
def page(browser, address) -> Iterator[Any]:
    """A tab of somebody new; nothing may be complained about, and nothing asked for elsewhere."""
    with visiting(browser, address) as (tab, complaints):
        tab.wait_for_selector("#list li")
        yield tab
        assert complaints == []


_LISTED = "Array.from(document.querySelectorAll('#list li'), (one) => one.dataset.id).join(',')"


def listed(tab: Any) -> list[str]:
    return tab.eval_on_selector_all("#list li", "rows => rows.map((one) => one.dataset.id)")


def shown(tab: Any) -> str:
    return tab.locator("#facts").inner_text().split(" · ")[-1]


def act(tab: Any, name: str) -> None:
    tab.locator(f"[data-act={name}]").click()


def told(tab: Any, text: str) -> None:
    tab.wait_for_function("text => document.querySelector('#said').textContent.includes(text)", arg=text)


def events_of(served: Small, tab: Any, *kinds: str) -> list[Event]:
    """What the log holds of the person in the tab, when it holds these kinds."""
    return acted(served, tab.locator("#who").input_value(), *kinds)


def acted(served: Small, who: str, *kinds: str) -> list[Event]:
    """The same of anybody."""
    with closing(served.log) as log:
        for _ in range(600):
            found = sorted(log.of_user(who), key=lambda one: one.happened_at)
            if set(kinds) <= {one.kind for one in found}:
                return found
            time.sleep(0.05)
    raise AssertionError(f"{kinds} did not come; there are {[one.kind for one in found]}")


def test_two_clicks_change_what_comes_next(page, served):
    before, playing = listed(page), shown(page)
    act(page, "like")
    told(page, "Liked")
    after_one = listed(page)
    assert after_one != before
    assert page.locator("[data-act=like]").get_attribute("aria-pressed") == "true"
    act(page, "not_interested")
    told(page, "Less of this")
    assert shown(page) != playing
    assert listed(page) not in (before, after_one)
    assert playing not in listed(page)
    assert [(one.kind, one.media_id) for one in events_of(served, page, "like", "not_interested") if one.kind not in UNASKED] == [
        ("like", playing), ("not_interested", playing),
    ]  # fmt: skip


def test_what_is_played_and_how_far_is_told(page, served):
    page.evaluate("document.querySelector('#video').loop = true")
    page.locator("#list li:has-text('video') button").first.click()
    page.wait_for_function("() => document.querySelector('#video').currentTime > 0.6")
    playing = shown(page)
    act(page, "skip")
    page.wait_for_function("was => !document.querySelector('#facts').textContent.endsWith(was)", arg=playing)
    page.wait_for_function("() => document.querySelector('#video').played.length && document.querySelector('#video').played.end(0) > 0.6")
    page.goto("about:blank")  # leaving tells, too
    page.go_back()
    page.wait_for_selector("#list li")
    kinds = [(one.kind, one.media_id) for one in events_of(served, page, "play", "skip", "watch")]
    assert ("play", playing) in kinds
    assert ("skip", playing) in kinds
    watched = [one for one in events_of(served, page, "watch") if one.kind == "watch"]
    assert watched
    assert all(0.3 < one.value <= 1 for one in watched)


def test_an_opinion_that_the_service_cannot_keep_waits_in_the_browser_and_counts_once(browser, address, served):
    with visiting(browser, address) as (tab, complaints):
        tab.wait_for_selector("#list li")
        tab.route("**/v1/feedback", lambda route: route.fulfill(status=503, json={"detail": "not now"}))
        act(tab, "dislike")
        told(tab, "kept in this browser")
        tab.unroute_all(behavior="wait")

        def lost(route: Any) -> None:
            route.fetch()  # the service keeps it, the answer is lost
            route.abort()

        tab.route("**/v1/feedback", lost)
        tab.reload()
        tab.wait_for_selector("#list li")
        act(tab, "like")
        told(tab, "kept in this browser")
        tab.unroute_all(behavior="wait")
        act(tab, "share")
        tab.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('avrec-event-'))")
        kinds = [one.kind for one in events_of(served, tab, "dislike", "like", "share") if one.kind not in UNASKED]
        assert kinds == ["dislike", "like", "share"]
    assert all("503" in one or "ERR_FAILED" in one for one in complaints)


def test_what_was_seen_of_a_list_is_told_once_with_its_place_and_leaving_brings_it(browser, address, served):
    def named(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "Avrec-Impression": "f" * 32})

    posts: list[str] = []
    with visiting(browser, address, height=500) as (tab, complaints):
        tab.wait_for_selector("#list li")
        tab.route("**/v1/recommendations/**", named)
        tab.on("request", lambda one: posts.append(one.resource_type) if one.url.endswith("/v1/feedback") else None)
        tab.locator("#newcomer").click()
        told(tab, "Now guest-")
        items = [shown(tab), *listed(tab)]
        tab.wait_for_function("() => Object.keys(localStorage).some((key) => key.startsWith('avrec-event-seen-'))")
        tab.locator("#language").click()  # draws the same list once more
        tab.wait_for_timeout(1200)
        reach = tab.eval_on_selector_all(
            "#list li", "rows => rows.filter((one) => one.getBoundingClientRect().bottom <= innerHeight).length"
        )
        who = tab.locator("#who").input_value()
        assert posts == []
        tab.goto("about:blank")
        told_of = acted(served, who, "impression")
    assert complaints == []
    places = {one.media_id: one.event_id for one in told_of}
    assert len(told_of) == len(places)
    assert set(items[: reach + 1]) <= set(places) < set(items)
    assert places == {one: f"seen-{'f' * 32}-{items.index(one)}" for one in places}


def test_a_report_is_asked_about_once_more_and_takes_the_item_off_the_list(page, served):
    playing = shown(page)
    act(page, "report")
    page.keyboard.press("Escape")
    page.wait_for_selector("#report", state="hidden")
    assert page.evaluate("document.activeElement.dataset.act") == "report"
    act(page, "report")
    page.locator("#report-text").fill("not what it <b>says</b>")
    page.locator("#report button[value='']").click()
    page.wait_for_selector("#report", state="hidden")
    act(page, "report")
    assert page.locator("#report-text").input_value() == ""
    page.keyboard.type("not what it <b>says</b>")
    page.locator("#report button[value=report]").click()
    told(page, "Reported")
    assert shown(page) != playing
    assert playing not in listed(page)
    reports = [one for one in events_of(served, page, "report") if one.kind == "report"]
    assert [(one.media_id, one.text) for one in reports] == [(playing, "not what it <b>says</b>")]


def test_less_motion_is_none_that_nobody_asked_for(browser, address):
    glides = "() => { window.how = []; Element.prototype.scrollIntoView = function (how) { window.how.push(how.behavior); }; }"
    moves = "getComputedStyle(document.querySelector('#said')).transitionDuration"
    for wanted, behaviour in (("no-preference", "smooth"), ("reduce", "auto")):
        with visiting(browser, address, reduced_motion=wanted) as (tab, complaints):
            tab.wait_for_selector("#list li")
            tab.evaluate(glides)
            tab.evaluate("document.querySelector('#video').loop = true")
            tab.locator("#list li:has-text('video') button").first.click()
            assert tab.evaluate("window.how") == [behaviour]
            act(tab, "like")
            told(tab, "Liked")
            assert (tab.evaluate(moves) == "0s") == (wanted == "reduce")
            assert wanted != "reduce" or tab.evaluate("document.getAnimations().length") == 0
            playing = shown(tab)
            tab.evaluate("document.querySelector('#video').loop = false")  # so that it ends
            tab.wait_for_function("was => !document.querySelector('#facts').textContent.endsWith(was)", arg=playing)
            if wanted == "reduce":
                tab.wait_for_timeout(500)
                assert tab.evaluate("document.querySelector('#video').played.length") == 0
            else:
                tab.wait_for_function("() => document.querySelector('#video').played.length")
        assert complaints == []


def test_a_comment_and_a_share_are_kept_and_a_shared_link_opens_the_item(page, served, address):
    playing = shown(page)
    act(page, "comment")
    page.keyboard.type("<b>wonderful</b> 很好")
    page.locator("#comment button").click()
    told(page, "was kept")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    act(page, "share")
    told(page, "link was copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(address)
    kept = [one for one in events_of(served, page, "comment", "share") if one.kind not in UNASKED]
    assert [(one.kind, one.text) for one in kept if one.media_id == playing] == [("comment", "<b>wonderful</b> 很好"), ("share", None)]


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


def made(first: int, n: int = 20) -> list[dict[str, Any]]:
    about = {"kind": "audio", "duration_s": 1.0, "labels": [], "score": 0.5, "reason": "made", "causes": [], "title": None}
    return [{"media_id": f"made/{place}.wav", **about} for place in range(first, first + n)]


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


def test_a_taste_is_shown_in_words_and_as_a_picture_and_follows_what_is_liked(page):
    page.locator("#taste summary").click()
    page.wait_for_function("() => document.querySelector('#taste-told').textContent.includes('Nothing is known of you')")
    act(page, "like")
    page.wait_for_selector("#taste-told svg[role=img]")
    assert "of what you like" in page.locator("#taste-told svg").get_attribute("aria-label")


def test_an_item_is_told_of_and_can_be_labelled(page, served):
    playing = shown(page)
    page.evaluate("document.querySelector('#video').loop = true")  # a short clip that ends leads on to another
    page.locator("#about summary").click()
    page.wait_for_selector("#about-told .moments button")
    assert "Quality 0." in page.locator("#about-told").inner_text()
    page.locator("#about-told .moments button").first.click()
    page.wait_for_function("() => !document.querySelector('#video').paused || document.querySelector('#video').ended")
    act(page, "label")
    page.keyboard.type("a pond, 池塘 <b>")
    page.keyboard.press("Enter")
    told(page, "Kept as: a pond, 池塘 <b>")
    with closing(LabelLog(served.env["AVREC_FEEDBACK"])) as log:
        assert log.newest()[playing].labels == ("a pond", "池塘 <b>")


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
