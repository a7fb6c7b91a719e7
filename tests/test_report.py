import dataclasses
import re
from pathlib import Path

import pytest

from assets import previews
from avrec_dag import report
from avrec_dag.items import Outcome, Row
from avrec_dag.ledger import Ledger
from avrec_dag.report.facts import gather
from avrec_dag.report.pictures import Pictures
from avrec_dag.report.write import clock, histogram, render
from avrec_dag.storage import Blobs
from tests.browser import CHROMIUM, opened
from tests.made_tables import VALUES
from tests.small_library import DAY, ODD, SOUND


@pytest.fixture(scope="module")
def page(small, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report") / "page.html"
    report.write(small.ledger, small.blobs, out)
    return out


def test_the_file_needs_nothing_but_itself(page):
    html = page.read_text(encoding="utf-8")

    addresses = re.findall(r'(?:src|href)="([^"]*)"', html) + re.findall(r"url\(([^)]*)\)", html)
    assert addresses
    assert {address.partition(":")[0] if ":" in address else address[:1] for address in addresses} <= {"data", "#"}
    assert "http:" not in html
    assert "https:" not in html


def test_every_item_and_every_failure_is_named(page):
    html = page.read_text(encoding="utf-8")

    assert html.count('<article class="card"') == 14
    for name in ("empty.mp4", "words.mp4", "cut.mp4"):
        assert f"dt={DAY}/{name}" in html
    assert "sound only" in html


def test_what_uploaders_wrote_stays_text(page):
    html = page.read_text(encoding="utf-8")

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(" in html
    assert html.count("<script>") == 1


def test_facts_tell_people_with_their_lists_and_reasons(small):
    facts = gather(small.ledger, people=5)

    assert len(facts.people) == 5
    for person in facts.people:
        assert person.liked
        assert person.offered
        assert all(one.reason for one in person.offered)
        met = {event.media_id for event in small.log.of_user(person.user_id)}
        assert met.isdisjoint(one.card.media_id for one in person.offered)


def test_facts_tell_evaluations_and_classes(small):
    facts = gather(small.ledger)

    assert facts.classifier is not None
    assert facts.classifier.models["content_classifier"]["accuracy"] > 0.25
    assert facts.recommender is not None
    assert "popularity" in facts.recommender.models
    assert sum(len(members) for _, members in facts.classes) == 14
    assert {card.media_id for card in facts.cards} >= {ODD, SOUND}


def test_an_empty_library_gives_a_page_too(tmp_path):
    out = tmp_path / "deep" / "page.html"
    size = report.write(Ledger(str(tmp_path / "store")), Blobs(str(tmp_path / "store")), out)

    assert size == len(out.read_text(encoding="utf-8"))
    assert "Nothing is in the library yet" in out.read_text(encoding="utf-8")


def test_what_is_said_and_shown_is_told_with_its_seconds_and_stays_text(tmp_path):
    ledger, out = Ledger(str(tmp_path / "store")), tmp_path / "page.html"
    spoken = [{"start_s": 61.0 + 5 * i, "end_s": 65.0 + 5 * i, "text": f"sentence {i} <b>bold</b>"} for i in range(6)]
    ledger.append("transcripts", DAY, [Row("a.mp4", "1", {"text": "h"}, {"language": "en", "text": "x", "segments": spoken})])
    ledger.append("transcripts", DAY, [Row("silent.mp4", "1", {}, {"text": "", "segments": []})])
    ledger.append("screen_text", DAY, [Row("b.mp4", "1", {}, {"text": "x", "lines": [{"start_s": 2.0, "end_s": 3.0, "text": "THE END"}]})])
    report.write(ledger, Blobs(ledger.uri), out)
    html = out.read_text(encoding="utf-8")
    assert "<b>1:01</b> sentence 0 &lt;b&gt;bold" in html and "and 2 more" in html
    assert "<b>0:02</b> THE END" in html
    assert "silent.mp4" not in html


def test_the_technically_weakest_are_told_with_what_takes_most(tmp_path):
    ledger, out = Ledger(str(tmp_path / "store")), tmp_path / "page.html"
    for media_id, score, sharpness, naturalness in (("good.mp4", 1.0, 1.0, 1.0), ("<b>weak.mp4", 0.33, 0.3, 0.0)):
        signals = [
            {"name": name, "value": 1.0, "unit": "x", "score": one, "reason": f"{name} <i> {one}"}
            for name, one in (("naturalness", naturalness), ("sharpness", sharpness), ("hum", 0.9))
        ]
        values = {"score": score, "picture_score": score, "sound_score": None, "signals": signals}
        ledger.append("technical_quality", DAY, [Row(media_id, "1", {"score": "s"}, values)])
    found = gather(ledger).technical
    assert (found.n_items, sum(found.histogram), found.histogram[-1], found.histogram[6]) == (2, 2, 1, 1)
    assert found.defects == (("naturalness", 1), ("sharpness", 1))
    weakest, best = found.items
    # Sharpness may take 0.8 of a score and naturalness 0.4, so that the lower score is not the weaker reason.
    assert (weakest.media_id, weakest.reasons) == ("<b>weak.mp4", ("sharpness <i> 0.3", "naturalness <i> 0.0"))
    assert best.reasons == ("hum <i> 0.9",)
    report.write(ledger, Blobs(ledger.uri), out)
    html = out.read_text(encoding="utf-8")
    assert "sharpness &lt;i&gt; 0.3; naturalness &lt;i&gt; 0.0" in html and "&lt;b&gt;weak.mp4" in html
    assert "<b>weak" not in html and "hum 0" not in html


def test_people_who_do_more_than_a_person_can_are_told_with_counts_and_so_is_what_variety_costs(tmp_path):
    ledger, blobs, out = Ledger(str(tmp_path / "store")), Blobs(str(tmp_path / "store")), tmp_path / "page.html"
    for user_id, n_capped in (("<b>bot", 1234), ("ann", 0), ("flood", 5)):
        ledger.append("interactions", "all", [Row(user_id, "1", {"history": "h"}, {**VALUES["interactions"], "n_capped": n_capped})])
    report.write(ledger, blobs, out)
    html = out.read_text(encoding="utf-8")
    assert "2 of 3 people passed the limits" in html and "1,239 events of theirs" in html
    assert "&lt;b&gt;bot" in html and "<b>bot" not in html and "What variety costs" not in html
    picture = blobs.put("recommender_evaluation", "v", "1", "variety.png", b"\x89PNG")
    values = {**VALUES["recommender_evaluation"], "details": '{"people": 2, "people_of_the_curve": 2}', "curve_picture": picture}
    ledger.append("recommender_evaluation", "all", [Row("v", "1", {}, values)])
    report.write(ledger, blobs, out)
    html = out.read_text(encoding="utf-8")
    assert "What variety costs" in html and "item of 2 people" in html and '<td class="number">0.800</td>' in html
    shown = dict(previews.of(Outcome("recommender_evaluation", "all", 1, 0, 0, 1, ""), ledger, blobs))["avrec/leaderboard"]
    assert "| way of spreading |" in shown and "| mmr | 0.4 | 0.3 | 0.8 |" in shown and shown.startswith("| model | ndcg@10 |")


@pytest.mark.parametrize(("seconds", "text"), [(None, "0:00"), (0.4, "0:00"), (59.6, "1:00"), (75, "1:15"), (3661, "1:01:01")])
def test_durations_read_as_clocks(seconds, text):
    assert clock(seconds) == text


def test_the_histogram_counts_every_judged_item_once(small):
    cards = [card for card in gather(small.ledger).cards if card.quality is not None]

    assert sum(histogram(cards)) == len(cards) == 14


@CHROMIUM
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_a_browser_shows_it_without_complaint_or_sideways_scrolling(page, scheme, width):
    with opened(page.as_uri(), scheme=scheme, width=width) as (tab, complaints):
        tab.wait_for_selector(".gallery .card")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator(".card:visible").count() == 14
        tab.locator(".chip", has_text="rings").click()
        assert 1 <= tab.locator(".card:visible").count() < 14
        paper = "() => getComputedStyle(document.body).backgroundColor"
        before = tab.evaluate(paper)
        tab.locator("#theme").click()
        assert tab.evaluate(paper) != before
    assert complaints == []


def test_copies_and_what_is_kept_back_are_told_and_hostile_names_stay_text(tmp_path):
    ledger, day = Ledger(str(tmp_path / "store")), "2026-01-01"
    evil = "<script>alert(1)</script>.mp4"
    for media_id, kind in ((evil, "canonical"), ("copy.mp4", "perceptual")):
        place = {"group_id": "g", "canonical": evil, "kind": kind, "similarity": 0.97, "evidence": "frames agree <b>0.97</b>"}
        partners = {"media_ids": [], "kinds": [], "scores": [], "reasons": [], "compared": "c"}
        ledger.append("duplicates", "all", [Row(media_id, "1", {}, {**place, **partners})])
        ledger.append("raw_media", day, [Row(media_id, "1", {"video": "v"}, {"kind": "video", "title": media_id})])
        ledger.append("frames", day, [Row(media_id, "1", {"frames": "f"}, {"n_frames": 1, "blob": "blobs/frames/x/1"})])
    held = {"decision": "hold", "origin": "model", "reason": "worst frame <i>", "score": 0.7, "worst_s": 1.0}
    ledger.append("moderation_decisions", "all", [Row(evil, "1", {"decision": "hold"}, held)])
    facts = gather(ledger)
    assert [row["kind"] for row in facts.copies.largest[0]] == ["canonical", "perceptual"]
    assert {card.media_id: card.frames for card in facts.cards} == {evil: "", "copy.mp4": "blobs/frames/x/1"}
    html = render(dataclasses.replace(facts, cards=()), Pictures(Blobs(ledger.uri)))
    assert "2 items in 1 groups" in html
    assert "allow 0, hold 1, block 0; 0 decided by people" in html
    assert "<script>alert" not in html
    assert "<b>0.97" not in html
    assert "worst frame <i>" not in html
