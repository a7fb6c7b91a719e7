"""Rules of feedback from a setting: the name of a preset, or a JSON or TOML file."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from avrec_dag.errors import SettingError
from avrec_dag.feedback.events import KINDS
from avrec_dag.feedback.weights import PRESETS, Limits, Rules, Weight

_NAME = "AVREC_FEEDBACK_WEIGHTS"
_OWN = ("preset", "half_life_days", "most_impressions", "limits", "weights")


def read_rules(text: str) -> Rules:
    """The rules that a setting names.

    Args:
        text: A preset (`PRESETS`), or the path of a .json or .toml file: `preset` names what it starts from, `weights` maps kinds to a
            number or to `{base, slope, least}`, `limits` to `{per_item_day, per_minute, per_hour}`, and `half_life_days` and
            `most_impressions` are numbers. What is left out is as in the preset.

    Raises:
        SettingError: It is neither, or something in the file cannot be what its name says.
    """
    if text in PRESETS:
        return PRESETS[text]
    suffix = Path(text).suffix.lower()
    if suffix not in (".json", ".toml"):
        raise SettingError(f"{_NAME} is {text!r}, expected one of {', '.join(PRESETS)}, or the path of a .json or .toml file")
    told = _file(text, suffix)
    try:
        return _rules(told, Path(text).name)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{_NAME} names {text}: {error}") from None


def _file(path: str, suffix: str) -> Mapping[str, Any]:
    try:
        content = Path(path).expanduser().read_text(encoding="utf-8")
        told = json.loads(content) if suffix == ".json" else tomllib.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{_NAME} names {path}, which cannot be read as {suffix[1:].upper()} ({str(error)[:200]})") from None
    if not isinstance(told, dict):
        raise SettingError(f"{_NAME} names {path}, which holds no object of settings")
    return told


def _rules(told: Mapping[str, Any], name: str) -> Rules:
    _known(told, _OWN, "setting")
    preset = told.get("preset", "default")
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}, only {', '.join(PRESETS)}")
    start = PRESETS[preset]
    weights, limits = _table(told, "weights"), _table(told, "limits")
    _known(weights, KINDS, "kind of event")
    _known(limits, [one.name for one in fields(Limits)], "limit")
    return replace(
        start,
        name=name,
        source=f"{name}, from the preset {preset}",
        weights={**start.weights, **{kind: _weight(kind, given) for kind, given in weights.items()}},
        half_life_days=_number("half_life_days", told.get("half_life_days", start.half_life_days)),
        most_impressions=told.get("most_impressions", start.most_impressions),
        limits=replace(start.limits, **limits),
    ).check()


def _weight(kind: str, given: Any) -> Weight:
    if not isinstance(given, Mapping):
        return Weight(_number(kind, given))
    names = [one.name for one in fields(Weight)]
    _known(given, names, f"part of the weight of {kind}")
    return Weight(**{name: _number(f"{name} of {kind}", value) for name, value in given.items()})


def _number(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"{name} is {given!r}, expected a number")
    return float(given)


def _table(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = told.get(name, {})
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is {given!r}, expected an object of names and numbers")
    return given


def _known(given: Mapping[str, Any], names: Any, what: str) -> None:
    strangers = sorted(map(str, given.keys() - set(names)))
    if strangers:
        raise ValueError(f"there is no {what} {strangers[0]!r}, only {', '.join(names)}")
