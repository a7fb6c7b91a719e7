"""Exact words in search: meaning finds what is alike, words find what is named."""

import re
import unicodedata

BOOST = 0.25
"""Added to the cosine when every word of the query stands in an item's title, tags or description; a share of it for a share of them."""
_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\W_]+?(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[\W_]|$)")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


GRAMMAR = frozenset(
    (
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "with",
        "by",
        "and",
        "or",
        "is",
        "are",
        "was",
        "it",
        "its",
        "this",
        "that",
    )
)


def asked(query: str) -> frozenset[str]:
    """The terms of a query without English words of grammar, which name nothing; all of them where nothing else is asked."""
    found = terms(query)
    return found - GRAMMAR or found


def terms(text: str) -> frozenset[str]:
    """The words of a text, case and width folded; of Chinese, Japanese and Korean, single characters and pairs of them."""
    found: set[str] = set()
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _UNSPACED.match(run):
            found.update(run[place : place + 2] for place in range(len(run) - 1))
            found.update(run)
        else:
            found.add(run)
    return frozenset(found)


def boost(wanted: frozenset[str], held: frozenset[str]) -> float:
    """`BOOST` times the share of the wanted terms that are held, in [0, `BOOST`]."""
    return BOOST * len(wanted & held) / len(wanted) if wanted else 0.0
