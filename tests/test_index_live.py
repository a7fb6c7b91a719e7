import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.errors import AvrecError
from avrec_dag.index import ItemIndex, LiveIndex, files
from avrec_dag.index.nearest import InvertedFile, Neighbours
from avrec_dag.items import Row
from avrec_dag.recommend import indexing
from avrec_dag.storage import Blobs
from tests.made_library import DAY, STEPS, made_library
from tests.test_index import features, unit

DIM, JOINT = 6, 4
NAMES = [f"{number:02d}" for number in range(24)]


def named_index(names: list[str], seed: int, no_joint: frozenset[str] = frozenset(), most_exact: int = 50_000) -> ItemIndex:
    vectors = dict(zip(names, unit(max(1, len(names)), DIM, seed), strict=False))
    joint = {name: vector for name, vector in zip(names, unit(max(1, len(names)), JOINT, seed + 1), strict=False) if name not in no_joint}
    return ItemIndex.build(features(vectors, joint), dims=(DIM, JOINT), most_exact=most_exact)


def brute(truth: dict[str, np.ndarray], query: np.ndarray, k: int) -> list[tuple[str, float]]:
    """Every inner product by plain arithmetic; items with no vector are not found."""
    scored = [(name, float(vector @ query)) for name, vector in truth.items() if vector.any()]
    return sorted(scored, key=lambda pair: -pair[1])[:k]


