"""A model's files, model.safetensors and model.json: written from arrays and plain values, doubted when they are read."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from avrec_dag.errors import ModelError
from avrec_dag.recommend.models.base import Files

ARRAYS, FACTS = "model.safetensors", "model.json"
_FORMAT = 1
_LARGEST = 1e15
"""No model learns a number like that, and products of larger ones leave float32."""
_Settings = TypeVar("_Settings")


def pack(
    name: str, settings: Any, items: tuple[str, ...], arrays: Mapping[str, NDArray | sp.csr_matrix], **facts: float | int | str
) -> Files:
    """Files of a model.

    Args:
        name: The model's, which is asked for again at reading.
        settings: A frozen dataclass of plain values.
        items: Ids, in the order of the model's columns.
        arrays: Dense ones, or sparse ones (stored as three).
        facts: Other plain values.
    """
    from safetensors.numpy import save

    flat: dict[str, NDArray] = {}
    for key, array in arrays.items():
        flat |= _three(key, array) if isinstance(array, sp.csr_matrix) else {key: np.ascontiguousarray(array)}
    said = {"format": _FORMAT, "model": name, "settings": dataclasses.asdict(settings), "items": list(items), **facts}
    return {ARRAYS: save(flat), FACTS: json.dumps(said, ensure_ascii=False).encode()}


def _three(key: str, matrix: sp.csr_matrix) -> dict[str, NDArray]:
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return {f"{key}.data": matrix.data, f"{key}.indices": indices, f"{key}.indptr": indptr}


@dataclass(frozen=True)
class Stored:
    """What files say, each part checked when it is asked for.

    Every method raises ModelError, with what was expected and what was found.

    Attributes:
        name: Of the model that reads them.
        items: Ids.
        facts: The JSON.
        arrays: The safetensors.
    """

    name: str
    items: tuple[str, ...]
    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray]

    def settings(self, kind: type[_Settings]) -> _Settings:
        """The settings, of the types of the dataclass `kind`."""
        said = self.facts.get("settings")
        fields = {field.name: field.type for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
        if not isinstance(said, dict) or set(said) != set(fields):
            raise self.refused(f"its settings should be {', '.join(fields)}")
        for key, value in said.items():
            if type(value) is not fields[key] or (isinstance(value, float) and not math.isfinite(value)):
                raise self.refused(f"its setting {key} is {value!r}")
        return kind(**said)

    def array(self, key: str, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray:
        """A dense array of finite numbers of a sane size; None in `shape` stands for any length."""
        found = self.arrays.get(key)
        if found is None:
            raise self.refused(f"the array {key} is missing")
        fits = len(found.shape) == len(shape) and all(want in (None, got) for want, got in zip(shape, found.shape, strict=True))
        if found.dtype != np.dtype(dtype) or not fits:
            raise self.refused(f"the array {key} should be {np.dtype(dtype)} {shape} and is {found.dtype} {found.shape}")
        if found.dtype.kind == "f" and not (np.abs(found) <= _LARGEST).all():
            raise self.refused(f"the array {key} holds numbers that are not finite, or above {_LARGEST:g}")
        return found

    def sparse(self, key: str, dtype: DTypeLike, shape: tuple[int, int]) -> sp.csr_matrix:
        """A sparse matrix whose places are all inside of its shape."""
        data, indices = self.array(f"{key}.data", dtype, (None,)), self.array(f"{key}.indices", np.int32, (None,))
        indptr = self.array(f"{key}.indptr", np.int64, (shape[0] + 1,))
        self.check_rows(key, indptr, len(data))
        self.check_columns(key, indices, shape[1])
        if len(indices) != len(data):
            raise self.refused(f"{key} has {len(data)} values at {len(indices)} places")
        return sp.csr_matrix((data, indices, indptr), shape=shape)

    def check_rows(self, key: str, indptr: NDArray[np.int64], n: int) -> None:
        """That rows start at 0, follow one another and end at `n`."""
        if not len(indptr) or indptr[0] != 0 or indptr[-1] != n or (np.diff(indptr) < 0).any():
            raise self.refused(f"the rows of {key} do not follow one another")

    def check_columns(self, key: str, columns: NDArray[np.int32], n: int) -> None:
        """That all are between 0 and n - 1."""
        if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < n:
            raise self.refused(f"{key} points outside of its {n} items")

    def refused(self, why: str) -> ModelError:
        """The error to raise."""
        return ModelError(f"reading a model `{self.name}`: its files are damaged or of another format ({why}); fit it again")


def unpack(files: Files, name: str) -> Stored:
    """Read what `pack` wrote; nothing is executed.

    Raises:
        ModelError: The files are not those of a model of this name.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    nothing = Stored(name, (), {}, {})
    missing = [part for part in (ARRAYS, FACTS) if part not in files]
    if missing:
        raise nothing.refused(f"there is no {' and no '.join(missing)}")
    try:
        facts, arrays = json.loads(files[FACTS]), load(files[ARRAYS])
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise nothing.refused(str(error) or type(error).__name__) from error
    if not isinstance(facts, dict) or facts.get("format") != _FORMAT or facts.get("model") != name:
        raise nothing.refused(f"{FACTS} is not that of such a model in format {_FORMAT}")
    items = facts.get("items")
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items) or len(set(items)) != len(items):
        raise nothing.refused("its items are not a list of different ids")
    return Stored(name, tuple(items), facts, arrays)
