"""The labels people gave, cleaned, with the recording each item was cut from; what a person corrected beats what a sidecar says."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from avrec_dag.items import Item, Row
from avrec_dag.understanding.digests import digest

LONGEST = 80
"""Characters of a label at most."""
MOST = 20
"""Labels of an item at most."""


@dataclass(frozen=True)
class KeepLabels:
    """Task of table labels: what an item is, by the newest correction or else its sidecar. Field `labels` covers labels and source."""

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; an item of none of the classes, or whose labels are all blank, keeps an empty list."""
        return [self._keep(item) for item in items]

    def _keep(self, item: Item) -> Row:
        sidecar, corrected = item.parents.get("raw_media", {}), item.parents.get("label_corrections")
        source = str(sidecar.get("source") or item.key)
        who = {"labelled_by": corrected["labelled_by"], "labelled_at": corrected["labelled_at"]} if corrected else {}
        labels = _labels(corrected or sidecar)
        values = {"labels": labels, "source": source, "origin": "person" if corrected else "sidecar", **who}
        return item.done({"labels": digest([*labels, "source", source])}, values)


def _labels(columns: Mapping[str, object]) -> list[str]:
    given = columns.get("labels")
    return clean(str(label) for label in given) if isinstance(given, list | tuple) else []


def clean(labels: Iterable[str], *, longest: int | None = LONGEST, most: int | None = MOST) -> list[str]:
    """Labels as class names: NFKC, lower case, single spaces, no duplicates; cut to `most` of `longest` characters."""
    names = (" ".join(unicodedata.normalize("NFKC", label).casefold().split())[:longest] for label in labels)
    return [name for name in dict.fromkeys(names) if name][:most]
