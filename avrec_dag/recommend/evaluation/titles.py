"""Content vectors of items from a file of titles, encoded once per set of titles and encoder."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avrec_dag import progress
from avrec_dag.encoders.base import trusted
from avrec_dag.encoders.cache import cached
from avrec_dag.errors import SettingError
from avrec_dag.recommend.evaluation.events import NAMED

_BATCH = 256


@dataclass
class Titles:
    """A file of titles, read.

    Attributes:
        of: Item -> title.
        broken: Number (from 1) and reason of each line that cannot be read, up to `events.NAMED`.
        n_broken: How many there are.
        n_repeated: Lines about an item that had a title before; the first one stands.
    """

    of: dict[str, str] = field(default_factory=dict)
    broken: list[tuple[int, str]] = field(default_factory=list)
    n_broken: int = 0
    n_repeated: int = 0

    def broke(self, line: int, reason: str) -> None:
        """Note a broken line."""
        self.n_broken += 1
        if len(self.broken) < NAMED:
            self.broken.append((line, reason))

    def told(self, items: Sequence[str]) -> dict[str, object]:
        """As JSON has it, seen from the items of the interactions."""
        known = sum(item in self.of for item in items)
        return {
            "items_with_title": known,
            "items_without_title": len(items) - known,
            "titles_of_unknown_items": len(self.of) - known,
            "repeated": self.n_repeated,
            "broken": self.n_broken,
            "broken_lines": [{"line": line, "reason": reason} for line, reason in self.broken],
        }


def read(path: Path) -> Titles:
    """Read `item,title` lines (CSV, UTF-8, with or without such a header); commas in a title that nobody quoted belong to it.

    Raises:
        SettingError: The file cannot be read, or holds no title.
    """
    titles = Titles()
    try:
        with path.open("rb") as stream:
            for number, row in _rows(stream, titles):
                _take(number, row, titles)
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}; name a file of item,title lines") from None
    if not titles.of:
        first = f"; the first broken line is {titles.broken[0][0]}: {titles.broken[0][1]}" if titles.broken else ""
        raise SettingError(f"{path} holds no line item,title that can be read{first}")
    return titles


def _rows(stream: io.BufferedReader, titles: Titles) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line. A title does not go on over lines: one open quote would swallow the rest of the file."""
    for number, line in enumerate(stream, start=1):
        if line.isspace():
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            yield number, next(csv.reader([text], strict=True), [])
        except UnicodeDecodeError:
            titles.broke(number, "not UTF-8")
        except csv.Error as error:
            titles.broke(number, f"no CSV: {error}")


def _take(number: int, row: list[str], titles: Titles) -> None:
    if number == 1 and [field.strip().lower() for field in row[:2]] in (["item", "title"], ["item_id", "title"]):
        return
    item, title = row[0], ",".join(row[1:]).strip()
    if not item or not title:
        titles.broke(number, "no item,title")
    elif item in titles.of:
        titles.n_repeated += 1
    else:
        titles.of[item] = title


def vectors(titles: Titles, items: Sequence[str], *, encoder: str) -> NDArray[np.float32]:
    """(items, d) float32 unit vectors of the titles, a row of zeros for an item without one.

    Args:
        titles: From `read`.
        items: Ids in order.
        encoder: Name of a text encoder in `encoders.registry`, or of a model of the hub.
    """
    from avrec_dag.encoders import registry

    model = registry.load(encoder)
    described = [place for place, item in enumerate(items) if item in titles.of]
    texts = [titles.of[items[place]] for place in described]
    if not texts:
        return np.zeros((len(items), model.spec.dim), np.float32)
    digest = hashlib.sha256("\0".join([model.spec.identity, *texts]).encode()).hexdigest()[:32]

    def encoded() -> bytes:
        batches = []
        for start in range(0, len(texts), _BATCH):
            batches.append(trusted(model.spec, model.encode(texts[start : start + _BATCH])))
            progress.report("titles", "encoding", min(start + _BATCH, len(texts)), len(texts))
        stream = io.BytesIO()
        np.save(stream, np.concatenate(batches))
        return stream.getvalue()

    found = np.load(cached(f"titles-{digest}", ".npy", encoded), allow_pickle=False)
    result = np.zeros((len(items), found.shape[1]), np.float32)
    result[described] = found
    return result
