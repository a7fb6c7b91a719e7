import numpy as np
import pyarrow as pa
import pytest

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.index import ItemIndex, files
from avrec_dag.index.nearest import products
from avrec_dag.schema import VECTOR


def features(vectors: dict[str, np.ndarray | None], joint: dict[str, np.ndarray] | None = None) -> pa.Table:
    joint = joint or {}
    return pa.table(
        {
            "media_id": pa.array(list(vectors), pa.string()),
            "vector": pa.array([None if vector is None else vector.tolist() for vector in vectors.values()], VECTOR),
            "joint": pa.array([joint[name].tolist() if name in joint else None for name in vectors], VECTOR),
        }
    )


def unit(n: int, dim: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def index() -> ItemIndex:
    fused, joint = unit(300, 24), unit(300, 16, seed=1)
    names = [f"{place:03d}.mp4" for place in range(300)]
    return ItemIndex.build(features(dict(zip(names, fused, strict=True)), dict(zip(names[:-1], joint, strict=False))))


def test_neighbours_are_exactly_those_of_plain_arithmetic(index):
    cosines = index.fused @ index.fused[17]
    cosines[17] = -2
    expected = np.argsort(-cosines)[:10]
    found = index.similar("017.mp4", 10)
    assert [name for name, _ in found] == [index.items[place] for place in expected]
    np.testing.assert_allclose([score for _, score in found], cosines[expected], atol=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_products_with_some_rows_are_those_of_plain_arithmetic_and_no_row_outside_is_read(order):
    vectors, query = np.asarray(unit(50, 7), order=order), unit(1, 7, seed=3)[0]
    rows = np.random.default_rng(1).integers(0, 50, 20)
    np.testing.assert_allclose(products(vectors, rows, query), vectors[rows] @ query, rtol=1e-5, atol=1e-6)
    assert products(vectors, rows[:0], query).shape == (0,)
    for bad in (np.array([50]), np.array([3, -51])):
        with pytest.raises(IndexError):
            products(vectors, bad, query)


def test_an_item_is_never_its_own_neighbour_even_among_copies():
    index = ItemIndex.build(features({name: unit(1, 4)[0] for name in "abc"}))
    assert sorted(name for name, _ in index.similar("b", 5)) == ["a", "c"]


def test_search_finds_what_lies_where_the_words_point_and_nothing_without_a_place(index):
    assert index.search(index.joint[5], 3)[0] == ("005.mp4", pytest.approx(1.0, abs=1e-5))
    assert len(index.search(index.joint[5], 1000)) == 299
    assert "299.mp4" not in dict(index.search(index.joint[5], 1000))


def test_an_unknown_item_is_said_to_be_missing(index):
    with pytest.raises(MissingError, match=r"nobody\.mp4"):
        index.similar("nobody.mp4", 3)


def test_a_query_from_another_space_is_refused_with_what_to_do(index):
    with pytest.raises(SettingError, match="text encoder"):
        index.search(np.ones(99, np.float32), 3)


def test_rows_of_another_dimension_wait_for_their_new_vectors():
    vectors = {"a": unit(1, 8)[0], "b": unit(1, 8, 1)[0], "old": unit(1, 5)[0], "none": None, "nan": np.full(8, np.nan, np.float32)}
    index = ItemIndex.build(features(vectors))
    assert index.items == ("a", "b")
    assert index.left_out == 3


def test_the_order_of_rows_and_their_chunks_do_not_matter():
    vectors = {f"i{n}": vector for n, vector in enumerate(unit(9, 4))}
    table = features(vectors)
    chunked = pa.concat_tables([table.slice(6), table.slice(0, 2), table.slice(2, 4)])
    assert files.files(ItemIndex.build(chunked)) == files.files(ItemIndex.build(table))
