"""How values of the environment are read: each one that cannot be is told with its name, what was found and what is expected."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

from avrec_dag.errors import SettingError

_T = TypeVar("_T")
_Number = TypeVar("_Number", int, float)


def read(env: Mapping[str, str], name: str, convert: Callable[[str], _T], expected: str, default: _T) -> _T:
    """The value of a variable, or the default where it is absent or empty.

    Args:
        env: The environment.
        name: Of the variable.
        convert: Makes the value of the text; ValueError where it cannot.
        expected: What it takes, for the sentence.
        default: Without one.

    Raises:
        SettingError: The text is not what is expected.
    """
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        return convert(text)
    except ValueError:
        raise SettingError(f"{name} is {text!r}, expected {expected}; correct it or leave it out (default: {default})") from None


def one_of(values: Sequence[str]) -> Callable[[str], str]:
    """Takes some words alone."""

    def convert(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return convert


def within(kind: type[_Number], low: _Number, high: _Number) -> Callable[[str], _Number]:
    """Takes numbers from `low` to `high`, both included."""

    def convert(text: str) -> _Number:
        number = kind(text)
        if not low <= number <= high:  # also refuses NaN
            raise ValueError
        return number

    return convert


def day(text: str) -> date:
    """A day as YYYY-MM-DD that is not to come."""
    day = date.fromisoformat(text)
    if day > datetime.now(UTC).date():
        raise ValueError
    return day
