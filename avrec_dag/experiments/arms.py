"""An experiment as configuration: its arms, and which of them a person is in."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from avrec_dag.errors import SettingError
from avrec_dag.recommend.reranking.knobs import Changes, Knobs

SETTING = "AVREC_EXPERIMENT"
MOST_ARMS, MOST_POOL = 20, 200
_ROUNDING = 1e-9
_UNIT = 2.0**-64
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Arm(BaseModel):
    """One way of making lists.

    Attributes:
        name: Of letters, digits, `_`, `.` and `-`.
        share: Of the people, in [0, 1]; a shadow has none.
        shadow: Its lists are made and logged beside those of the other arms, and shown to nobody.
        knobs: What it turns, by the names of `Knobs`; all else is as the deployment has it.
        epsilon: In [0, 1]: so often a list is drawn at random from the pool, each item at each place equally likely. What was shown can
            then say what another way of making lists would have done.
        pool: Of so many items: those of the arm's own list, filled up with the best of a longer one; at most `MOST_POOL`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    shadow: bool = False
    knobs: dict[str, Any] = Field(default_factory=dict)
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.0
    pool: Annotated[int, Field(ge=1, le=MOST_POOL)] = 30

    @field_validator("knobs")
    @classmethod
    def _can_be_turned(cls, given: dict[str, Any]) -> dict[str, Any]:
        strangers = sorted(given.keys() - Changes.__annotations__.keys())
        if strangers:
            raise ValueError(f"there is no knob {strangers[0]!r}, only {', '.join(Changes.__annotations__)}")
        wrong = [
            name for name, value in given.items() if name != "method" and (isinstance(value, bool) or not isinstance(value, int | float))
        ]
        if wrong:
            raise ValueError(f"the knob {wrong[0]} is {given[wrong[0]]!r}, expected a number")
        if not isinstance(given.get("per_creator", 1), int):
            raise ValueError(f"the knob per_creator is {given['per_creator']!r}, expected a whole number")
        return given

    @model_validator(mode="after")
    def _is_a_shadow_or_has_people(self) -> Self:
        if self.shadow and (self.share or self.epsilon):
            raise ValueError(f"{self.name} is a shadow, which nobody sees: leave out its share and its epsilon")
        if not self.shadow and not self.share:
            raise ValueError(f"{self.name} has no share, and is no shadow: give it one of both")
        return self

    def turned(self, knobs: Knobs) -> Knobs:
        """What it makes of the knobs of a deployment; ValueError where they do not go together."""
        return knobs.turned(**self.knobs)


class Experiment(BaseModel):
    """Arms, and who is in which.

    Attributes:
        name: Of letters, digits, `_`, `.` and `-`; another name is another experiment, with another draw of the people.
        arms: At least one that is shown; shares sum to at most 1, and whoever is left over is in no arm.
        control: The arm that others are compared with; the first unless told.
        salt: What is hashed with a person's id; the name unless told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, max_length=MOST_ARMS)]
    control: str = ""
    salt: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        names = [one.name for one in self.arms]
        twice = next((one for one in names if names.count(one) > 1), None)
        if twice:
            raise ValueError(f"two arms are called {twice!r}")
        if not self.shown:
            raise ValueError("every arm is a shadow: one must be shown")
        total = sum(one.share for one in self.arms)
        if total > 1 + _ROUNDING:
            raise ValueError(f"the shares sum to {total:g}, expected at most 1")
        if self.control and self.control not in [one.name for one in self.shown]:
            raise ValueError(f"the control {self.control!r} is no arm that is shown")
        return self

    @cached_property
    def shown(self) -> tuple[Arm, ...]:
        """The arms that people see."""
        return tuple(one for one in self.arms if not one.shadow)

    @cached_property
    def shadows(self) -> tuple[Arm, ...]:
        """The arms that nobody sees."""
        return tuple(one for one in self.arms if one.shadow)

    @property
    def controlled_by(self) -> str:
        """The name of the control."""
        return self.control or self.shown[0].name

    def arm(self, name: str) -> Arm:
        """The arm of this name; SettingError for another."""
        for one in self.arms:
            if one.name == name:
                return one
        raise SettingError(f"the experiment {self.name} has no arm {name!r}, only {', '.join(one.name for one in self.arms)}")

    def assigned(self, user_id: str) -> Arm | None:
        """The arm of a person; None for somebody who is in none.

        The same for as long as salt, shares and order of the arms are: nothing is stored (the hashing of Kohavi, Longbotham, Sommerfield
        and Henne, Controlled experiments on the web, 2009, section 4.1).
        """
        at, reached = unit(self.salt or self.name, user_id), 0.0
        for one in self.shown:
            reached += one.share
            if at < reached:
                return one
        return self.shown[-1] if reached > 1 - _ROUNDING else None

    def check(self, knobs: Knobs) -> Self:
        """Itself, after the knobs of every arm were tried on those of the deployment; SettingError."""
        for one in self.arms:
            try:
                one.turned(knobs)
            except (TypeError, ValueError) as error:
                raise SettingError(f"{SETTING}, arm {one.name}: {error}") from None
        return self


def unit(salt: str, key: str) -> float:
    """A number in [0, 1) that a salted hash draws for a key; the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{salt}|{key}".encode("utf-8", "surrogatepass")).digest()[:8]) * _UNIT


def read(text: str) -> Experiment | None:
    """The experiment that a setting names; None for an empty one.

    Args:
        text: The path of a JSON file, or the JSON itself.

    Raises:
        SettingError: It cannot be read, or something in it cannot be what its name says.
    """
    if not text.strip():
        return None
    told = _told(text.strip())
    try:
        return Experiment.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(_names(told, first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        raise SettingError(f"{SETTING}: {f'{where}: ' if where else ''}{why}; see the README for its form") from None


def _told(text: str) -> Any:
    name = "its text" if text.startswith("{") else text
    try:
        content = text if text.startswith("{") else Path(text).expanduser().read_text(encoding="utf-8")
        return json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{SETTING} names {name}, which cannot be read as JSON ({str(error)[:200]})") from None


def _names(told: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Where something is wrong, an arm by its name."""
    parts = [str(one) for one in loc]
    if len(loc) > 1 and loc[0] == "arms" and isinstance(loc[1], int):
        arm = told["arms"][loc[1]]
        parts[:2] = [f"arm {arm.get('name', loc[1] + 1) if isinstance(arm, Mapping) else loc[1] + 1}"]
    return parts
