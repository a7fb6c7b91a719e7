"""Files of interactions: what is read, and that nothing of a hostile one is lost without a word."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.errors import SettingError
from avrec_dag.recommend.evaluation import ranking, reading, splits
from avrec_dag.recommend.evaluation.reading import read

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "events"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def histories(found: reading.Reading) -> dict[str, list[str]]:
    data = found.interactions
    return {
        user: [data.items[column] for column in data.columns[start:end]]
        for user, start, end in zip(data.users, data.indptr[:-1], data.indptr[1:], strict=True)
    }


def test_sequences_are_read_in_their_order(tmp_path):
    found = read(written(tmp_path, "\ufeffada cat dog\nбоб 猫 cat 🐕\r\n\nada sun\n"), "sequences")
    assert histories(found) == {"ada": ["cat", "dog", "sun"], "боб": ["猫", "cat", "🐕"]}
    assert found.interactions.at_s.tolist() == [0, 1, 2, 0, 1, 2]
    assert (found.clock, found.ratings) == (False, None)
    assert found.found.counts == {"blank_lines": 1, "repeated_users": 1, "out_of_order": 0}


def test_inter_is_put_in_order_of_time_and_of_lines_where_times_are_equal(tmp_path):
    lines = ["a\tx\t3\t20", "b\ty\t1\t5", "a\ty\t5\t10", "a\tz\t4\t10", "a\tx\t3\t20"]
    found = read(written(tmp_path, HEADER + "\n".join(lines)), "inter")
    assert histories(found) == {"a": ["y", "z", "x"], "b": ["y"]}
    assert found.ratings.tolist() == [5, 4, 3, 1]
    assert found.interactions.at_s.tolist() == [10, 10, 20, 5]
    assert found.found.counts == {"out_of_order": 1, "duplicates": 1, "future": 0}


@pytest.mark.parametrize("header", ["user_id\titem_id\n", "item_id:token\tprice:float\tuser_id:token\n"])
def test_columns_may_be_missing_or_more_and_stand_anywhere(tmp_path, header):
    names = [name.split(":")[0] for name in header.strip().split("\t")]
    row = "\t".join({"user_id": "u", "item_id": "i", "price": "cheap"}[name] for name in names)
    found = read(written(tmp_path, header + row), "inter")
    assert histories(found) == {"u": ["i"]}
    assert (found.clock, found.ratings) == (False, None)


def test_every_broken_line_is_named_by_its_number_and_leaves_nothing(tmp_path):
    lines = [
        b"a\tx\t1\t1", b"a\ty\t1",
        b"\tghost\t1\t1", b"lost\t\t1\t1", b"a\tz\tnan\t1", b"a\tz\t1\tinf", b"a\tz\t1\tsoon", b"a\t\xff\xfe\t1\t1",
        b"", b"a\tz\t1\t1_0", b"a\t" + b"q" * 2000 + b"\t1\t1", b"a\tz\t1\t2",
    ]  # fmt: skip
    found = read(written(tmp_path, HEADER.encode() + b"\n".join(lines)), "inter")
    assert histories(found) == {"a": ["x", "z"]}
    assert [line for line, _ in found.found.named] == [3, 4, 5, 6, 7, 8, 9, 11, 12]
    assert found.found.broken == 9
    told = found.found.told()
    assert told["broken_by_reason"]["not UTF-8"] == told["broken_by_reason"]["the rating is no finite number"] == 1
    assert told["broken_by_reason"]["an empty id"] == 2
    assert (told["lines"], told["blank_lines"]) == (13, 1)


def test_broken_lines_of_sequences(tmp_path):
    found = read(written(tmp_path, b"a x y\nalone\n\xff x\nb y \xfe\nb y\n"), "sequences")
    assert histories(found) == {"a": ["x", "y"], "b": ["y"]}
    assert [line for line, _ in found.found.named] == [2, 3, 4]


@pytest.mark.parametrize(
    ("content", "form", "said"),
    [
        (b"", "sequences", "empty"),
        (b"", "inter", "user_id"),
        (HEADER.encode(), "inter", "empty"),
        (b"\n\n \n", "sequences", "no interaction"),
        (HEADER.encode() + b"a\tx\n", "inter", "line 2"),
        (HEADER.encode() + b"a\tx\t1\t1\n", "sequences", "--format inter"),
        (b"1 2 3\n", "inter", "user_id and item_id"),
        (b"user_id,item_id\n1,2\n", "inter", "user_id,item_id"),
        (b"\x1f\x8b\x08", "inter", "gzip"),
        ("user_id".encode("utf-16"), "inter", "UTF-16"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_what_to_do(tmp_path, content, form, said):
    with pytest.raises(SettingError, match=said):
        read(written(tmp_path, content), form)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SettingError, match="cannot be read"):
            read(path, "inter")


def test_times_in_the_future_keep_their_place_but_not_their_time(tmp_path):
    far = time.time() + 1e9
    found = read(written(tmp_path, HEADER + f"a\tx\t1\t{far}\na\ty\t1\t100\nb\tz\t1\t{far + 5}"), "inter")
    assert histories(found) == {"a": ["y", "x"], "b": ["z"]}
    assert found.interactions.at_s.tolist() == [100, 100, 100]
    assert found.found.counts["future"] == 2


@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e9])
def test_units_of_time_are_told_by_their_size(tmp_path, scale):
    at = [978300019, 978300055]
    found = read(written(tmp_path, HEADER + "".join(f"a\t{place}\t1\t{int(at_s * scale)}\n" for place, at_s in enumerate(at))), "inter")
    np.testing.assert_allclose(found.interactions.at_s, at)
    assert found.found.counts.get("timestamp_units_per_second", 1) == scale


_ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1, max_size=6).filter(
    lambda name: name.strip()
)


@settings(max_examples=60, deadline=None)
@given(events=st.lists(st.tuples(_ids, _ids, st.integers(-5, 5)), min_size=1, max_size=30))
def test_any_unicode_survives_and_equals_a_plain_reading(tmp_path_factory, events):
    path = tmp_path_factory.mktemp("inter") / "any.inter"
    path.write_bytes((HEADER + "".join(f"{user}\t{item}\t1\t{at}\n" for user, item, at in events)).encode())
    expected: dict[str, list[tuple[int, str]]] = {}
    for user, item, at in events:
        expected.setdefault(user, [])
        if (at, item) not in expected[user]:
            expected[user].append((at, item))
    plain = {user: [item for _, item in sorted(some, key=lambda one: one[0])] for user, some in expected.items()}
    found = read(path, "inter")
    assert histories(found) == plain
    assert found.found.counts["duplicates"] == len(events) - sum(map(len, plain.values()))


@pytest.mark.parametrize("form", ["sequences", "inter"])
def test_a_user_with_very_many_events_is_read_split_and_ranked(tmp_path, form):
    n = 50_000
    if form == "sequences":
        content = "few 1 2 3\nmany " + " ".join(str(place % (n // 2)) for place in range(n)) + "\n"
    else:
        content = HEADER + "few\t1\t1\t1\nfew\t2\t1\t2\n" + "".join(f"many\t{place}\t1\t{n - place}\n" for place in range(n))
    tracemalloc.start()
    found = read(written(tmp_path, content), form)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.interactions) == n + (3 if form == "sequences" else 2)
    assert peak < 60 * len(content)  # bytes of memory per byte of the file: ids and a few arrays
    parts = splits.split(found.interactions, "user-time")
    wanted = ranking.wanted(parts.known, parts.test)
    width = len(found.interactions.items)
    ranked = ranking.ranked(lambda some: np.zeros((len(some.users), width), np.float32), parts.known, wanted)
    assert len(ranked.n_relevant) >= 1
