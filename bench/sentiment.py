"""How well comments are understood: the head on comments it has not learnt from, in English and Chinese.

python bench/sentiment.py [--encoders packaged] [--json]
"""

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from avrec_dag.encoders import registry
from avrec_dag.quality.sentiment import SENTIMENTS, phrases, read

HELD_OUT = Path(__file__).with_name("sentiment_held_out.txt")
LANGUAGES, WAYS = ("en", "zh"), ("plain", "negation", "sarcasm")


@dataclass(frozen=True)
class Comment:
    """One held-out comment: what it means, its language, and how it says it."""

    sentiment: str
    language: str
    way: str
    text: str


def held_out() -> list[Comment]:
    lines = HELD_OUT.read_text(encoding="utf-8").splitlines()
    return [Comment(*line.split("\t")) for line in lines if line and not line.startswith("#")]


def accuracy(comments: Sequence[Comment], text_encoder: str) -> dict:
    """Shares right of three sentiments; sarcasm is counted apart. `polarity`: of praise and complaint, the share told from each other."""
    probs = read([one.text for one in comments], text_encoder)
    score, said = probs[:, 2] + probs[:, 1] / 2, np.array(SENTIMENTS)[probs.argmax(axis=1)]
    meant, tongue, way = (np.array([getattr(one, name) for one in comments]) for name in ("sentiment", "language", "way"))
    right, straight, sided = said == meant, way != "sarcasm", meant != "neutral"
    figures: dict = {}
    for language in LANGUAGES:
        mine = tongue == language
        n, k = int((mine & straight).sum()), int((mine & straight & right).sum())
        polar = mine & straight & sided
        figures[language] = {
            "n": n, "accuracy": k / n, "interval": wilson(k, n),
            "polarity": float(((score[polar] > 0.5) == (meant[polar] == "positive")).mean()),
            **{one: float(right[mine & (way == one)].mean()) for one in WAYS},
        }  # fmt: skip
    return {**figures, "neutral_score": float(np.median(score[straight & ~sided]))}


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    share, around = hits / n, z**2 / n
    middle, half = share + around / 2, z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float((middle - half) / (1 + around)), float((middle + half) / (1 + around))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--encoders", default="packaged")
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    spec = registry.preset(asked.encoders).text
    figures = accuracy(held_out(), spec.name)
    facts = {"encoder": spec.identity, "learnt_from": len(phrases()), "seed": 0, "python": platform.python_version()}
    facts |= {name: version(name) for name in ("numpy", "scikit-learn")}
    if asked.json:
        print(json.dumps({**facts, **figures}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()), end="\n\n")
    print("| language | held-out comments | right of three | praise told from complaint | said plainly | by denial | sarcasm (apart) |")
    print("|---|---|---|---|---|---|---|")
    for language in LANGUAGES:
        one = figures[language]
        low, high = one["interval"]
        cells = [one["polarity"], *(one[way] for way in WAYS)]
        print(
            f"| {language} | {one['n']} | {one['accuracy']:.2f} ({low:.2f} to {high:.2f}) | {' | '.join(f'{cell:.2f}' for cell in cells)} |"
        )
    print(f"\nmedian score of neutral comments: {figures['neutral_score']:.2f} (0.5 is neutral)")


if __name__ == "__main__":
    main()
