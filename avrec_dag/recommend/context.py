"""What is known of somebody who has no history yet: their language, where they came from, what they say they like."""

import re
from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

MOST_INTERESTS = 20
_LANGUAGE = re.compile(r"[a-z]{2,3}")

# No control characters: they break logs and terminals.
_Item = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Interest = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Context(BaseModel):
    """What a request may say of a person.

    Attributes:
        language: Primary subtag of BCP 47, in lower case, as `raw_media.language` (`zh-Hans-CN` is kept as `zh`).
        referrer: The item they came from: the page they entered by, or what a friend sent.
        interests: Classes of the library that they chose, in their order, each once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str | None = None
    referrer: _Item | None = None
    interests: Annotated[tuple[_Interest, ...], Field(max_length=MOST_INTERESTS)] = ()

    @field_validator("language", mode="before")
    @classmethod
    def _primary_subtag(cls, given: object) -> object:
        if given is None or not isinstance(given, str):
            return given
        tag = re.split(r"[-_]", given.strip().lower())[0]
        if not _LANGUAGE.fullmatch(tag):
            raise ValueError(f"{given[:40]!r} is no language tag such as en, zh or pt-BR")
        return tag

    @field_validator("interests")
    @classmethod
    def _each_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given))

    def __bool__(self) -> bool:
        return bool(self.language or self.referrer or self.interests)

    def within(
        self, items: Collection[str], classes: Collection[str], languages: Collection[str] | None = None
    ) -> "tuple[Context, tuple[str, ...]]":
        """What of it this library can use, and a sentence for each part that it cannot.

        Args:
            items: Those that may be shown.
            classes: Those that some item has; compared without regard to case.
            languages: Those that some item is known to be in; None: any may be.
        """
        names = {name.casefold(): name for name in sorted(classes)}
        known = tuple(dict.fromkeys(names[one.casefold()] for one in self.interests if one.casefold() in names))
        notes = [f"no item is of the class {one!r}" for one in self.interests if one.casefold() not in names]
        referrer = self.referrer if self.referrer in items else None
        if referrer != self.referrer:
            notes.append(f"the referrer {self.referrer!r} is not in the library")
        language = self.language if languages is None or self.language in languages else None
        if language != self.language:
            notes.append(f"no item is known to be in the language {self.language!r}")
        return Context(language=language, referrer=referrer, interests=known), tuple(notes)


def asked(language: str | None, referrer: str | None, interests: Collection[str]) -> Context:
    """What a request says of a person.

    Raises:
        ValueError: One part cannot be what it should; which one and why, in one sentence.
    """
    try:
        return Context(language=language, referrer=referrer, interests=tuple(interests))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
