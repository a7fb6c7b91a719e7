"""What is said and shown in an item, sentence by sentence with its seconds, as rows of `transcripts` and `screen_text` tell it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avrec_dag.items import Item
from avrec_dag.moments import KINDS, Kind
from avrec_dag.recommend import words

MOST = 1024
"""Kept of one item: neighbours in a film that talks for hours are joined."""


@dataclass(frozen=True)
class Utterance:
    """A sentence that was said, or lines that stood on the screen together.

    Attributes:
        kind: speech or screen.
        start_s: When it begins.
        end_s: When it ends.
        text: Its words.
        terms: Each of its terms (`words.terms`) -> the second at which it is first said.
    """

    kind: Kind
    start_s: float
    end_s: float
    text: str
    terms: Mapping[str, float]

    @property
    def number(self) -> int:
        """Of its kind."""
        return KINDS.index(self.kind)


def utterances(item: Item) -> list[Utterance]:
    """Everything said and shown in an item, in order of time; at most `MOST` of each kind."""
    said = item.parents.get("transcripts") or {}
    shown = item.parents.get("screen_text") or {}
    found = [
        *_joined(list(_said(_list(said, "segments"), _list(said, "words")))),
        *_joined([_plain("screen", one) for one in _list(shown, "lines")]),
    ]
    return sorted(found, key=lambda one: (one.start_s, one.number))


def _list(columns: Mapping[str, object], name: str) -> Sequence[Mapping[str, Any]]:
    values = columns.get(name)
    return values if isinstance(values, list) else []


def _plain(kind: Kind, told: Mapping[str, Any]) -> Utterance:
    return Utterance(kind, told["start_s"], told["end_s"], told["text"], dict.fromkeys(words.terms(told["text"]), told["start_s"]))


def _said(segments: Sequence[Mapping[str, Any]], spoken: Sequence[Mapping[str, Any]]) -> Iterator[Utterance]:
    """Segments with the second of each of their words; what only stands in the sentence as a whole has that of the sentence."""
    place = 0
    for told in segments:
        one = _plain("speech", told)
        at_s: dict[str, float] = {}
        while place < len(spoken) and spoken[place]["start_s"] <= told["end_s"]:
            for term in words.terms(spoken[place]["word"]):
                at_s.setdefault(term, spoken[place]["start_s"])
            place += 1
        yield Utterance(one.kind, one.start_s, one.end_s, one.text, {term: at_s.get(term, start_s) for term, start_s in one.terms.items()})


def _joined(found: list[Utterance]) -> list[Utterance]:
    size = -(-len(found) // MOST)
    return found if size <= 1 else [_one(found[start : start + size]) for start in range(0, len(found), size)]


def _one(group: Sequence[Utterance]) -> Utterance:
    terms: dict[str, float] = {}
    for one in group:
        for term, at_s in one.terms.items():
            terms.setdefault(term, at_s)
    return Utterance(group[0].kind, group[0].start_s, max(one.end_s for one in group), " ".join(one.text for one in group), terms)
