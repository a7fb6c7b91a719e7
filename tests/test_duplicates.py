from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.duplicates import groups
from avrec_dag.duplicates.fingerprints import FILE, Fingerprint
from avrec_dag.duplicates.grouping import around_canonical, families
from avrec_dag.duplicates.matching import Compared, Limits, about_as_long, compared, judged
from avrec_dag.duplicates.picture_match import aligned
from avrec_dag.duplicates.picture_print import mirrored, picture_print
from avrec_dag.duplicates.sound_match import sound_agreement, sound_print
from avrec_dag.duplicates.stage import update_duplicates
from avrec_dag.items import Row
from avrec_dag.ledger import Ledger
from avrec_dag.steps import WHOLE, Recipe, graph
from avrec_dag.storage import Blobs

STEP = graph(Recipe("f", "a", "e", "t", "s"))["duplicates"]
DAYS = ("2026-01-01", "2026-01-02")


def scene(seed: int, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """A picture with enough to see in it: blots of many sizes and colours."""
    import cv2

    rng = np.random.default_rng(seed)
    picture = np.full((*size, 3), rng.integers(40, 200, 3), np.uint8)
    for _ in range(60):
        centre = int(rng.integers(0, size[1])), int(rng.integers(0, size[0]))
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        axes = int(rng.integers(4, 40)), int(rng.integers(4, 40))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return cv2.GaussianBlur(picture, (3, 3), 0)


def sound(seed: int, seconds: float = 4.0) -> np.ndarray:
    """A log-mel spectrogram (n, 64) in dB of bursts in changing bands."""
    rng = np.random.default_rng(seed)
    levels = np.full((int(seconds * 100), 64), -50, np.float32)
    for start in range(0, len(levels), 20):
        low = int(rng.integers(0, 50))
        levels[start : start + int(rng.integers(8, 20)), low : low + 10] = rng.uniform(-30, 0)
    return levels + rng.normal(0, 1, levels.shape).astype(np.float32)


def taken(pictures: Sequence[np.ndarray], heard: np.ndarray | None = None, duration_s: float = 4.0) -> Fingerprint:
    at = ((np.arange(len(pictures)) + 0.5) / max(1, len(pictures))).astype(np.float32)
    silence = np.zeros((0, 64), np.uint8)
    return Fingerprint(tuple(map(picture_print, pictures)), at, silence if heard is None else sound_print(heard), duration_s)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    import cv2

    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def scaled(picture: np.ndarray, by: float) -> np.ndarray:
    import cv2

    return cv2.resize(picture, None, fx=by, fy=by, interpolation=cv2.INTER_AREA)


def stamped(picture: np.ndarray) -> np.ndarray:
    import cv2

    picture = picture.copy()
    cv2.circle(picture, (280, 30), 18, (230, 40, 40), -1)
    cv2.putText(picture, "@best_clips", (10, 225), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    return picture


CHANGES = {
    "compressed": lambda p: jpeg(p, 12),
    "cropped by 20 %": lambda p: p[30:222, 20:276],
    "half the size": lambda p: scaled(p, 0.5),
    "larger": lambda p: scaled(p, 1.5),
    "watermarked": stamped,
    "darker": lambda p: np.clip(p.astype(np.float32) * 1.2 - 40, 0, 255).astype(np.uint8),
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
    "cropped, watermarked and compressed": lambda p: jpeg(stamped(p)[24:, 20:], 25),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(3))
def test_a_changed_copy_is_known_again_and_says_how(change, seed):
    pictures = [scene(10 * seed + number) for number in range(2)]
    verdict = judged(compared(taken(pictures), taken([CHANGES[change](one) for one in pictures])), Limits())
    assert verdict is not None
    assert verdict.kind == "perceptual"
    assert ("mirror" in verdict.evidence) == (change == "mirrored")
    if change == "cropped by 20 %":
        assert "1.25 times larger" in verdict.evidence or "1.24" in verdict.evidence or "1.26" in verdict.evidence


def test_strangers_are_no_copies():
    pictures = [taken([scene(seed), scene(seed + 100)]) for seed in range(8)]
    assert [judged(compared(a, b), Limits()) for a in pictures for b in pictures if a is not b] == [None] * 56


def test_one_coloured_pictures_are_no_copies_of_one_another():
    grey, blue = (taken([np.full((90, 160, 3), colour, np.uint8)]) for colour in ([90, 90, 90], [20, 40, 220]))
    assert judged(compared(grey, blue), Limits()) is None
    assert judged(compared(grey, grey), Limits()) is None


def test_the_print_of_a_mirrored_picture_is_the_mirrored_print():
    a, b = mirrored(picture_print(scene(3))), picture_print(np.ascontiguousarray(scene(3)[:, ::-1]))
    moved, n_inliers = aligned(a, b)
    assert n_inliers > 30
    np.testing.assert_allclose(moved, np.eye(2, 3), atol=0.02)
    assert np.array_equal(a.small, b.small)


def test_a_sound_is_known_again_at_another_speed_level_and_delay():
    original = sound(1)
    faster = original[(np.arange(int(400 / 1.05)) * 1.05).astype(int)][12:]
    print_a, print_b = sound_print(original), sound_print(np.roll(faster - 12, 1, axis=1))
    assert sound_agreement(print_a, print_b, len(faster) / 400) > 0.7
    assert sound_agreement(print_a, sound_print(sound(2)), 1.0) < 0.4
    assert sound_agreement(print_a, sound_print(np.full((400, 64), -30.0)), 1.0) is None


def test_the_same_wall_behind_other_words_is_no_copy():
    assert judged(Compared(0.85, 0.1), Limits()) is None
    assert judged(Compared(0.85, 0.9), Limits()).kind == "perceptual"
    assert judged(Compared(0.2, 0.9), Limits()).kind == "semantic"
    assert judged(Compared(0.2, None), Limits()) is None
    assert judged(Compared(None, 0.9), Limits()).kind == "perceptual"


def test_a_copy_is_about_as_long():
    assert about_as_long(60, 57.2)
    assert about_as_long(0, 0)
    assert not about_as_long(60, 30)
    assert not about_as_long(60, 0)


def test_a_fingerprint_is_read_as_it_was_written():
    one = taken([scene(1), np.zeros((50, 40, 3), np.uint8)], sound(1))
    again = Fingerprint.read(one.file())
    assert again.file() == one.file()
    assert judged(compared(one, again), Limits()).similarity > 0.98
    nothing = Fingerprint((), np.zeros(0, np.float32), np.zeros((0, 64), np.uint8), 1.0)
    assert Fingerprint.read(nothing.file()).frames == ()


IDS = [f"{letter}.mp4" for letter in "abcdefgh"]
PAIRS = st.sets(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)).filter(lambda two: two[0] < two[1]))


