"""Named arrays, in memory or on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray


class Arrays(Protocol):
    """Named arrays, of which slices can be read without the rest."""

    def whole(self, name: str) -> NDArray[Any]:
        """All of one array."""
        ...

    def rows(self, name: str, start: int, end: int) -> NDArray[Any]:
        """Some rows of one array."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Arrays that are loaded."""

    arrays: Mapping[str, NDArray[Any]]

    def whole(self, name: str) -> NDArray[Any]:
        """As in `Arrays`."""
        return self.arrays[name]

    def rows(self, name: str, start: int, end: int) -> NDArray[Any]:
        """As in `Arrays`."""
        return self.arrays[name][start:end]


@dataclass(frozen=True)
class Mapped:
    """Arrays of a safetensors file on this machine's disk, mapped into memory."""

    path: Path

    @cached_property
    def _file(self) -> Any:
        from safetensors import safe_open

        return safe_open(self.path, framework="numpy")

    def whole(self, name: str) -> NDArray[Any]:
        """As in `Arrays`."""
        return self._file.get_tensor(name)

    def rows(self, name: str, start: int, end: int) -> NDArray[Any]:
        """As in `Arrays`."""
        return self._file.get_slice(name)[start:end]
