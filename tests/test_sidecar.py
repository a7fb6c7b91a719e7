import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avrec_dag.media.sidecar import MAX_BYTES, MAX_LIST, MAX_WORD, Metadata, parse, read_folder_file, read_json

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*Metadata.model_fields, "views", ""]), anything))
def test_whatever_was_written_gives_metadata_within_its_limits(written):
    found = parse(written, "a.json")
    for text in (found.metadata.title, found.metadata.description, found.metadata.creator, found.metadata.source):
        assert text is None or (0 < len(text) <= 20_000 and text.encode())
    for words in (found.metadata.tags, found.metadata.labels):
        assert len(words) <= MAX_LIST and all(0 < len(word) <= MAX_WORD for word in words)
    assert all(warning.startswith("a.json: ") for warning in found.warnings)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_whatever_bytes_a_sidecar_holds_it_is_read_or_warned_of(data):
    written, warnings = read_json(data, "a.json")
    assert isinstance(written, dict)
    assert warnings or data.decode("utf-8-sig").strip().startswith("{")


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["metadata.jsonl", "metadata.csv"]))
def test_whatever_bytes_a_folder_file_holds_nothing_is_raised(data, name):
    found = read_folder_file(data, name)
    assert all(name and isinstance(record, dict) for name, record in found.records.items())
    assert all(warning.startswith(name) for warning in found.warnings)


def test_a_wrong_type_costs_its_own_key_alone_and_unknown_keys_nothing():
    found = parse({"title": "  a cat ", "tags": {"x": 1}, "labels": "cat; pet", "creator": ["me"], "views": 3}, "猫.json")
    assert found.metadata == Metadata(title="a cat", labels=("cat", "pet"))
    assert [warning.split()[1] for warning in found.warnings] == ["tags", "creator"]
    assert "猫.json: tags must be a list of texts; it is left out" in found.warnings


def test_long_texts_and_lists_are_cut_and_said_so():
    found = parse({"title": "x" * 600, "description": "y" * 30_000, "tags": [f"{i}" * 200 for i in range(1, 300)]}, "a.json")
    assert (len(found.metadata.title or ""), len(found.metadata.description or ""), len(found.metadata.tags)) == (500, 20_000, 100)
    assert max(map(len, found.metadata.tags)) == 100
    assert len(found.warnings) == 3


def test_control_characters_and_broken_unicode_do_not_pass():
    found = parse(json.loads('{"title": "a\\u0000b\\ud800c", "tags": ["\\u202e", "ok"]}'), "a.json")
    assert found.metadata.title == "ab?c"
    assert found.metadata.tags == ("ok",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "line 1, column 2"),
        (b"[1]", "not a list"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"title": ' + b"1" * 10_000 + b"}", "cannot be read"),
        (b" " * (MAX_BYTES + 1), "larger than"),
        (b"", "line 1"),
    ],
)
def test_a_broken_sidecar_says_what_is_wrong_and_where(data, said):
    written, (warning,) = read_json(data, "a.json")
    assert written == {}
    assert warning.startswith("a.json: ") and said in warning


def test_a_byte_order_mark_is_no_mistake():
    assert read_json(b'\xef\xbb\xbf{"title": "x"}', "a.json") == ({"title": "x"}, [])


def test_a_folder_file_speaks_of_uploads_by_name_line_by_line():
    jsonl = b'{"file": "a.mp4", "title": "A"}\n\nnot json\n{"title": "nobody"}\n{"file_name": "b.mp4", "labels": ["x"]}\n'
    found = read_folder_file(jsonl, "metadata.jsonl")
    assert {name: parse(record, "m").metadata for name, record in found.records.items()} == {
        "a.mp4": Metadata(title="A"),
        "b.mp4": Metadata(labels=("x",)),
    }
    assert [warning.split(": ")[1][:6] for warning in found.warnings] == ["line 3", "line 4"]


def test_a_csv_with_commas_quotes_and_empty_cells_is_read():
    data = 'file,title,tags,views\n"猫, 2.mp4","a ""cat""","x;y",3\nb.mp4,,,\n'.encode()
    found = read_folder_file(data, "metadata.csv")
    assert parse(found.records["猫, 2.mp4"], "m").metadata == Metadata(title='a "cat"', tags=("x", "y"))
    assert parse(found.records["b.mp4"], "m").metadata == Metadata()
