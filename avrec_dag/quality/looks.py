"""How an item looks, as people have taken such looks: a linear head on picture vectors, fitted to what people did.

Bayesian linear regression (MacKay 1992; evidence chooses the regularisation) of an item's mean liking on its picture vector,
each item weighted by n / (n + k) for the n people who know it, which is how much of its mean is signal (`priors`). Class and technical
score are regressed out of both sides first (Frisch and Waugh 1933, Lovell 1963), so that what is left to learn from is
looks, not topics and not defects. Whether there is anything to it is for held-out creators to say: see `evaluate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.storage import Blobs

Array = NDArray[np.float64]

FOLDS = 5
RESAMPLES = 2_000
_RARE = 3
"""A class that fewer examples show has no mean of its own."""
_LARGEST_BYTES = 16 << 20


@dataclass(frozen=True)
class Seen:
    """Items that people know, one per row.

    Attributes:
        vectors: float32 (n, dim), unit length.
        technical: float64 (n,) in [0, 1].
        classes: Of each item; empty where it has none.
        groups: int64 (n,): items of one source or one creator share a number.
        liking: float64 (n,) in [0, 1]: mean over the people who know it.
        weights: float64 (n,) in (0, 1).
    """

    vectors: NDArray[np.float32]
    technical: Array
    classes: tuple[str, ...]
    groups: NDArray[np.int64]
    liking: Array
    weights: Array

    def only(self, rows: NDArray[np.int64]) -> "Seen":
        """Some of them."""
        classes = tuple(self.classes[row] for row in rows)
        return Seen(self.vectors[rows], self.technical[rows], classes, self.groups[rows], self.liking[rows], self.weights[rows])


class Head(BaseModel):
    """looks.json: everything about a stored head but its coefficients.

    Attributes:
        format: Of the file.
        encoder: `name@digest` of the picture encoder whose vectors it reads.
        dim: Their length.
        offset: What an item of average looks gets, subtracted.
        classes: Class -> what its average item gets on top.
        slope: What one unit of technical score gets on top.
        spread: Standard deviation of what looks add to liking, over the examples.
        trust: Lower bound of its rank correlation with liking on held-out creators, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = Field(1, ge=1, le=1)
    encoder: str
    dim: int = Field(ge=1, le=65_536)
    offset: float
    classes: dict[str, float]
    slope: float
    spread: float = Field(gt=0)
    trust: float = Field(ge=0, le=1)


@dataclass(frozen=True)
class LooksModel:
    """A fitted head: float64 coefficients (dim,) and the rest of it."""

    head: Head
    coefficients: Array

    def score(self, vector: Sequence[float] | NDArray[np.float32] | None, encoder: str | None, technical: float, name: str) -> float | None:
        """How one item looks, in [0, 1]: the share of an average item's class mates that look worse, as a normal distribution has it.

        None where there is no vector, or it is of another encoder or length or not finite: such a number would mean nothing.
        """
        if vector is None or encoder != self.head.encoder or len(vector) != self.head.dim:
            return None
        effect = float(np.asarray(vector, np.float64) @ self.coefficients)
        effect -= self.head.offset + self.head.classes.get(name, 0.0) + self.head.slope * technical
        return _normal(effect / self.head.spread) if np.isfinite(effect) else None

    def files(self) -> dict[str, bytes]:
        """What to store: looks.safetensors and looks.json."""
        from safetensors.numpy import save

        return {"looks.safetensors": save({"coefficients": self.coefficients}), "looks.json": self.head.model_dump_json(indent=1).encode()}


