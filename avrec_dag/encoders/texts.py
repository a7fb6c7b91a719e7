"""The task of text_embeddings: what an item says about itself, and what is said and shown in it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avrec_dag.encoders import registry
from avrec_dag.encoders.base import Matrix, trusted, unit_rows
from avrec_dag.encoders.joint import JointSpace
from avrec_dag.encoders.utterances import Utterance, utterances
from avrec_dag.items import Item, Row
from avrec_dag.moments import term_hash

DESCRIPTION_CHARS = 1000
_HELD = 256
"""Texts encoded together."""


@dataclass(frozen=True)
class EmbedText:
    """Task of text_embeddings: title, tags and the beginning of the description as one text, and what is said and shown as another.

    The vector is that of the first; where something is said or shown, the mean of it and of the mean of all sentences, in unit
    length, so that an hour of talk does not drown a title. Every sentence keeps its place in the joint space, its seconds and its
    words: search answers with them.

    Attributes:
        preset: Which encoders, as in `registry.preset`.
    """

    preset: str = "packaged"

    @property
    def on_card(self) -> bool:
        """Whether it computes on a graphics card."""
        return registry.load(registry.preset(self.preset).text.name).device != "cpu"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `vector` is the hash of encoder and texts, of which the vector is a function.

        The field `moments` is the hash of the sentences and their times, absent where there are none. The texts of one item are
        encoded together, those of others not with them: an encoder's seventh decimal depends on what it is given together, and an
        item whose batch was broken off would come out as another.
        """
        return [self._row(item, text_of(item), utterances(item)) for item in items]

    def _row(self, item: Item, text: str, said: Sequence[Utterance]) -> Row:
        encoded = self._encoded([one for one in (text, *(utterance.text for utterance in said)) if one])
        if not len(encoded):
            return item.failed(
                f"{item.key}: neither title nor tags nor description holds a word to embed, and nothing is said; add a sidecar with one",
                permanent=True,
            )
        spec, space = registry.preset(self.preset).text, JointSpace(self.preset)
        own, sentences = np.split(encoded, [len(encoded) - len(said)])
        vector = unit_rows(np.mean([*own, *([unit_rows(sentences.mean(axis=0))] if said else [])], axis=0))
        heard = "\n".join(one.text for one in said)
        told = f"{spec.identity}\n{text}" + (f"\n\n{heard}" if said else "")
        fields = {"vector": hashlib.sha256(told.encode()).hexdigest()}
        if said:
            times = [(one.kind, one.start_s, one.end_s, sorted(one.terms.items())) for one in said]
            fields["moments"] = hashlib.sha256((told + json.dumps(times)).encode()).hexdigest()
        values = {
            "vector": vector,
            "joint": space.placed(vector[None])[0],
            "model": spec.identity,
            "text": text or heard[:DESCRIPTION_CHARS],
        }
        return item.done(fields, {**values, **_moments(said, space.placed(sentences))})

    def _encoded(self, texts: Sequence[str]) -> Matrix:
        spec = registry.preset(self.preset).text
        encoder = registry.load(spec.name)
        parts = [trusted(spec, encoder.encode(texts[start : start + _HELD])) for start in range(0, len(texts), _HELD)]
        return np.concatenate([np.zeros((0, spec.dim), np.float32), *parts])


def _moments(said: Sequence[Utterance], joints: Matrix) -> dict[str, object]:
    """The columns that tell of single sentences."""
    terms = [(term_hash(term), number, at_s) for number, one in enumerate(said) for term, at_s in sorted(one.terms.items())]
    return {
        "moment_kinds": [one.number for one in said],
        "moment_starts_s": [one.start_s for one in said],
        "moment_ends_s": [one.end_s for one in said],
        "moment_joints": joints.ravel(),
        "terms": [term for term, _, _ in terms],
        "term_moments": [number for _, number, _ in terms],
        "term_at_s": [at_s for *_, at_s in terms],
    }


def text_of(item: Item) -> str:
    """What an item says about itself: title, tags, and the first 1,000 characters of its description; empty where it says nothing."""
    media = item.parents.get("raw_media", {})
    tags = media.get("tags") or []
    said = [media.get("title"), ", ".join(map(str, tags)) if isinstance(tags, list | tuple) else "", media.get("description")]
    return ". ".join(str(part).strip()[:DESCRIPTION_CHARS].rstrip(".") for part in said if part and str(part).strip())
