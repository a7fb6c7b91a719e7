"""Who or what is to be erased, and how the rows and files of others name it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

ERASED = "erased"
"""What stands where a name stood."""
BESIDE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "interactions": (
        ("media_ids", "weights", "last_s", "explicit", "done_micro", "last_us", "n_day"),
        ("shown_ids", "shown_n", "shown_us"),
    ),
    "recommendations": (("media_ids", "scores", "reasons", "whys"), ("yesterday_ids",)),
    "duplicates": (("media_ids", "kinds", "scores", "reasons"),),
}
"""Table -> its lists of items, each with the lists that run side by side with it."""
_NAMES = ("labelled_by", "reviewer")
_ALONE = {"canonical": None, "group_id": None, "kind": "unique", "similarity": None, "evidence": None}
_SHOWS_ITEMS = "surest mistakes"
"""Name of the picture of an evaluation that shows frames of items."""


@dataclass(frozen=True)
class Subject:
    """An item or a person.

    Attributes:
        kind: Which of the two.
        key: media_id or user_id.
        titles: Of an item, every title that is stored.
        shared: Those of them that other items bear, too: a sentence with one of these may well speak of another item.
    """

    kind: Literal["item", "person"]
    key: str
    titles: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()

    @property
    def sure(self) -> "Subject":
        """The same by the names that are its own alone."""
        return replace(self, titles=tuple(title for title in self.titles if title not in self.shared))

    @property
    def column(self) -> str:
        """The column that rows about it have."""
        return "media_id" if self.kind == "item" else "user_id"

    @cached_property
    def _quoted(self) -> tuple[str, ...]:
        return tuple(f"“{title}”" for title in self.titles)

    @cached_property
    def _alone(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w/]){re.escape(self.key)}(?![\w/])")

    @property
    def needles(self) -> tuple[str, ...]:
        """Text of which one stands in everything that may name it."""
        names = (self.key, *self._quoted)
        return tuple(dict.fromkeys([*names, *(json.dumps(name, ensure_ascii=a)[1:-1] for name in names for a in (True, False))]))

    @property
    def in_files(self) -> tuple[bytes, ...]:
        """Bytes of which one stands in every model file that names it: models keep ids in JSON."""
        return tuple(dict.fromkeys(json.dumps(self.key, ensure_ascii=only).encode() for only in (True, False)))

    def named_in(self, text: str) -> bool:
        """Whether a sentence names it: an item by title in quotes or by its id, as `recommend.explain` does; people are in none."""
        return self.kind == "item" and (any(name in text for name in self._quoted) or self._alone.search(text) is not None)

    def without(self, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row that is about others with everything taken out that names it."""
        kept = dict(row)
        for first, *others in BESIDE.get(table, ()) if self.kind == "item" else ():
            self._cut(kept, first, others)
        if self.kind == "item" and kept.get("canonical") == self.key:
            kept |= _ALONE  # a group is not named after an item that is gone; the next run finds it another name
        if self.kind == "person":
            self._unname(kept)
        lists = {group[0] for group in BESIDE.get(table, ())}
        for name, value in kept.items():
            if name in lists or name == "fields":
                continue
            if isinstance(value, str):
                kept[name] = self._text(value)
            elif isinstance(value, list) and any(isinstance(one, str) for one in value):
                kept[name] = [self._text(one) if isinstance(one, str) else one for one in value]
        return kept

    def _cut(self, row: dict[str, Any], first: str, others: list[str]) -> None:
        ids = row.get(first)
        if not ids or self.key not in ids:
            return
        keep = [place for place, one in enumerate(ids) if one != self.key]
        for name in (first, *others):
            value = row.get(name)
            if isinstance(value, list) and len(value) == len(ids):
                row[name] = [value[place] for place in keep]

    def _unname(self, row: dict[str, Any]) -> None:
        for name in _NAMES:
            if row.get(name) == self.key:
                row[name] = ERASED
                if isinstance(row.get("reason"), str):
                    row["reason"] = row["reason"].replace(f"{self.key} decided", f"{ERASED} decided", 1)

    def _text(self, text: str) -> str:
        if text[:1] in "[{" and any(needle in text for needle in self.needles):
            try:
                told = json.loads(text)
            except ValueError:
                return "" if self.named_in(text) else text
            kept = self._walk(told)
            if kept == told:
                return text
            if isinstance(kept, dict) and isinstance(kept.get("pictures"), dict):
                kept["pictures"] = {name: path for name, path in kept["pictures"].items() if name != _SHOWS_ITEMS}
            return json.dumps(kept, ensure_ascii=False)
        return "" if self.named_in(text) else text

    def _walk(self, told: Any) -> Any:
        if isinstance(told, dict):
            return {ERASED if name == self.key else name: self._walk(value) for name, value in told.items()}
        if isinstance(told, list):
            return [self._walk(one) for one in told]
        return ERASED if isinstance(told, str) and (told == self.key or self.named_in(told)) else told
