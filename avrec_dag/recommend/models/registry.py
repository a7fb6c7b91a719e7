"""Models by name, and the settings that are tried for each. A new model is one class that keeps `base.Model` and one line here.

The contract, beyond `base.Model`:

- `Entry.model` and `Entry.settings` are `module:Class`. The settings class is a frozen dataclass of plain values that works without
  arguments; the model is constructed from it alone: `Model(Settings(**values))`. Modules are imported when the model is made, in a
  process of its own, so that nobody pays for what they do not use.
- `Entry.axes` names for each setting the values to try, the default first. `evaluation.choosing` moves along one axis after the other
  from the best point so far, until nothing is better or the time is used up; the defaults are always tried, so they should be good ones.
- `needs_vectors`: the model is left out (with a sentence) where nothing is known of the content of items.
- A model that chooses something on validation data itself (a blend its weights, a network its number of epochs) has
  `tune(train, valid, *, seed)`, see `Tuned`. It is called in place of `fit`; a later `fit` on more data keeps what was chosen.
- A model made of others has `compose(components)`, see `Composed`, and `Entry.components` names them. They come fitted, on the training
  part while it is tuned; one that failed or does not suit the data is absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol, runtime_checkable

from avrec_dag.errors import SettingError
from avrec_dag.recommend.models.base import Interactions, Model

Value = float | int | str | bool


@runtime_checkable
class Tuned(Protocol):
    """A model that learns something from data held back."""

    def tune(self, train: Interactions, valid: Interactions, *, seed: int = 0) -> None:
        """Fit on `train`, and choose on `valid` what is to be chosen.

        Args:
            train: As for `fit`.
            valid: Events of the same users and items that came after (or were held out of) `train`; many users have none.
            seed: Of whatever is drawn.
        """


@runtime_checkable
class Composed(Protocol):
    """A model that puts others together."""

    def compose(self, components: Mapping[str, Model]) -> None:
        """Take these fitted models as they are, in place of any before; what was learned about how to weigh them stays."""


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        model: `module:Class`.
        settings: `module:Class` of its settings.
        axes: Setting -> the values to try, the default first.
        needs_vectors: Whether it is nothing without content vectors.
        components: Names of the models it is made of.
    """

    model: str
    settings: str
    axes: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    needs_vectors: bool = False
    components: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict[str, Value]:
        """The first value of each axis."""
        return {name: values[0] for name, values in self.axes.items()}

    def make(self, values: Mapping[str, Value]) -> Model:
        """The model with these settings, unfitted."""
        return _named(self.model)(_named(self.settings)(**values))

    def load(self, files: Mapping[str, bytes]) -> Model:
        """A model that was saved."""
        return _named(self.model).load(files)


def _named(path: str) -> type:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


_HERE = "avrec_dag.recommend.models"

MODELS: dict[str, Entry] = {
    "popularity": Entry(f"{_HERE}.popularity:Popularity", f"{_HERE}.popularity:PopularitySettings", {"half_life_days": (0.0, 365.0, 30.0)}),
    "ease": Entry(
        f"{_HERE}.ease:Ease", f"{_HERE}.ease:EaseSettings", {"l2": (100.0, 10.0, 400.0, 1000.0, 3000.0), "recency": (0.8, 1.0, 0.6)}
    ),
    "item_knn": Entry(
        f"{_HERE}.item_knn:ItemKnn",
        f"{_HERE}.item_knn:ItemKnnSettings",
        {"recency": (0.8, 1.0, 0.6), "similarity": ("cosine", "bm25"), "neighbours": (200, 50)},
    ),
    "als": Entry(
        f"{_HERE}.als:Als",
        f"{_HERE}.als:AlsSettings",
        {"factors": (128, 256, 64), "alpha": (10.0, 2.0, 40.0), "regularization": (0.1, 1.0, 10.0), "recency": (1.0, 0.8)},
    ),
    "linear": Entry(
        f"{_HERE}.linear:Linear",
        f"{_HERE}.linear:LinearSettings",
        {
            "l2": (120.0, 40.0, 400.0, 1200.0, 4000.0),
            "recency": (0.7, 0.85, 1.0, 0.5),
            "decay": (0.9, 1.0, 0.7),
            "backward": (0.3, 1.0, 0.0),
        },
    ),
    "sequence": Entry(f"{_HERE}.sequence:Sequence", f"{_HERE}.sequence_settings:SequenceSettings"),
    "content": Entry(f"{_HERE}.content:Content", f"{_HERE}.content:ContentSettings", {"recency": (1.0, 0.9, 0.7)}, needs_vectors=True),
    "bilinear": Entry(
        f"{_HERE}.bilinear:Bilinear",
        f"{_HERE}.bilinear:BilinearSettings",
        {"ridge": (1.0, 0.3, 3.0), "recency": (1.0, 0.9)},
        needs_vectors=True,
    ),
    "blend": Entry(
        f"{_HERE}.blend:Blend",
        f"{_HERE}.blend:BlendSettings",
        components=("popularity", "ease", "item_knn", "als", "linear", "sequence", "content", "bilinear"),
    ),
}
"""Every model, in the order in which they are compared: components before what is made of them."""


def chosen(name: str) -> tuple[str, ...]:
    """The models that a name means: one, or `all`.

    Raises:
        SettingError: No model is called so.
    """
    if name == "all":
        return tuple(MODELS)
    if name not in MODELS:
        raise SettingError(f"no model is called {name!r}; known are {', '.join(MODELS)}, or all")
    return (name,)
