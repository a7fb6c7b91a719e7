"""What somebody looks for: words, a picture, a sound or a clip, alone or together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import unit_rows
from avrec_dag.engine import Engine
from avrec_dag.ledger import Ledger
from avrec_dag.understanding import outside
from avrec_dag.understanding.outside import PARTS, Part

__all__ = ["PARTS", "Example", "Part", "Query", "example"]

Vector = NDArray[np.float32]
MOST_S = 120.0
"""The longest film or sound that is looked at as a query."""


@dataclass(frozen=True)
class Example:
    """A file that shows or sounds like what is looked for.

    Attributes:
        part: What of it counts.
        fused: float32 (d,) unit vector: what it is like; finds what looks or sounds alike.
        joint: float32 (e,) unit vector in the space shared with text: what it means; finds it across picture, sound and words. None
            where its encoder says nothing.
        weight: Beside the other examples and the words, whose weight is 1.
    """

    part: Part
    fused: Vector
    joint: Vector | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        text: Words in any language that the text encoder knows; empty: none.
        examples: Pictures, sounds and clips.
    """

    text: str = ""
    examples: tuple[Example, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.text.strip() and not self.examples

    @property
    def fused(self) -> Vector | None:
        """float32 (d,): the weighted mean of the examples in unit length; None without examples."""
        return _mean([(one.fused, one.weight) for one in self.examples])

    def joint(self, of_text: Callable[[str], Vector]) -> Vector | None:
        """float32 (e,): the weighted mean of the unit vectors of words and examples, as long as that of the words or else of length 1.

        Args:
            of_text: The words in the joint space; its vectors may be longer than 1 (`encoders.joint`).
        """
        words = of_text(self.text) if self.text.strip() else None
        length = 1.0 if words is None else float(np.linalg.norm(words))
        told = [] if words is None else [(words / max(length, 1e-12), 1.0)]
        mean = _mean([*told, *((one.joint, one.weight) for one in self.examples if one.joint is not None)])
        return None if mean is None else mean * np.float32(length)


def _mean(weighted: list[tuple[Vector, float]]) -> Vector | None:
    if not weighted:
        return None
    return unit_rows(np.sum([weight * unit_rows(vector) for vector, weight in weighted], axis=0))


def example(
    ledger: Ledger,
    store_uri: str,
    name: str,
    part: Part,
    bring: Callable[[Path], object],
    *,
    apart: Engine,
    encoders: str = "packaged",
    most_s: float | None = MOST_S,
) -> Example:
    """What a file outside the library asks for; arguments and errors as in `outside.vectors`."""
    row = outside.vectors(ledger, store_uri, name, part, bring, apart=apart, encoders=encoders, most_s=most_s)
    joint = row["joint"]
    return Example(part, np.asarray(row["vector"], np.float32), None if joint is None else np.asarray(joint, np.float32))
