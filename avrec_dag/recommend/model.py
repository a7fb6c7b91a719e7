"""The trained part of the recommender: a blend of models, stored as safetensors and JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError, MissingError, SettingError
from avrec_dag.ledger import Ledger
from avrec_dag.recommend.exploring import Tried
from avrec_dag.recommend.models import registry
from avrec_dag.recommend.models.blend import Blend
from avrec_dag.storage import Blobs

TABLE, KEY = "recommender", "recommender"
PEOPLE, QUALITY, TRIED = "people.safetensors", "quality.safetensors", "tried.safetensors"
DEFAULT = "linear+content+popularity"
"""What is blended unless AVREC_RECOMMENDER says otherwise: closed forms, which a CPU fits in seconds."""


def names_of(setting: str) -> tuple[str, ...]:
    """The models that a setting such as `linear+content` names.

    Raises:
        SettingError: It names none, one twice, or one that is not known.
    """
    names = tuple(name.strip() for name in setting.split("+"))
    known = [name for name, entry in registry.MODELS.items() if not entry.components]
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) != len(names):
        raise SettingError(
            f"AVREC_RECOMMENDER is {setting!r}, expected different names of models joined by +, of {', '.join(known)}; "
            f"correct it or leave it out (default: {DEFAULT})"
        )
    return names


def unfitted(setting: str) -> Blend:
    """The blend that a setting names, to be fitted; SettingError as for `names_of`."""
    blend = Blend()
    blend.compose({name: registry.MODELS[name].make({}) for name in names_of(setting)})
    return blend


@dataclass(frozen=True)
class Trained:
    """What the ledger names.

    Attributes:
        blend: The fitted models and their weights.
        version: Of its row.
        models: What was asked for.
        code: Of the step.
        people: (n,) uint64 hashes of those it learned from.
        learned_on: How many times it learned on since it was fitted from nothing.
        data: Hash of everything it learned from.
        quality: Item -> its quality in [0, 1] as lists use it: that of the last fit from nothing, or of when the item came. What one
            person says of an item moves its quality at once, and must not move everybody's lists before the night.
        tried: How items were received until that fit, in the order of the blend's items, of which there may be more by now.
    """

    blend: Blend
    version: str
    models: str
    code: str
    people: NDArray[np.uint64]
    learned_on: int
    data: str
    quality: Mapping[str, float]
    tried: Tried = field(default_factory=Tried)


def load(ledger: Ledger, blobs: Blobs) -> Trained:
    """The model that the ledger names.

    Raises:
        MissingError: When none has been trained.
        AvrecError: When its files cannot be read.
    """
    row = ledger.row(TABLE, KEY)
    if row is None or not row["blob"]:
        raise MissingError("there is no trained recommender yet: materialise `recommender` (avrec materialize)")
    details = json.loads(str(row["details"]))
    if not {"files", "data"} <= set(details):
        raise AvrecError("the stored recommender is of an older version: materialise `recommender` (avrec materialize)")
    from safetensors.numpy import load as arrays

    files = {name: blobs.get(f"{row['blob']}/{name}") for name in details["files"]}
    people, scores = arrays(files.pop(PEOPLE))["people"], arrays(files.pop(QUALITY))["quality"].tolist()
    tried = Tried.load(files.pop(TRIED, None), details.get("refit", ""))
    blend = Blend.load(files)
    quality = {one: score for one, score in zip(blend.items, scores, strict=True) if score >= 0}
    told = (details["learned_on"], details["data"], quality, tried)
    return Trained(blend, str(row["version"]), details["models"], details["code"], people, *told)
