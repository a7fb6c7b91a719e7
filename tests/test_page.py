from contextlib import closing
from typing import Any

from avrec_dag.labelling import LabelLog
from tests.browser import CHROMIUM, visiting
from tests.watch_page import act, acted, events_of, listed, shown, told

pytestmark = CHROMIUM
UNASKED = {"play", "impression"}


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