def load(blobs: Blobs, prefix: str) -> LooksModel:
    """The head stored under a prefix; sizes and types are checked, nothing is executed.

    Raises:
        MissingError: There is none.
        SettingError: What is there is no head of this format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as tensors

    try:
        raw, card = (_read(blobs, f"{prefix}/{name}") for name in ("looks.safetensors", "looks.json"))
        head, coefficients = Head.model_validate_json(card), tensors(raw)["coefficients"]
        if coefficients.shape != (head.dim,) or coefficients.dtype != np.float64 or not np.isfinite(coefficients).all():
            raise ValueError(f"coefficients {coefficients.dtype} {coefficients.shape}, expected finite float64 ({head.dim},)")
    except FileNotFoundError as error:
        raise MissingError(f"loading the aesthetic model {prefix}: nothing is stored there; materialize aesthetic_model") from error
    except (ValidationError, SafetensorError, KeyError, ValueError) as error:
        message = f"loading the aesthetic model {prefix}: it is damaged or of another format ({error}); materialize aesthetic_model"
        raise SettingError(message) from error
    return LooksModel(head, coefficients)


def _read(blobs: Blobs, path: str) -> bytes:
    with blobs.open(path) as file:
        raw = file.read(_LARGEST_BYTES + 1)
    if len(raw) > _LARGEST_BYTES:
        raise ValueError(f"{path} is larger than {_LARGEST_BYTES} bytes")
    return raw


def _normal(z: float) -> float:
    from math import erf, sqrt

    return (1 + erf(z / sqrt(2))) / 2


@dataclass(frozen=True)
class _Fit:
    """Coefficients of looks, and of what is regressed out."""

    names: tuple[str, ...]
    means: Array  # (dim + 1,): of the vectors and of the liking
    controls: Array  # (n classes + 1, dim + 1)
    coefficients: Array  # (dim,)

    def residuals(self, seen: Seen) -> Array:
        """Vectors and liking without what class and technical score explain: (n, dim + 1)."""
        return _sides(seen) - self.means - _controls(seen, self.names) @ self.controls

    @cached_property
    def explained(self) -> Array:
        """What the controls take away from the effect of looks: (n classes + 1,)."""
        return self.controls[:, :-1] @ self.coefficients


def _sides(seen: Seen) -> Array:
    return np.column_stack([seen.vectors.astype(np.float64), seen.liking])


def _controls(seen: Seen, names: Sequence[str]) -> Array:
    place = {name: number for number, name in enumerate(names)}
    controls = np.zeros((len(seen.liking), len(names) + 1))
    for row, name in enumerate(seen.classes):
        if name in place:
            controls[row, place[name]] = 1
    controls[:, -1] = seen.technical
    return controls


def _fit(seen: Seen) -> _Fit:
    from sklearn.linear_model import BayesianRidge

    counted = {name: seen.classes.count(name) for name in set(seen.classes) if name}
    names = tuple(sorted(name for name, count in counted.items() if count >= _RARE))
    root = np.sqrt(seen.weights)[:, None]
    sides = _sides(seen)
    means = (seen.weights @ sides) / seen.weights.sum()
    controls = np.linalg.lstsq(root * _controls(seen, names), root * (sides - means), rcond=None)[0]
    left = root * (sides - means - _controls(seen, names) @ controls)
    model: Any = BayesianRidge(fit_intercept=False).fit(left[:, :-1], left[:, -1])
    return _Fit(names, means, controls, np.asarray(model.coef_, np.float64))


def fitted(seen: Seen, encoder: str, trust: float) -> LooksModel:
    """The head that serves, fitted on every example.

    Raises:
        ValueError: Looks make no difference at all to the examples.
    """
    fit = _fit(seen)
    effects = fit.residuals(seen)[:, :-1] @ fit.coefficients
    spread = float(np.sqrt(seen.weights @ effects**2 / seen.weights.sum()))
    if not spread > 0:
        raise ValueError("fitting looks: all examples look the same to the head")
    classes = dict(zip(fit.names, fit.explained[:-1].tolist(), strict=True))
    head = Head(
        format=1, encoder=encoder, dim=seen.vectors.shape[1], offset=float(fit.means[:-1] @ fit.coefficients), classes=classes,
        slope=float(fit.explained[-1]), spread=spread, trust=trust,
    )  # fmt: skip
    return LooksModel(head, fit.coefficients)


def evaluate(seen: Seen, seed: int) -> Mapping[str, float]:
    """Rank correlation of what looks promise with what people did, on creators and sources the head never saw.

    Five-fold cross-validation over groups, shuffled by `seed`; what class and technical score explain is taken out by the
    other folds' coefficients. The interval is a bootstrap over groups (99 %, percentiles of 2,000 resamples): items of
    one creator are liked alike, so that resampling items would sound too sure. It is so wide because the folds share what they
    learnt from, which no resampling of predictions shows.

    Returns:
        spearman, low, high, n and groups.

    Raises:
        ValueError: There are fewer groups than folds.
    """
    names = np.unique(seen.groups)
    if len(names) < FOLDS:
        raise ValueError(f"evaluating looks: found {len(names)} sources and creators, expected {FOLDS}")
    rng = np.random.default_rng(seed)
    fold = dict(zip(names.tolist(), (rng.permutation(len(names)) % FOLDS).tolist(), strict=True))
    folds = np.array([fold[group] for group in seen.groups.tolist()])
    promised, left = np.zeros(len(folds)), np.zeros(len(folds))
    for number in range(FOLDS):
        held = np.flatnonzero(folds == number)
        fit = _fit(seen.only(np.flatnonzero(folds != number)))
        residuals = fit.residuals(seen.only(held))
        promised[held], left[held] = residuals[:, :-1] @ fit.coefficients, residuals[:, -1]
    rows = [np.flatnonzero(seen.groups == name) for name in names]
    drawn = [np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(RESAMPLES)]
    low, high = np.percentile([_spearman(promised[some], left[some]) for some in drawn], [0.5, 99.5])
    return {"spearman": _spearman(promised, left), "low": float(low), "high": float(high), "n": len(folds), "groups": len(names)}


def _spearman(one: Array, other: Array) -> float:
    """Spearman's rank correlation; 0 where one side does not vary."""
    from scipy.stats import rankdata

    ranks = [rankdata(side) - (len(side) + 1) / 2 for side in (one, other)]
    size = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    return float(ranks[0] @ ranks[1]) / size if size > 0 else 0.0
