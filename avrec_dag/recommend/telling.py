"""A reason as an answer tells it: one line for people, and the same in parts for programs."""

from collections.abc import Sequence

from avrec_dag.recommend.answers import Advice, Why
from avrec_dag.recommend.explain import Facts, Reason
from avrec_dag.recommend.words import GRAMMAR

NAMED = 3
"""So many shared words are named at most."""


def shared_words(facts: Facts, media_id: str, others: Sequence[str]) -> tuple[str, ...]:
    """The rarest words that an item shares with any of some others; none of grammar, none that half of the items or more have."""
    theirs = frozenset[str]().union(*(facts.terms.get(other, frozenset()) for other in others))
    shared = facts.terms.get(media_id, frozenset()) & theirs - GRAMMAR
    telling = [word for word in shared if len(word) > 1 and 2 * facts.held_by.get(word, 0) < len(facts.items)]
    return tuple(sorted(telling, key=lambda word: (facts.held_by.get(word, 0), word))[:NAMED])


def advice(media_id: str, score: float, reason: Reason, facts: Facts) -> Advice:
    """One place of a list.

    Args:
        media_id: The item.
        score: In (0, 1).
        reason: Why it stands there.
        facts: What reasons may mention.
    """
    words = shared_words(facts, media_id, reason.causes) if reason.part == "content" else ()
    label = facts.shared_label(media_id, reason.causes[0]) if reason.causes else None
    place = reason.place
    why = Why(reason.part, place.because, label, place.missing, words, place.beyond_cap, reason.also, reason.shares)
    return Advice(media_id, score, _line(reason, words), reason.causes, why)


def _line(reason: Reason, words: Sequence[str]) -> str:
    text, place = reason.text, reason.place
    if words:
        text += f"; words in common: {', '.join(words)}"
    text = "; ".join([text, *reason.also])
    if place.because == "variety" and reason.part != "none":
        text = f"for a change: {text}"
    elif place.because == "new":
        text = "new here: few people have met it" + ("" if reason.part == "none" else f"; {text}")
    elif place.because == "mix":
        text = f"for your mix of classes{f', {place.missing} among them' if place.missing else ''}: {text}"
    return text + ("; more of its creator than usual, as little else is left" if place.beyond_cap else "")
