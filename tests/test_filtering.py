"""What people must not be shown, against plain sets; and what is known of a new person."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from avrec_dag.recommend.context import MOST_INTERESTS, Context
from avrec_dag.recommend.filtering import Filter

ITEMS = tuple("abcdefgh")
_groups = st.dictionaries(st.sampled_from([*ITEMS, "gone"]), st.sampled_from(["g1", "g2", "a"]))
_met = st.lists(st.sets(st.sampled_from([*ITEMS, "gone"])), min_size=1, max_size=4)


def plain(met: set[str], group_of: dict[str, str], withheld: set[str]) -> set[str]:
    groups = {group_of[one] for one in met if one in group_of}
    return {one for one in ITEMS if one in met or one in withheld or group_of.get(one) in groups}


@settings(max_examples=80, deadline=None)
@given(met=_met, group_of=_groups, withheld=st.sets(st.sampled_from(ITEMS)))
def test_met_items_their_copies_and_what_moderation_keeps_back_are_hidden_from_each_and_from_nobody_else(met, group_of, withheld):
    rule = Filter(ITEMS, group_of, withheld)
    for one in met:
        expected = plain(one, group_of, withheld)
        assert [ITEMS[column] for column in rule.columns(one)] == sorted(expected)
        assert {item for item in ITEMS if rule.why(item, one)} == expected
    inside = [one - {"gone"} for one in met]
    columns = [sorted(ITEMS.index(item) for item in one) for one in inside]
    flat = [column for one in columns for column in one]
    cells = sp.csr_matrix((np.zeros(len(flat)), flat, np.cumsum([0, *map(len, columns)])), shape=(len(met), len(ITEMS)))
    hidden = rule.hidden(cells)
    assert [{ITEMS[column] for column in hidden[[row]].indices} for row in range(len(met))] == [
        plain(one, group_of, withheld) for one in inside
    ]


def test_what_a_request_excludes_takes_its_copies_along():
    assert Filter(ITEMS, {"a": "g", "c": "g"}).columns((), ["c"]).tolist() == [0, 2]


def test_no_items_and_no_people_are_fine():
    assert Filter((), {}).columns(["a"]).tolist() == []
    assert Filter((), {}, {"z"}).hidden(sp.csr_matrix((2, 0))).nnz == 0
    assert Filter(ITEMS, {}, {"b"}).hidden(sp.csr_matrix((0, 8))).shape == (0, 8)


def test_the_reason_names_the_copy_that_was_met():
    rule = Filter(ITEMS, {"a": "g", "c": "g"}, {"d"})
    assert rule.why("c", {"a"}) == "it is a copy of a, which they have met"
    assert rule.why("d", ()) == "moderation keeps it back"
    assert rule.why("b", {"a"}) is None


def test_a_context_is_tidied():
    known = Context(language=" zh-Hans-CN ", referrer="a", interests=["cats", "music", "cats"])
    assert (known.language, known.interests) == ("zh", ("cats", "music"))
    assert known
    assert not Context()


@pytest.mark.parametrize(
    "broken",
    [
        {"language": "english please"},
        {"language": ""},
        {"language": 7},
        {"referrer": ""},
        {"referrer": "a\nb"},
        {"interests": [""]},
        {"interests": [f"c{n}" for n in range(MOST_INTERESTS + 1)]},
        {"interests": "cats"},
        {"mood": "sad"},
    ],
)
def test_a_context_that_cannot_be_is_refused(broken):
    with pytest.raises(ValidationError):
        Context(**broken)


def test_what_the_library_does_not_know_is_said():
    usable, notes = Context(referrer="z", interests=("CATS", "ölbilder", "cats")).within(ITEMS, ["Cats", "dogs"])
    assert usable == Context(interests=("Cats",))
    assert notes == ("no item is of the class 'ölbilder'", "the referrer 'z' is not in the library")


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_taken_or_refused_with_a_sentence(language, interest):
    try:
        taken = Context(language=language, interests=[interest])
    except ValidationError as error:
        assert error.errors()[0]["msg"]
    else:
        assert taken.language
        assert 2 <= len(taken.language) <= 3
