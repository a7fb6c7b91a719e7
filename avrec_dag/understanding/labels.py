"""The labels people gave, cleaned, with the recording each item was cut from."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avrec_dag.items import Item, Row
from avrec_dag.understanding.digests import digest

_LONGEST = 80
_MOST = 20


@dataclass(frozen=True)
class KeepLabels:
    """Task of table labels: what a sidecar says an item is. Field `labels` covers labels and source."""

    origin: str = "sidecar"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; an item whose labels are all blank keeps an empty list and trains nothing."""
        return [self._keep(item) for item in items]

    def _keep(self, item: Item) -> Row:
        columns = item.parents.get("raw_media", {})
        given = columns.get("labels")
        labels = clean(str(label) for label in given) if isinstance(given, list | tuple) else []
        source = str(columns.get("source") or item.key)
        values = {"labels": labels, "source": source, "origin": self.origin}
        return item.done({"labels": digest([*labels, "source", source])}, values)


def clean(labels: Iterable[str]) -> list[str]:
    """Labels as class names: NFKC, lower case, single spaces, no duplicates; at most 20 of at most 80 characters."""
    names = (" ".join(unicodedata.normalize("NFKC", label).casefold().split())[:_LONGEST] for label in labels)
    return [name for name in dict.fromkeys(names) if name][:_MOST]