@given(PAIRS, st.permutations(range(8)))
def test_a_group_holds_only_what_was_verified_against_its_canonical_item(pairs, order):
    rank = {one: (place,) for one, place in zip(IDS, order, strict=True)}
    canonical = around_canonical(pairs, rank)
    assert canonical.keys() == {one for two in pairs for one in two}
    for one, best in canonical.items():
        assert one == best or (min(one, best), max(one, best)) in pairs
        assert canonical[best] == best
        assert rank[best] <= rank[one]


@given(PAIRS)
def test_families_join_whatever_is_linked_and_nothing_else(pairs):
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    links = sp.coo_matrix((np.ones(len(pairs)), ([IDS.index(a) for a, _ in pairs], [IDS.index(b) for _, b in pairs])), shape=(8, 8))
    judge = connected_components(links, directed=False)[1]
    found = families(pairs)
    for a in found:
        for b in found:
            assert (found[a] == found[b]) == (judge[IDS.index(a)] == judge[IDS.index(b)])


def test_a_list_shows_each_group_once():
    assert groups.collapsed(["a", "b", "c", "d"], {"b": "g", "a": "g", "d": "h"}) == ["a", "c", "d"]


SCENES = {number: taken([scene(number)]).file() for number in range(3)}
COPY = taken([stamped(scene(0))]).file()
CONTENTS: Mapping[str, tuple[bytes, int]] = {
    **{f"scene {number}": (data, number) for number, data in SCENES.items()}, "copy of 0": (COPY, 0), "copy of 0 again": (SCENES[0], 0),
}  # fmt: skip