def assert_same(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    np.testing.assert_allclose([score for _, score in found], [score for _, score in expected], atol=1e-5)
    assert {name for name, _ in found} == {name for name, _ in expected}


subsets = st.frozensets(st.sampled_from(NAMES))


@settings(max_examples=60, deadline=None)
@given(stored=subsets, beside=subsets, shown=subsets, no_joint=subsets, k=st.integers(0, 30), filed=st.booleans(), seed=st.integers(0, 50))
def test_a_live_index_answers_as_plain_arithmetic_over_what_is_there_now(stored, beside, shown, no_joint, k, filed, seed):
    old = named_index(sorted(stored), seed, no_joint, most_exact=7 if filed else 50_000)
    new = named_index(sorted(beside), seed + 100, no_joint)
    live = LiveIndex.of(old, shown, new if new.items else None)
    truth = {name: (new if name in new.items else old) for name in (stored | beside) & shown}
    joint = {name: holder.joint_of(name) for name, holder in truth.items()}
    fused = {name: holder.fused_of(name) for name, holder in truth.items()}
    assert set(live.items) == set(truth)
    query = unit(1, JOINT, seed + 7)[0]
    if filed:  # an inverted file may miss some of the nearest, but never scores one wrongly and never shows what is gone
        found = live.search(query, k)
        assert all(score == pytest.approx(float(joint[name] @ query), abs=1e-5) for name, score in found)
        assert len({name for name, _ in found}) == len(found) <= k
        return
    assert_same(live.search(query, k), brute(joint, query, k))
    for name in sorted(truth)[:2]:
        rest = {other: vector for other, vector in fused.items() if other != name}
        assert_same(live.similar(name, k), brute(rest, fused[name], k))
    for row, name in enumerate(live.items):
        np.testing.assert_array_equal(live.fused[row], fused[name])
        np.testing.assert_array_equal(live.joint[row], joint[name])


def clustered(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(60, dim))[rng.integers(0, 60, n)] + rng.normal(size=(n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_an_inverted_file_finds_nearly_all_of_the_nearest_and_scores_them_exactly():
    asked, vectors = np.split(clustered(9060, 32), [60])
    filed, nothing = InvertedFile.build(vectors), np.zeros(0, np.int64)
    near, every = Neighbours(vectors, filed), Neighbours(vectors)
    hits = 0
    for query in asked:
        (rows, scores), (truth, _) = near.nearest(query, 10, nothing), every.nearest(query, 10, nothing)
        hits += len(set(rows.tolist()) & set(truth.tolist()))
        np.testing.assert_allclose(scores, vectors[rows] @ query, atol=1e-5)
    assert hits / 600 >= 0.95
    gone = every.nearest(vectors[5], 8000, nothing)[0][:200]
    assert not set(near.nearest(vectors[5], 50, gone)[0].tolist()) & set(gone.tolist())
    assert set(near.nearest(vectors[5], 9000, gone)[0].tolist()) == set(range(9000)) - set(gone.tolist())


def stored_index(root: Path, most_exact: int = 100) -> tuple[ItemIndex, Blobs, str, str]:
    vectors = clustered(400, 16)
    names = [f"{number:03d}" for number in range(400)]
    index = ItemIndex.build(
        features(dict(zip(names, vectors, strict=True)), dict(zip(names, vectors[:, :8], strict=True))), most_exact=most_exact
    )
    blobs, told = Blobs(str(root)), files.files(index)
    for name, content in told.items():
        blobs.put("item_index", "item_index", "v", name, content)
    return index, blobs, blobs.prefix("item_index", "item_index", "v"), files.digests(told)


def test_an_index_read_back_is_the_index_mapped_from_its_files(tmp_path):
    index, blobs, prefix, sha256 = stored_index(tmp_path)
    again = files.opened(blobs, prefix, sha256)
    assert again == replace(index, fused=again.fused, joint=again.joint)
    np.testing.assert_array_equal(again.fused, index.fused)
    np.testing.assert_array_equal(again.joint, index.joint)
    assert isinstance(again.fused, np.memmap)
    assert again.similar("007", 10) == index.similar("007", 10)
    assert set(again.filed) == {"fused", "joint"}
    assert files.files(again).keys() == files.files(index).keys()


def test_a_search_of_a_mapped_file_starts_no_threads(tmp_path):
    import faiss

    _, blobs, prefix, sha256 = stored_index(tmp_path)
    filed = files.opened(blobs, prefix, sha256).filed["fused"]
    lists = faiss.downcast_InvertedLists(filed.index.invlists)
    assert isinstance(lists, faiss.OnDiskInvertedLists)
    assert lists.prefetch_nthread == 0


def rewritten(blobs: Blobs, prefix: str, name: str, content: bytes) -> None:
    path = blobs.local(f"{prefix}/{name}")
    assert path is not None
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["index.json", "fused.npy", "joint.npy"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("how", ["cut", "gone", "other", "empty"])
def test_broken_ids_and_vectors_are_refused_in_one_sentence(tmp_path, name, told, how):
    _, blobs, prefix, sha256 = stored_index(tmp_path)
    whole = blobs.get(f"{prefix}/{name}")
    other = (
        b'{"items": ["a", "a"], "versions": 3}'
        if name.endswith("json")
        else b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False}"
    )
    rewritten(blobs, prefix, name, {"cut": whole[: len(whole) // 2], "other": other, "empty": b"", "gone": b""}[how])
    if how == "gone":
        (Path(blobs.uri) / prefix / name).unlink()
    with pytest.raises(AvrecError, match=r"of the item index|the item index names") as refused:
        files.opened(blobs, prefix, sha256 if told else None)
    assert "avrec materialize" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("how", ["cut", "flipped", "gone", "another's", "untold"])
def test_an_inverted_file_that_is_not_what_was_stored_is_never_read_and_every_item_is_compared(tmp_path, caplog, monkeypatch, how):
    index, blobs, prefix, sha256 = stored_index(tmp_path)
    whole = bytearray(blobs.get(f"{prefix}/fused.faiss"))
    whole[200] ^= 255
    contents = {"cut": bytes(whole[:900]), "flipped": bytes(whole), "another's": InvertedFile.build(clustered(90, 5)).content()}
    if how in contents:
        rewritten(blobs, prefix, "fused.faiss", contents[how])
    elif how == "gone":
        (Path(blobs.uri) / prefix / "fused.faiss").unlink()
    import faiss

    read = faiss.read_index
    monkeypatch.setattr(faiss, "read_index", lambda path, *rest: pytest.fail("it was read") if "fused" in path else read(path, *rest))
    with caplog.at_level(logging.WARNING):
        found = files.opened(blobs, prefix, None if how == "untold" else sha256)
    assert "fused.faiss" in caplog.text
    assert "every item is compared" in caplog.text
    exactly = replace(index, filed={})
    assert found.similar("011", 20) == exactly.similar("011", 20)


def test_a_sound_file_of_other_vectors_is_not_used(tmp_path):
    other = tmp_path / "other.faiss"
    other.write_bytes(InvertedFile.build(clustered(90, 5)).content())
    for vectors in (clustered(90, 6), clustered(20, 5)):
        with pytest.raises(AvrecError, match="not one of"):
            InvertedFile.opened(other, vectors)
    with pytest.raises(AvrecError, match="cannot be read"):
        InvertedFile.opened(other.read_bytes()[:50], clustered(90, 5))


def test_what_joins_changes_or_leaves_is_seen_at_once_without_a_new_index(tmp_path):
    library = made_library(tmp_path)
    library.refresh(measured=False)
    library.log.close()
    before = library.ledger.row("item_index", "item_index")
    first = library.recommender().catalogue.index
    assert isinstance(first, ItemIndex)
    joined, changed, left = unit(1, 48, 5)[0], unit(1, 48, 6)[0], first.items[3]
    library.put([("new/one.mp4", "cat", 0.5), (first.items[0], "cat", 0.5)], np.stack([joined, changed]))
    library.ledger.append("fused_features", DAY, [Row("of/another.mp4", "1", {"vector": "x"}, {"vector": [1.0, 0.0]})])
    library.ledger.append("raw_media", DAY, [Row("of/another.mp4", "1", {}, {"kind": "video"})])
    library.remove(left)
    now = library.recommender()
    assert library.ledger.row("item_index", "item_index") == before
    assert now.catalogue.index.search(joined, 1) == [("new/one.mp4", pytest.approx(1, abs=1e-5))]
    assert now.catalogue.index.search(changed, 1) == [(first.items[0], pytest.approx(1, abs=1e-5))]
    assert {left, "of/another.mp4"}.isdisjoint(now.catalogue.index.items)
    assert "new/one.mp4" in {one.media_id for one in now.recommend("made-user-001", 80)}
    outcome = indexing.update_index(library.ledger, library.blobs, STEPS["item_index"])
    assert (outcome.computed, outcome.notes["left_out"]) == (1, 1)
    anew = library.recommender().catalogue.index
    assert isinstance(anew, ItemIndex)
    assert set(anew.items) == set(now.catalogue.index.items)
    assert dict(anew.search(joined, 20)) == pytest.approx(dict(now.catalogue.index.search(joined, 20)), abs=1e-5)
    assert indexing.update_index(library.ledger, library.blobs, STEPS["item_index"]).computed == 0
