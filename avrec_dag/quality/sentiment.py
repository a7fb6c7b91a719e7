"""Whether a comment praises, complains or does neither, told from its place in a text encoder's space.

A multinomial logistic regression on the encoder's vectors (a linear probe, Alain and Bengio 2017), fitted once per encoder on
the short list of comments beside this file. The encoder puts languages into one space, so the head speaks what it speaks.
How strongly it is regularised is chosen by cross-validated log loss on that list, which is also what makes its
probabilities honest. Known weaknesses, measured in `bench/sentiment.py`: sarcasm, and praise or complaint by denial.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import registry
from avrec_dag.encoders.base import Matrix
from avrec_dag.encoders.cache import cached
from avrec_dag.understanding.digests import digest

SENTIMENTS = ("negative", "neutral", "positive")
READ_CHARS, KEPT_CHARS = 4_000, 500
"""So much of a comment is looked at, and so much of it read once repetitions are gone."""
_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_FOLDS = 5
_LETTERS = re.compile(r"(.)\1{3,}", re.DOTALL)
_WORDS = re.compile(r"(.{2,40}?)\1{3,}", re.DOTALL)
_PICTURES = {"So", "Sk"}
_UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Me"}


@dataclass(frozen=True)
class Head:
    """A linear probe of one encoder.

    Attributes:
        weights: float64 (3, dim), one row for each of `SENTIMENTS`.
        bias: float64 (3,).
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(self, vectors: Matrix) -> NDArray[np.float64]:
        """(n, 3) in the order of `SENTIMENTS` from float32 (n, dim); rows sum to 1."""
        logits = vectors.astype(np.float64) @ self.weights.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)


def readable(text: str) -> str:
    """A comment as the encoder should read it; empty where it says nothing.

    Signs nobody sees go, an emoji becomes its Unicode name (encoders know words, few know emoji), what is repeated
    more than three times is said three times, and of what is left the first 500 characters stay.
    """
    text = unicodedata.normalize("NFKC", text[:READ_CHARS])
    spelt = "".join(_spelt(letter) for letter in text)
    spelt = _WORDS.sub(r"\1\1\1", _LETTERS.sub(r"\1\1\1", f"{' '.join(spelt.split())[:READ_CHARS]} "))[:KEPT_CHARS].strip()
    return spelt if any(letter.isalpha() for letter in spelt) else ""


def _spelt(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in _PICTURES:
        return f" {unicodedata.name(letter, '').lower()} "
    return letter if category not in _UNSEEN else " " if letter.isspace() else ""


def read(texts: Sequence[str], text_encoder: str) -> NDArray[np.float64]:
    """Probabilities (n, 3) in the order of `SENTIMENTS`; a text that says nothing is neutral.

    Args:
        texts: Comments in any language the encoder knows.
        text_encoder: Its name in the registry.
    """
    said = [readable(text) for text in texts]
    found = np.tile([0.0, 1.0, 0.0], (len(texts), 1))
    places = [place for place, text in enumerate(said) if text]
    if places:
        vectors = registry.load(text_encoder).encode([said[place] for place in places])
        found[places] = head(text_encoder).probabilities(vectors)
    return found


@cache
def head(text_encoder: str) -> Head:
    """The probe of an encoder, fitted once and kept in the cache."""
    examples = phrases()
    spec = registry.load(text_encoder).spec
    stem = f"sentiment-{spec.name}-{spec.digest[:12]}-{digest([text for pair in examples for text in pair])[:12]}"
    stored = json.loads(cached(stem, ".json", lambda: _fitted(examples, text_encoder)).read_bytes())
    return Head(np.array(stored["weights"]), np.array(stored["bias"]))


@cache
def phrases() -> tuple[tuple[str, str], ...]:
    """Sentiment and comment, as listed beside this file."""
    lines = files("avrec_dag.quality").joinpath("sentiment_phrases.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return tuple((sentiment, text) for sentiment, text in pairs)


def _fitted(examples: Sequence[tuple[str, str]], text_encoder: str) -> bytes:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    vectors = registry.load(text_encoder).encode([readable(text) for _, text in examples]).astype(np.float64)
    answers = np.array([SENTIMENTS.index(sentiment) for sentiment, _ in examples])
    folds: Any = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    losses = [
        -cross_val_score(LogisticRegression(C=strength, max_iter=2000), vectors, answers, cv=folds, scoring="neg_log_loss").mean()
        for strength in _STRENGTHS
    ]
    model: Any = LogisticRegression(C=_STRENGTHS[int(np.argmin(losses))], max_iter=2000).fit(vectors, answers)
    return json.dumps({"weights": np.round(model.coef_, 6).tolist(), "bias": np.round(model.intercept_, 6).tolist()}).encode()