def put(ledger: Ledger, library: Mapping[str, tuple[str, int]]) -> None:
    """Write what the earlier steps would have written: item -> (content, height); items of other days and older ones leave."""
    blobs = Blobs(ledger.uri)
    tables = ("raw_media", "fingerprints", "frame_embeddings")
    for day, place in zip(DAYS, (0, 1), strict=True):
        mine = {one: of for one, of in library.items() if IDS.index(one) % 2 == place}
        for table in tables:
            there = ledger.rows(table, day, [])["media_id"].to_pylist()
            ledger.tombstone(table, day, [one for one in there if one not in mine])
        for one, (content, height) in mine.items():
            data, number = CONTENTS[content]
            vector = np.eye(4, dtype=np.float32)[number].tolist()
            blobs.put("fingerprints", one, content, FILE, data)
            hashes = {"video_hash": content if content != "copy of 0 again" else "scene 0", "audio_hash": None}
            ledger.append(
                "raw_media", day, [Row(one, "1", {"video": content}, {"kind": "video", "duration_s": 4.0, "width": 320, "height": height})]
            )
            values = {**hashes, "blob": blobs.prefix("fingerprints", one, content)}
            ledger.append("fingerprints", day, [Row(one, content, {"fingerprint": content}, values)])
            ledger.append("frame_embeddings", day, [Row(one, content, {"vector": f"{number}"}, {"vector": vector})])


LIBRARY = st.dictionaries(st.sampled_from(IDS[:5]), st.tuples(st.sampled_from(sorted(CONTENTS)), st.sampled_from([180, 240])), max_size=5)


def stored(ledger: Ledger) -> list[dict]:
    rows = ledger.rows("duplicates", WHOLE, ["version", *STEP_COLUMNS]).to_pylist()
    return sorted(rows, key=lambda row: row["media_id"])


STEP_COLUMNS = ("group_id", "canonical", "kind", "similarity", "evidence", "media_ids", "kinds", "scores", "reasons")


@settings(max_examples=6, deadline=None)
@given(st.lists(LIBRARY, min_size=2, max_size=3))
def test_step_by_step_gives_what_from_scratch_gives(tmp_path_factory, libraries):
    growing = Ledger(str(tmp_path_factory.mktemp("growing")))
    for library in libraries:
        put(growing, library)
        update_duplicates(growing, STEP)
        assert update_duplicates(growing, STEP).computed == 0
    fresh = Ledger(str(tmp_path_factory.mktemp("fresh")))
    put(fresh, libraries[-1])
    update_duplicates(fresh, STEP)
    assert stored(growing) == stored(fresh)


def test_only_what_is_new_is_compared_and_the_largest_picture_is_canonical(tmp_path):
    ledger = Ledger(str(tmp_path))
    put(ledger, {"a.mp4": ("scene 0", 180), "b.mp4": ("scene 1", 180)})
    assert update_duplicates(ledger, STEP).notes["compared"] == 0  # their vectors are far apart
    put(ledger, {"a.mp4": ("scene 0", 180), "b.mp4": ("scene 1", 180), "c.mp4": ("copy of 0", 240), "d.mp4": ("copy of 0 again", 180)})
    outcome = update_duplicates(ledger, STEP)
    assert outcome.notes["groups"] == 1
    kinds = {row["media_id"]: (row["kind"], row["canonical"]) for row in stored(ledger)}
    assert kinds == {
        "a.mp4": ("perceptual", "c.mp4"), "b.mp4": ("unique", None), "c.mp4": ("canonical", "c.mp4"), "d.mp4": ("perceptual", "c.mp4"),
    }  # fmt: skip
    row = next(row for row in stored(ledger) if row["media_id"] == "a.mp4")
    assert dict(zip(row["media_ids"], row["kinds"], strict=True)) == {"c.mp4": "perceptual", "d.mp4": "exact"}
    assert set(groups.groups(ledger)) == set(groups.families(ledger)) == {"a.mp4", "c.mp4", "d.mp4"}
    put(ledger, {"a.mp4": ("scene 0", 180), "b.mp4": ("scene 1", 180)})
    assert update_duplicates(ledger, STEP).removed == 2
    assert groups.groups(ledger) == {}


def test_erasing_the_canonical_item_leaves_no_row_that_names_it_and_the_next_run_groups_the_rest(tmp_path):
    ledger = Ledger(str(tmp_path))
    library = {"a.mp4": ("scene 0", 180), "c.mp4": ("copy of 0", 240), "d.mp4": ("copy of 0 again", 180)}
    put(ledger, library)
    update_duplicates(ledger, STEP)
    ledger.erase(ledger.item("c.mp4"))
    assert "c.mp4" not in str(ledger.rows("duplicates", WHOLE).to_pylist())
    assert {row["kind"] for row in stored(ledger)} == {"unique"}
    update_duplicates(ledger, STEP)
    assert {row["media_id"]: row["canonical"] for row in stored(ledger)} == {"a.mp4": "a.mp4", "d.mp4": "a.mp4"}
